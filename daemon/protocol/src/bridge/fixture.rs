//! What the bridge's tests share: nasty JSON, and a look at it through an independent reader.

use proptest::prelude::*;

use crate::envelope::{Envelope, scan};
use crate::json::encode_str;

/// The value as `serde_json` reads it.
pub(super) fn value(text: &[u8]) -> serde_json::Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}

/// The envelope of a message that the test wrote.
pub(super) fn read(text: &[u8]) -> Envelope {
    scan(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}

/// xorshift64*, seeded per schedule.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize;
        high % bound
    }

    pub(super) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", " ", "\n", "\r\n\t"])
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "0",
            "-1.50",
            "1e400",
            "123456789012345678901234567890",
            "\"\\ud800\""
        ])
        .prop_map(str::to_owned)
        // The oracle refuses what it cannot hold.
        .prop_filter("the oracle reads it", |raw| serde_json::from_str::<serde_json::Value>(raw).is_ok()),
        "[a-z\"\\\\{}:,\u{e9}\u{1f980}\n ]{0,8}".prop_map(|text| encode_str(&text)),
    ]
}

/// A value of any shape, with whitespace where it may stand.
pub(super) fn any_value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(3, 24, 4, |inner| {
        let items = prop::collection::vec((space(), inner.clone(), space()), 0..4);
        let array = items.prop_map(|items| {
            let items: Vec<String> = items.into_iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
            format!("[{}]", items.join(","))
        });
        prop_oneof![array, object_of("[a-e]{1,2}", inner)]
    })
}

fn object_of(keys: &'static str, values: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (prop::collection::btree_map(keys, (space(), values, space()), 0..5), space()).prop_map(|(members, end)| {
        let members: Vec<String> = members
            .into_iter()
            .map(|(key, (a, member, b))| format!("{a}{}{b}:{a}{member}{b}", encode_str(&key)))
            .collect();
        format!("{{{}{end}}}", members.join(","))
    })
}

/// An object whose keys often are one of `a` to `e`.
pub(super) fn object() -> impl Strategy<Value = String> {
    object_of("[a-e]|[x-z\"\\\\]{1,3}", any_value())
}
