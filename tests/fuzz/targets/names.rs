//! Names of servers and tools, and patterns over them.
//! Must hold: a joined name splits into what it was joined from; a pattern matches what its definition says, and no
//! pattern makes it slow (an input over the fuzzer's time limit is a finding).
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolgate_protocol::names::{Aliases, Pattern, View, is_server_name, join, join_uri, split, split_uri, too_long};

fuzz_target!(|text: &str| {
    let (pattern, name) = text.split_once('\n').unwrap_or((text, text));
    let compiled = Pattern::new(pattern);
    let matched = compiled.matches(name);
    if pattern.len() * name.len() <= 1 << 16 {
        assert_eq!(matched, matches(pattern, name), "{pattern:?} against {name:?}");
    }
    assert_eq!(Pattern::new(compiled.as_str()), compiled);
    assert!(!compiled.is_literal() || matched == (pattern == name));

    if is_server_name(pattern) {
        assert_eq!(split(&join(pattern, name)), Some((pattern, name)));
        assert_eq!(split_uri(&join_uri(pattern, name)), Some((pattern, name)));
        let (mut view, aliases) = (View::new(), Aliases::default());
        let admitted = view.admit(pattern, name, &aliases);
        assert_eq!(admitted.is_err(), too_long(&join(pattern, name)));
        assert!(view.admit(pattern, name, &aliases).is_err(), "one name leads to one target");
    }
    for (server, rest) in split(text).into_iter().chain(split_uri(text)) {
        assert!(is_server_name(server) && text.ends_with(rest));
    }
});

/// The definition, by a table over all prefixes.
fn matches(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let mut reached: Vec<bool> = (0..=name.len()).map(|length| length == 0).collect();
    for wanted in pattern.chars() {
        let mut next = vec![false; name.len() + 1];
        for length in 0..=name.len() {
            next[length] = match wanted {
                '*' => reached[length] || length > 0 && next[length - 1],
                '?' => length > 0 && reached[length - 1],
                _ => length > 0 && reached[length - 1] && name[length - 1] == wanted,
            };
        }
        reached = next;
    }
    reached[name.len()]
}
