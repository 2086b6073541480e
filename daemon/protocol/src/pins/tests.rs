use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn portrait_of(tool: &str) -> String {
    let span = json::document(tool.as_bytes()).expect("JSON");
    String::from_utf8(portrait(tool.as_bytes(), span)).expect("UTF-8")
}

#[test]
fn a_portrait_is_what_an_agent_acts_upon() {
    let tool = r#"{ "name":"x", "inputSchema": {"b":1,"a":2}, "description":"Reads.", "_meta":{"n":1}, "x":2 }"#;
    assert_eq!(portrait_of(tool), r#"{"description":"Reads.","inputSchema":{"a":2,"b":1}}"#);
    assert_eq!(portrait_of("{}"), "{}");
    let other = r#"{"description":"\u0052eads.","inputSchema":{"a":2,"b":1},"name":"x"}"#;
    assert_eq!(portrait_of(tool), portrait_of(other), "another writing of the same");
    for changed in ["Reads. ", "reads.", "Reads.\u{200b}"] {
        let changed = format!(r#"{{"description":{},"inputSchema":{{"a":2,"b":1}}}}"#, json::encode_str(changed));
        assert_ne!(portrait_of(tool), portrait_of(&changed));
    }
}

#[test]
fn what_is_kept_of_portraits_is_bounded_and_changes_are_noticed_all_the_same() {
    let (mut book, long) = (Book::default(), vec![b'x'; 100 << 10]);
    for number in 0..=400 {
        assert_eq!(book.see(&number.to_string(), [0; 32], &long, 1), Seen::First);
    }
    let kept: usize = book.all().map(|(_, pin)| pin.accepted.text.len()).sum();
    assert!(kept <= KEPT, "{kept}");
    assert_eq!(book.see("400", [1; 32], &long, 2), Seen::Changed);
}

#[test]
fn a_server_with_too_many_tools_does_not_fill_the_book() {
    let mut book = Book::default();
    for number in 0..MOST {
        book.restore(number.to_string(), Pin { accepted: book.claim([0; 32], b"", 0), changed: None });
    }
    assert_eq!(book.see("one more", [0; 32], b"{}", 1), Seen::Unknown);
    assert_eq!(book.see("7", [1; 32], b"{}", 1), Seen::Changed);
    let mut book = Book::default();
    assert_eq!(book.see(&"n".repeat(LONGEST_NAME + 1), [0; 32], b"{}", 1), Seen::Unknown);
    assert_eq!(book.see(&"n".repeat(LONGEST_NAME), [0; 32], b"{}", 1), Seen::First);
}

#[test]
fn only_what_was_looked_at_is_approved() {
    let mut book = Book::default();
    book.see("t", [0; 32], b"{}", 1);
    book.see("t", [1; 32], b"{}", 2);
    book.see("t", [2; 32], b"{}", 3);
    assert_eq!(book.approve("t", Some(&[1; 32])), Err([2; 32]));
    assert_eq!(book.approve("t", Some(&[2; 32])), Ok(true));
    assert_eq!(book.approve("t", None), Ok(false));
    assert_eq!(book.approve("none", None), Ok(false));
}

#[derive(Debug, Clone)]
enum Step {
    See(u8, u8),
    Approve(u8),
}

proptest! {
    /// Against the plainest model: what was accepted, and what was seen last.
    #[test]
    fn nothing_is_accepted_but_what_came_first_or_was_approved(
        steps in prop::collection::vec(
            prop_oneof![4 => (0..3u8, 0..3u8).prop_map(|(tool, claim)| Step::See(tool, claim)), 1 => (0..3u8).prop_map(Step::Approve)],
            0..60,
        )
    ) {
        let mut book = Book::default();
        let mut model: HashMap<u8, (u8, u8)> = HashMap::new();
        for step in steps {
            match step {
                Step::See(tool, claim) => {
                    let seen = book.see(&tool.to_string(), [claim; 32], &[claim], 0);
                    let before = model.get(&tool).copied();
                    let (accepted, _) = *model.entry(tool).and_modify(|(_, last)| *last = claim).or_insert((claim, claim));
                    let expected = match before {
                        None => Seen::First,
                        Some((_, last)) if last == claim => Seen::Same,
                        Some(_) if accepted == claim => Seen::Back,
                        Some(_) => Seen::Changed,
                    };
                    prop_assert_eq!(seen, expected);
                }
                Step::Approve(tool) => {
                    let was_changed = model.get(&tool).is_some_and(|(accepted, last)| accepted != last);
                    prop_assert_eq!(book.approve(&tool.to_string(), None), Ok(was_changed));
                    model.entry(tool).and_modify(|(accepted, last)| *accepted = *last);
                }
            }
            prop_assert_eq!(book.kept, book.all().map(|(_, pin)| pin.bytes()).sum::<usize>());
            for (tool, (accepted, last)) in &model {
                let pin = book.get(&tool.to_string()).expect("it was seen");
                prop_assert_eq!(pin.accepted.hash, [*accepted; 32]);
                prop_assert_eq!(pin.changed.as_ref().map(|claim| claim.hash), (accepted != last).then_some([*last; 32]));
            }
        }
    }
}
