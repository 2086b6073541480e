use proptest::prelude::*;

use super::*;

#[test]
fn server_names_follow_their_rule() {
    for good in ["a", "weather", "a-1", "a23456789012345678901234"] {
        assert!(is_server_name(good), "{good}");
    }
    for bad in ["", "A", "1a", "-a", "a_b", "a.b", "ä", "aé", "a234567890123456789012345"] {
        assert!(!is_server_name(bad), "{bad}");
    }
}

#[test]
fn what_was_not_joined_does_not_split() {
    for name in ["echo", "Echo__x", "__x", "a_b__c", ""] {
        assert_eq!(split(name), None, "{name}");
    }
    assert_eq!(split("a___x"), Some(("a", "_x")));
    assert_eq!(split("a__b__c"), Some(("a", "b__c")));
    assert_eq!(split_uri("files+git+ssh://x"), Some(("files", "git+ssh://x")));
    assert_eq!(split_uri("file:///a+b"), None);
}

fn aliases(pairs: &[(&str, &str)]) -> Aliases {
    Aliases::new(pairs.iter().map(|(alias, own)| ((*alias).to_owned(), (*own).to_owned())))
}

#[test]
fn a_view_offers_each_name_once() {
    let (mut view, none) = (View::new(), Aliases::default());
    assert_eq!(view.admit("a", "x", &none).as_deref(), Ok("a__x"));
    assert_eq!(view.admit("b", "x", &none).as_deref(), Ok("b__x"));
    let twice = view.admit("a", "x", &none).expect_err("it is taken");
    assert_eq!(twice, Unfit::Taken { server: "a".into(), name: "x".into(), by: "x".into() });
    assert!(!twice.is_mendable());
    let long = "l".repeat(62);
    assert!(matches!(view.admit("a", &long, &none), Err(Unfit::TooLong { .. })));
    assert_eq!(view.admit("a", &long, &aliases(&[("short", &long)])).as_deref(), Ok("a__short"));
    assert!(view.admit("a", &"l".repeat(61), &none).is_ok());
}

#[test]
fn an_alias_hides_a_name_that_is_spelt_alike_whichever_comes_first() {
    let given = aliases(&[("x", "y")]);
    for order in [["x", "y"], ["y", "x"]] {
        let mut view = View::new();
        let offered = order.map(|name| view.admit("a", name, &given));
        assert!(offered.contains(&Ok("a__x".to_owned())));
        assert!(offered.contains(&Err(Unfit::Taken { server: "a".into(), name: "x".into(), by: "y".into() })));
    }
    // Two that change places hide nothing.
    let given = aliases(&[("x", "y"), ("y", "x")]);
    let mut view = View::new();
    assert_eq!(view.admit("a", "x", &given).as_deref(), Ok("a__y"));
    assert_eq!(view.admit("a", "y", &given).as_deref(), Ok("a__x"));
    assert_eq!((given.own("x"), given.own("z")), (Some("y"), None));
}

#[test]
fn a_remedy_is_an_alias_that_fits() {
    let long = format!("{}é.\"quoted\"", "l".repeat(70));
    let none = Aliases::default();
    let line = none.remedy("weather", &long);
    let (alias, own) = line.strip_prefix("aliases.").and_then(|rest| rest.split_once(" = ")).expect("a line");
    assert!(is_alias("weather", alias), "{alias}");
    assert_eq!(own, crate::json::encode_str(&long));
    assert_eq!(aliases(&[("x", "y")]).remedy("a", "x"), "aliases.x-2 = \"x\"");
    assert_eq!(aliases(&[("x", "y"), ("x-2", "z")]).remedy("a", "x"), "aliases.x-3 = \"x\"");
    for bad in ["", "a b", "é", &"l".repeat(62)] {
        assert!(!is_alias("a", bad), "{bad}");
    }
}

#[test]
fn patterns_match_whole_names() {
    for (pattern, name, matches) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("*", "anything", true),
        ("a?c", "abc", true),
        ("a?c", "aéc", true),
        ("a?c", "ac", false),
        ("delete_*", "delete_all", true),
        ("delete_*", "undelete_all", false),
        ("*_*_x", "a_b_c_x", true),
        ("*_*_x", "a_x", false),
        ("a**b", "ab", true),
        ("*ab", "aab", true),
        ("*a?", "aaab", true),
        ("A", "a", false),
        ("[a]", "a", false),
    ] {
        assert_eq!(Pattern::new(pattern).matches(name), matches, "{pattern} {name}");
    }
}

#[test]
fn no_pattern_blows_up() {
    let pattern = Pattern::new(&("*a".repeat(200) + "b"));
    assert!(!pattern.matches(&"a".repeat(5_000)));
}

/// The definition, slowly: a table of which rest of the pattern matches which rest of the name.
fn matches_by_definition(pattern: &[char], name: &[char]) -> bool {
    let mut table = vec![vec![false; name.len() + 1]; pattern.len() + 1];
    table[pattern.len()][name.len()] = true;
    for p in (0..pattern.len()).rev() {
        for n in (0..=name.len()).rev() {
            table[p][n] = match pattern[p] {
                '*' => table[p + 1][n] || n < name.len() && table[p][n + 1],
                '?' => n < name.len() && table[p + 1][n + 1],
                char => n < name.len() && char == name[n] && table[p + 1][n + 1],
            };
        }
    }
    table[0][0]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn patterns_match_by_definition(pattern in "[ab*?]{0,8}", name in "[ab]{0,10}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(Pattern::new(&pattern).matches(&name), matches_by_definition(&chars(&pattern), &chars(&name)));
    }

    #[test]
    fn joined_names_split_into_what_they_were(server in "[a-z][a-z0-9-]{0,23}", name in ".{0,20}") {
        prop_assert!(is_server_name(&server));
        let joined = join(&server, &name);
        prop_assert_eq!(split(&joined), Some((server.as_str(), name.as_str())));
        let joined = join_uri(&server, &name);
        prop_assert_eq!(split_uri(&joined), Some((server.as_str(), name.as_str())));
    }
}
