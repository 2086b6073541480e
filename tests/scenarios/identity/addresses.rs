//! Clients known by their addresses: the peer's own, or one that a trusted proxy names.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::Era;

use crate::door::{ERAS, answered, client, first, known, refused, setup};

async fn gate(auth: &str, machine: &str, lines: &str) -> (Http, Gate) {
    let (web, setup) = setup().await;
    (web, with(setup, auth, machine, lines).start().await)
}

fn with(setup: Setup, auth: &str, machine: &str, lines: &str) -> Setup {
    setup.auth(auth).listener(lines).table(&format!("[machine.printer]\nnetworks = [{machine}]\nowner = \"Printer\"\n"))
}

/// A client whose proxy names it so.
fn named(gate: &Gate, era: Era, address: &str) -> Caller {
    client(gate, gate.target().clone(), era).with("X-Forwarded-For", address)
}

#[tokio::test]
async fn an_address_says_who_calls_in_both_eras() {
    let (_web, gate) = gate("[\"address\"]", "\"127.0.0.1/32\"", "").await;
    for era in ERAS {
        let machine = client(&gate, gate.target().clone(), era);
        answered(first(&machine, era).await).await;
        // What nobody vouches for is not looked at.
        answered(first(&named(&gate, era, "192.0.2.1"), era).await).await;
        // A credential that is shown is all that counts.
        let with_key = machine.with("X-API-Key", &gate.key());
        refused(first(&with_key, era).await, 401, "credential-refused").await;
    }
    assert!(known(&gate).await.contains(&"machine:printer".to_owned()));
}

#[tokio::test]
async fn an_address_that_is_nobodys_is_refused_and_cannot_be_claimed() {
    let (_web, gate) = gate("[\"address\"]", "\"10.0.0.7\"", "").await;
    for era in ERAS {
        for claimed in ["10.0.0.7", "127.0.0.1"] {
            refused(first(&named(&gate, era, claimed), era).await, 403, "address-refused").await;
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_whose_call_it_is_and_is_nobody_itself() {
    let (_web, gate) =
        gate("[\"address\", \"key\"]", "\"10.0.0.0/8\", \"127.0.0.1\"", "trusted_proxies = [\"127.0.0.1\"]").await;
    for era in ERAS {
        answered(first(&named(&gate, era, "10.0.0.7"), era).await).await;
        // Further to the left stands what the client wrote itself.
        refused(first(&named(&gate, era, "10.0.0.7, 192.0.2.1"), era).await, 401, "unauthenticated").await;
        refused(first(&named(&gate, era, "192.0.2.1"), era).await, 401, "unauthenticated").await;
        // Its own address is in the machine's networks, and says nothing of whoever is behind it.
        for hidden in ["", "unknown", "nonsense"] {
            refused(first(&named(&gate, era, hidden), era).await, 401, "unauthenticated").await;
        }
        let wrong = named(&gate, era, "10.0.0.7").with("X-API-Key", "tg_test_wrong");
        refused(first(&wrong, era).await, 401, "credential-refused").await;
        answered(first(&named(&gate, era, "192.0.2.1").with("X-API-Key", &gate.key()), era).await).await;
    }
}

#[tokio::test]
async fn a_session_is_the_machines_own() {
    let (_web, gate) =
        gate("[\"address\", \"key\"]", "\"10.0.0.7\", \"10.0.1.0/24\"", "trusted_proxies = [\"127.0.0.1\"]").await;
    let own = named(&gate, Era::Legacy, "10.0.0.7").opened().await;
    // A machine may have several addresses.
    answered(own.clone().with("X-Forwarded-For", "10.0.1.9").call("0", "echo", json!({})).await).await;
    let other = own.with("X-Forwarded-For", "192.0.2.1").with("X-API-Key", &gate.key());
    refused(other.call("0", "echo", json!({})).await, 404, "session-unknown").await;
}

#[tokio::test]
async fn a_machine_that_a_reload_takes_away_is_refused() {
    let (_web, mut gate) = gate("[\"address\"]", "\"127.0.0.1/32\"", "").await;
    let machine = client(&gate, gate.target().clone(), Era::Modern);
    answered(first(&machine, Era::Modern).await).await;
    gate.change(|setup| setup.without_table("[machine.printer]").table("[machine.other]\nnetworks = [\"10.0.0.7\"]\n"));
    gate.reload().await;
    refused(first(&machine, Era::Modern).await, 403, "address-refused").await;
}
