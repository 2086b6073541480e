//! Each operator, at its edges.

use super::*;

fn condition(tests: Vec<Test>) -> Condition {
    Condition {
        tools: Scope::new("bank/transfer"),
        argument: Pointer::parse("/amount").expect("a pointer"),
        tests,
        absent_passes: false,
        rule: "the rule".into(),
    }
}

/// Whether a condition with this test passes an argument of this raw value.
fn passes(test: Test, value: &str) -> bool {
    let arguments = format!("{{\"amount\":{value}}}");
    let whole = json::document(arguments.as_bytes()).expect("JSON");
    condition(vec![test]).judge(Some((arguments.as_bytes(), whole))).passes()
}

fn number(text: &str) -> Scalar {
    Scalar::Number(text.into())
}

#[test]
fn bounds_are_exact_and_hold_for_numbers_alone() {
    for (value, within) in [
        ("1000", true),
        ("1e3", true),
        ("1000.0000000000000000000000000001", false),
        ("999.9999999999999999999999999999", true),
        ("-5", true),
        ("1e400", false),
        ("-1e400", true),
        ("\"1000\"", false),
        ("\"5\"", false),
        ("null", false),
        ("true", false),
        ("[5]", false),
        ("{}", false),
    ] {
        assert_eq!(passes(Test::AtMost("1000".into()), value), within, "{value}");
    }
    assert!(passes(Test::AtLeast("0.1".into()), "0.10"));
    assert!(!passes(Test::AtLeast("0.1".into()), "0.0999999999999999999999999999999"));
    assert!(!passes(Test::AtLeast("0".into()), "-1e-400"));
}

#[test]
fn equal_is_what_means_the_same_and_is_of_the_same_kind() {
    for (wanted, value, same) in [
        (Scalar::Text("EUR".into()), r#""EUR""#, true),
        (Scalar::Text("EUR".into()), r#""\u0045UR""#, true),
        (Scalar::Text("EUR".into()), r#""eur""#, false),
        (Scalar::Text("1".into()), "1", false),
        (Scalar::Text("\u{fffd}".into()), r#""\ud800""#, false),
        (number("1"), "1.0", true),
        (number("1"), "\"1\"", false),
        (number("9007199254740993"), "9007199254740992", false),
        (Scalar::Truth(true), "true", true),
        (Scalar::Truth(true), "1", false),
        (Scalar::Truth(false), "null", false),
    ] {
        assert_eq!(passes(Test::Equals(wanted.clone()), value), same, "{wanted} {value}");
    }
    let some = Test::OneOf(vec![Scalar::Text("EUR".into()), number("2"), Scalar::Truth(false)]);
    for (value, among) in [(r#""EUR""#, true), ("2e0", true), ("false", true), (r#""USD""#, false), ("null", false)] {
        assert_eq!(passes(some.clone(), value), among, "{value}");
    }
    assert!(!passes(Test::OneOf(Vec::new()), "1"), "one of nothing is nothing");
}

#[test]
fn an_expression_matches_all_of_a_string() {
    let whole = |text| Test::Matches(Whole::new(text).expect("an expression"));
    assert!(passes(whole("DE[0-9]+"), r#""DE12""#));
    assert!(!passes(whole("DE[0-9]+"), r#""xDE12""#));
    assert!(!passes(whole("DE[0-9]+"), r#""DE12\n""#));
    assert!(!passes(whole("DE|FR"), r#""DEFR""#), "each side of a choice is anchored");
    assert!(!passes(whole("(?m)^a$"), r#""a\nb""#));
    assert!(!passes(whole("[0-9]+"), "12"), "a number is no string");
    assert!(passes(whole("(a*)*b"), &format!("\"{}b\"", "a".repeat(50_000))), "linear time");
}

#[test]
fn what_would_escape_from_its_anchors_is_no_expression() {
    for text in ["a)|(b", "(", "(?x)a # b", "a{1000}{1000}", r"(a)\1", "(?=a)"] {
        let problem = Whole::new(text).expect_err(text);
        assert!(!problem.is_empty() && !problem.contains('\n'), "{problem}");
    }
}

#[test]
fn a_missing_argument_fails_unless_it_may_be_missing() {
    let mut condition = condition(vec![Test::AtMost("5".into())]);
    let arguments = |text: &'static str| Some((text.as_bytes(), json::document(text.as_bytes()).expect("JSON")));
    for text in ["{}", r#"{"other":1}"#, "[]"] {
        assert_eq!(condition.judge(arguments(text)), Outcome::Absent { passes: false });
    }
    assert_eq!(condition.judge(None), Outcome::Absent { passes: false });
    condition.absent_passes = true;
    assert!(condition.judge(None).passes() && condition.judge(arguments("{}")).passes());
    assert!(!condition.judge(arguments(r#"{"amount":null}"#)).passes(), "null is there");
    assert_eq!(condition.judge(arguments(r#"{"Amount":1}"#)), Outcome::Ambiguous);
}

#[test]
fn all_tests_of_a_condition_hold() {
    let condition = condition(vec![Test::AtLeast("1".into()), Test::AtMost("5".into())]);
    for (value, first) in [("3", None), ("0", Some(0)), ("6", Some(1))] {
        let text = format!("{{\"amount\":{value}}}");
        let outcome = condition.judge(Some((text.as_bytes(), json::document(text.as_bytes()).expect("JSON"))));
        assert_eq!(outcome, first.map_or(Outcome::Holds, |index| Outcome::Fails(&condition.tests[index])));
    }
}
