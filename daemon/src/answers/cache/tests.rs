use proptest::prelude::*;

use super::*;

const SHARED: Rule = Rule::Told { ttl: 60_000, shared: true, grace: 0 };
const OWN: Rule = Rule::Told { ttl: 60_000, shared: false, grace: 0 };
const EXPIRED: Rule = Rule::Told { ttl: 0, shared: true, grace: 60_000 };

fn cache(entries: usize, size: usize) -> Arc<Cache> {
    Arc::new(Cache::new(&settings::Cache { hints: true, entries, size, tools: Vec::new() }))
}

fn keys(number: u8, client: u8) -> Keys {
    Keys { shared: [number; 32], own: [number ^ (client << 4) ^ 0x80; 32] }
}

fn answer(result: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":"first","result":{result}}}"#))
}

fn keep(cache: &Arc<Cache>, keys: Keys, rule: Rule, result: &str) {
    cache.alone(keys, rule).land(&answer(result));
}

fn found(cache: &Arc<Cache>, keys: Keys, rule: Rule) -> Option<String> {
    match cache.look(keys, rule) {
        Look::Hit(entry) => Some(String::from_utf8(entry.answer(b"7").to_vec()).expect("text")),
        Look::Follow(_) => panic!("nobody asks"),
        Look::Miss(_) => None,
    }
}

#[test]
fn only_the_id_of_an_answer_changes() {
    let cache = cache(10, 1 << 20);
    let odd = r#"{ "n":123456789012345678901234567890,"a":"\u0041\/", "z":1.0 }"#;
    keep(&cache, keys(1, 1), SHARED, odd);
    assert_eq!(
        found(&cache, keys(1, 2), SHARED).expect("kept"),
        format!(r#"{{"jsonrpc":"2.0","id":7,"result":{odd}}}"#)
    );
}

#[test]
fn what_is_one_clients_is_nobody_elses() {
    let cache = cache(10, 1 << 20);
    keep(&cache, keys(1, 1), OWN, "{}");
    assert!(found(&cache, keys(1, 1), OWN).is_some());
    assert!(found(&cache, keys(1, 2), OWN).is_none());
}

#[test]
fn a_server_says_for_how_long_and_for_whom() {
    let cache = cache(10, 1 << 20);
    let hinted = |ttl: u64, scope: &str| format!(r#"{{"resultType":"complete","ttlMs":{ttl},"cacheScope":"{scope}"}}"#);
    keep(&cache, keys(1, 1), Rule::Hinted, &hinted(60_000, "public"));
    keep(&cache, keys(2, 1), Rule::Hinted, &hinted(60_000, "private"));
    keep(&cache, keys(3, 1), Rule::Hinted, &hinted(0, "public"));
    keep(&cache, keys(4, 1), Rule::Hinted, "{}");
    for (number, own, others) in [(1, true, true), (2, true, false), (3, false, false), (4, false, false)] {
        assert_eq!(found(&cache, keys(number, 1), Rule::Hinted).is_some(), own, "{number}");
        assert_eq!(found(&cache, keys(number, 2), Rule::Hinted).is_some(), others, "{number}");
    }
}

#[test]
fn what_failed_or_is_not_complete_is_not_kept() {
    let cache = cache(10, 1 << 20);
    for result in [r#"{"isError":true}"#, r#"{"resultType":"input_required"}"#, r#"{"task":{}}"#] {
        keep(&cache, keys(1, 1), SHARED, result);
    }
    cache.alone(keys(1, 1), SHARED).land(&Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#));
    cache.alone(keys(1, 1), SHARED).land(&Bytes::from_static(b"no message"));
    assert_eq!(cache.statistics().entries, 0);
}

#[test]
fn what_was_asked_before_all_was_made_void_is_not_kept_after() {
    let cache = cache(10, 1 << 20);
    let before = cache.alone(keys(1, 1), SHARED);
    keep(&cache, keys(2, 1), SHARED, "{}");
    assert_eq!(cache.clear().entries, 1);
    before.land(&answer("{}"));
    assert_eq!(cache.statistics().entries, 0);
}

#[test]
fn whoever_comes_after_all_was_made_void_waits_for_no_answer_from_before() {
    let cache = cache(10, 1 << 20);
    let Look::Miss(before) = cache.look(keys(1, 1), SHARED) else { panic!("nobody has asked") };
    assert!(matches!(cache.look(keys(1, 2), SHARED), Look::Follow(_)));
    cache.clear();
    let Look::Miss(after) = cache.look(keys(1, 2), SHARED) else { panic!("what is under way may be old") };
    before.land(&answer(r#"{"n":"old"}"#));
    assert!(matches!(cache.look(keys(1, 3), SHARED), Look::Follow(_)), "the new one is still under way");
    after.land(&answer(r#"{"n":"new"}"#));
    assert!(found(&cache, keys(1, 3), SHARED).expect("kept").contains("new"));
}

#[test]
fn a_stale_answer_is_given_only_on_failure_and_says_so() {
    let cache = cache(10, 1 << 20);
    keep(&cache, keys(1, 1), EXPIRED, r#"{"content":[]}"#);
    // Nothing lives for no time at all; so it was kept under another rule.
    assert!(cache.alone(keys(1, 1), EXPIRED).fail(true).is_none());
    keep(&cache, keys(1, 1), SHARED, r#"{"content":[]}"#);
    let stale = cache.alone(keys(1, 1), EXPIRED).fail(true).expect("kept");
    let marked: serde_json::Value = serde_json::from_slice(&stale.stale_answer(b"7")).expect("JSON");
    assert_eq!(marked["id"], 7);
    assert_eq!(marked["result"]["_meta"]["toolgate/stale"]["ageSeconds"], 0);
    keep(&cache, keys(1, 1), SHARED, r#"{"_meta":{"own":1},"content":[]}"#);
    let stale = cache.alone(keys(1, 1), EXPIRED).fail(true).expect("kept");
    let marked: serde_json::Value = serde_json::from_slice(&stale.stale_answer(b"7")).expect("JSON");
    assert_eq!(marked["result"]["_meta"]["own"], 1);
    assert_eq!(cache.statistics().stale, 2);
    assert!(cache.alone(keys(1, 1), EXPIRED).fail(false).is_none(), "it was reached");
    assert!(cache.alone(keys(1, 1), Rule::Told { ttl: 0, shared: true, grace: 0 }).fail(true).is_some(), "it is fresh");
}

#[test]
fn freshness_follows_time() {
    let entry = Entry { since: clock::millis(), ttl: 60_000, ..Entry::for_tests(b"{}") };
    assert_eq!(entry.freshness(0), Freshness::Fresh);
    assert!(entry.left() > 0);
    let old = Entry { since: clock::millis().wrapping_sub(61_000), ttl: 60_000, ..Entry::for_tests(b"{}") };
    assert_eq!((old.freshness(0), old.freshness(10_000)), (Freshness::Expired, Freshness::Stale));
    assert!(old.left() < 0 && old.age() >= 61_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn there_are_never_more_entries_or_bytes_than_there_may_be(
        sizes in prop::collection::vec(0..40_000_usize, 1..300),
        entries in 1..100_usize,
    ) {
        let size = 1 << 20;
        let cache = cache(entries, size);
        for (number, length) in sizes.iter().enumerate() {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            let keys = Keys { shared: key, own: key };
            keep(&cache, keys, SHARED, &format!(r#"{{"x":"{}"}}"#, "x".repeat(*length)));
            let statistics = cache.statistics();
            prop_assert!(statistics.bytes <= size as u64, "{statistics:?}");
            prop_assert!(statistics.entries <= entries as u64 + SHARDS as u64, "{statistics:?}");
        }
    }
}
