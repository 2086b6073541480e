//! The rules one by one, and a simulation of listeners that come and go on one legacy session.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::bridge::fixture::{self, Dice, read, value};
use crate::bridge::request::Declared;

const OFFERS: &[u8] = br#"{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true}}"#;

fn filter(notifications: &str) -> Result<Filter, BadFilter> {
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"notifications":{notifications}}}}}"#
    );
    Filter::of_request(text.as_bytes(), &read(text.as_bytes()))
}

fn notification(method: &str, params: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}"{params}}}"#).into_bytes()
}

fn updated(uri: &str) -> Vec<u8> {
    notification("notifications/resources/updated", &format!(r#","params":{{"uri":"{uri}"}}"#))
}

#[test]
fn a_filter_is_read_granted_and_written() {
    let wanted = filter(
        r#"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":false,"resourceSubscriptions":["a:b","a:\u0062","c:\"d"],"taskIds":["t"]}"#,
    )
    .expect("a filter");
    assert_eq!(wanted.uris(), ["a:b", "c:\"d"]);
    let granted = wanted.granted(OFFERS);
    assert_eq!(granted.to_json(), r#"{"toolsListChanged":true,"resourceSubscriptions":["a:b","c:\"d"]}"#);
    assert!(wanted.covers(&granted) && !granted.covers(&wanted));
    assert!(wanted.granted(br#"{"resources":{"subscribe":false}}"#).is_empty());
    assert_eq!(
        String::from_utf8_lossy(&acknowledgement(b"\"x\"", &granted)),
        r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"x"},"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a:b","c:\"d"]}}}"#
    );
    assert_eq!(
        String::from_utf8_lossy(&end(b"7")),
        r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":7}}}"#
    );
}

#[test]
fn a_filter_that_says_nothing_clear_is_refused() {
    let many: Vec<String> = (0..=MAX_URIS).map(|uri| format!("\"a:{uri}\"")).collect();
    for (notifications, wrong) in [
        ("null", BadFilter::Absent),
        ("[]", BadFilter::Absent),
        (r#"{"toolsListChanged":1}"#, BadFilter::Type("toolsListChanged")),
        (r#"{"resourceSubscriptions":"a:b"}"#, BadFilter::Type("resourceSubscriptions")),
        (r#"{"resourceSubscriptions":[1]}"#, BadFilter::Type("resourceSubscriptions")),
        (&format!(r#"{{"resourceSubscriptions":[{}]}}"#, many.join(",")), BadFilter::TooMany),
    ] {
        assert_eq!(filter(notifications), Err(wrong), "{notifications}");
    }
    assert!(filter(r#"{"toolsListChanged":null,"resourceSubscriptions":null}"#).expect("a filter").is_empty());
}

#[test]
fn only_what_was_asked_for_matches() {
    let wanted = filter(r#"{"toolsListChanged":true,"resourceSubscriptions":["a:b","d:/"]}"#).expect("a filter");
    for (text, matches) in [
        (announcement(List::Tools), true),
        (announcement(List::Prompts), false),
        (updated("a:b"), true),
        (updated("a:b/c"), true),
        (updated("a:b#c"), true),
        (updated("a:bc"), false),
        (updated("d:/x"), true),
        (updated("d:"), false),
        (notification("notifications/message", ""), false),
        (notification("vendor/x", ""), false),
    ] {
        assert_eq!(wanted.matches(&text, &read(&text)), matches, "{}", String::from_utf8_lossy(&text));
    }
}

fn client() -> Declared {
    Declared { capabilities: b"{\"roots\":{}}".to_vec(), info: None }
}

#[test]
fn a_session_listens_to_what_it_was_promised() {
    let mut session = Session::new(OFFERS);
    assert_eq!(
        session.open(b"1", &client()).map(|text| String::from_utf8_lossy(&text).into_owned()).as_deref(),
        Some(
            r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}}},"notifications":{"toolsListChanged":true}}}"#
        )
    );
    assert_eq!(session.open(b"2", &client()), None, "it is open");
    assert!(session.subscribe("a:b") && session.subscribe("a:b"));
    let opened = session.open(b"3", &client()).expect("the stream lacks the resource");
    assert_eq!(value(&opened)["params"]["notifications"]["resourceSubscriptions"], serde_json::json!(["a:b"]));
    let granted = acknowledgement(b"3", &filter(r#"{"resourceSubscriptions":["a:b"]}"#).expect("a filter"));
    assert_eq!(session.heard(&granted, &read(&granted), false), Outcome::Nothing);
    assert!(!session.has_granted("a:b"));
    assert_eq!(session.heard(&granted, &read(&granted), true), Outcome::Acknowledged);
    assert!(session.has_granted("a:b") && !session.has_granted("c:d"));
    session.unsubscribe("a:b");
    assert_eq!(session.open(b"4", &client()), None, "what is too much is dropped, not negotiated");
    assert_eq!(session.heard(&updated("a:b"), &read(&updated("a:b")), true), Outcome::Nothing);
    session.lost();
    assert!(session.open(b"5", &client()).is_some());
}

#[test]
fn a_session_without_promises_opens_nothing() {
    let mut session = Session::new(b"{\"tools\":{}}");
    assert!(!session.subscribe("a:b"));
    assert_eq!(session.open(b"1", &client()), None);
}

#[test]
fn a_legacy_client_sees_no_tag() {
    let mut session = Session::new(OFFERS);
    session.subscribe("a:b");
    let tag = r#""io.modelcontextprotocol/subscriptionId":1"#;
    for (method, params, wanted) in [
        ("notifications/tools/list_changed", format!(r#","params":{{"_meta":{{{tag}}}}}"#), ""),
        (
            "notifications/tools/list_changed",
            format!(r#","params":{{"_meta":{{{tag},"k":1.0}}}}"#),
            r#","params":{"_meta":{"k":1.0}}"#,
        ),
        (
            "notifications/resources/updated",
            format!(r#","params":{{"uri":"a:b","_meta":{{{tag}}}}}"#),
            r#","params":{"uri":"a:b"}"#,
        ),
    ] {
        let text = notification(method, &params);
        assert_eq!(session.heard(&text, &read(&text), true), Outcome::Tell(notification(method, wanted)));
    }
}

#[test]
fn in_five_hundred_worlds_each_listener_hears_its_own() {
    let mut heard = 0;
    for seed in 1..=500 {
        let mut dice = Dice::new(seed);
        let (mut interest, mut upstream) = (Interest::default(), BTreeSet::new());
        let mut streams: HashMap<usize, Filter> = HashMap::new();
        for id in 0..60 {
            let uris = |dice: &mut Dice| (0..5).filter(|_| dice.one_in(3)).map(|uri| format!("a:{uri}")).collect();
            match dice.below(3) {
                0 => {
                    let wanted = Filter::new(|_| false, uris(&mut dice)).granted(OFFERS);
                    for uri in interest.enter(wanted.uris()) {
                        assert!(upstream.insert(uri), "seed {seed}: subscribed twice");
                    }
                    streams.insert(id, wanted);
                }
                1 if !streams.is_empty() => {
                    let ids: BTreeSet<usize> = streams.keys().copied().collect();
                    let gone = *ids.iter().nth(dice.below(ids.len())).expect("one of them");
                    let filter = streams.remove(&gone).expect("it was there");
                    for uri in interest.leave(filter.uris()) {
                        assert!(upstream.remove(&uri), "seed {seed}: unsubscribed twice");
                    }
                }
                _ => {
                    let uri = format!("a:{}", dice.below(5));
                    let text = updated(&uri);
                    for (id, filter) in &streams {
                        let matches = filter.matches(&text, &read(&text));
                        assert_eq!(matches, filter.uris().contains(&uri));
                        assert!(!matches || upstream.contains(&uri), "seed {seed}: an update would not come");
                        heard += usize::from(matches);
                        let tagged = value(&tagged(&text, &read(&text), id.to_string().as_bytes()));
                        assert_eq!(tagged["params"]["_meta"][meta::SUBSCRIPTION_ID], *id);
                    }
                }
            }
            let wanted: BTreeSet<String> = streams.values().flat_map(|filter| filter.uris().to_vec()).collect();
            assert_eq!(upstream, wanted, "seed {seed}");
            assert_eq!(interest.all().count(), wanted.len(), "seed {seed}");
        }
    }
    assert!(heard > 5_000, "the schedules are too tame: {heard} heard");
    assert_eq!(
        Interest::request(b"4", "a\"b", true),
        br#"{"jsonrpc":"2.0","id":4,"method":"resources/subscribe","params":{"uri":"a\"b"}}"#
    );
}

proptest! {
    #[test]
    fn a_tag_comes_off_as_it_went_on(extra in fixture::object()) {
        let params = format!(r#","params":{{"_meta":{{"k":{extra}}},"x":{extra}}}"#);
        let text = notification("notifications/tools/list_changed", &params);
        let there = tagged(&text, &read(&text), b"\"id\"");
        prop_assert_eq!(read(&there).subscription_id.map(|id| id.of(&there)), Some(&b"\"id\""[..]));
        let mut session = Session::new(OFFERS);
        prop_assert_eq!(session.heard(&there, &read(&there), true), Outcome::Tell(text));
    }
}
