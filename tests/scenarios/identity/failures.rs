//! Addresses that show wrong credentials: what they are answered, and who is let through all the same.

use serde_json::Value;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::Gate;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::door::{ERAS, answered, client, first, refused, setup};

/// Three wrong credentials are let pass. Clients come from wherever they say.
async fn gate(block: &str) -> (Http, Gate) {
    let (web, setup) = setup().await;
    let rules = format!("[authentication]\nfailures = \"1/h\"\nburst = 3\nblock = \"{block}\"\n");
    let setup = setup.listener("trusted_proxies = [\"127.0.0.1\"]").table(&rules).key("other", "");
    (web, setup.start().await)
}

fn from(gate: &Gate, era: Era, address: &str, key: &str) -> Caller {
    client(gate, gate.target().clone(), era).with("X-Forwarded-For", address).with("X-API-Key", key)
}

/// A refusal that says when to come back.
async fn blocked(client: &Caller, era: Era) -> Value {
    let reply = first(client, era).await;
    let after: u64 = reply.head.header("retry-after").expect("when to come back").parse().expect("seconds");
    assert!((1..=600).contains(&after), "{after}");
    let answer = refused(reply, 429, "authentication-blocked").await;
    assert!(answer["error"]["data"]["retryAfterMs"].is_u64(), "{answer}");
    answer
}

#[tokio::test]
async fn guessing_is_answered_with_429_and_others_are_not() {
    for era in ERAS {
        let (_web, gate) = gate("10m").await;
        let good = from(&gate, era, "192.0.2.1", &gate.key());
        answered(first(&good, era).await).await;
        // Nothing shown is nothing wrong: so every client begins that looks for a server's metadata.
        for _ in 0..5 {
            refused(first(&good.clone().without("X-API-Key"), era).await, 401, "unauthenticated").await;
        }
        let guess = |number: u32| from(&gate, era, "192.0.2.1", &format!("tg_test_guess{number}"));
        for number in 0..4 {
            refused(first(&guess(number), era).await, 401, "credential-refused").await;
        }
        blocked(&guess(4), era).await;
        // Not even looked at, right or wrong, unless it was good lately.
        blocked(&from(&gate, era, "192.0.2.1", &gate.key_of("other")), era).await;
        answered(first(&good, era).await).await;
        refused(first(&from(&gate, era, "192.0.2.2", "tg_test_wrong"), era).await, 401, "credential-refused").await;
        answered(first(&from(&gate, era, "192.0.2.2", &gate.key_of("other")), era).await).await;
    }
}

#[tokio::test]
async fn a_network_of_ipv6_is_one_address_and_a_silent_proxy_is_none() {
    let (_web, gate) = gate("10m").await;
    let wrong = |address: &str| from(&gate, Era::Modern, address, "tg_test_wrong");
    for host in 1..=4 {
        refused(first(&wrong(&format!("2001:db8::{host}")), Era::Modern).await, 401, "credential-refused").await;
    }
    blocked(&wrong("2001:db8::5"), Era::Modern).await;
    refused(first(&wrong("2001:db8:0:1::5"), Era::Modern).await, 401, "credential-refused").await;
    for _ in 0..6 {
        refused(first(&wrong(""), Era::Modern).await, 401, "credential-refused").await;
    }
}

#[tokio::test]
async fn a_block_ends_and_is_told_of_while_it_holds() {
    let (_web, gate) = gate("3s").await;
    let wrong = from(&gate, Era::Modern, "192.0.2.1", "tg_test_wrong");
    for _ in 0..4 {
        refused(first(&wrong, Era::Modern).await, 401, "credential-refused").await;
    }
    blocked(&wrong, Era::Modern).await;
    let told = async || {
        let (_, health) = gate.control("GET", "/v1/health").await;
        let finding = health["checks"].as_array()?.iter().find(|check| check["name"] == "authentication")?.clone();
        let alert = health["alerts"].as_array()?.iter().find(|alert| alert["id"] == "failed_authentications")?.clone();
        Some((finding, alert))
    };
    let (finding, alert) = wait::until("health and an alert to say so", told).await;
    assert_eq!(finding["status"], "healthy", "nobody outside decides on that: {finding}");
    for text in [&finding["message"], &alert["message"]] {
        assert!(text.as_str().is_some_and(|text| text.contains("192.0.2.1")), "{text}");
    }
    let good = from(&gate, Era::Modern, "192.0.2.1", &gate.key());
    wait::until("the end of the block", async || (first(&good, Era::Modern).await.head.status == 200).then_some(()))
        .await;
    assert!(gate.log().contains("an address has shown too many wrong credentials"));
}

#[tokio::test]
async fn who_does_not_want_it_switches_it_off() {
    let (_web, setup) = setup().await;
    let gate = setup.table("[authentication]\nlimiter = false\nburst = 1\n").start().await;
    let wrong = client(&gate, gate.target().clone(), Era::Modern).with("X-API-Key", "tg_test_wrong");
    for _ in 0..10 {
        refused(first(&wrong, Era::Modern).await, 401, "credential-refused").await;
    }
}
