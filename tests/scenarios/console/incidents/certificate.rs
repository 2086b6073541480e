//! A certificate ends tomorrow, and the newer file was refused.

use toolgate_tests::certificates::Certificates;
use toolgate_tests::gate::Setup;
use toolgate_tests::wait;

use super::toolgate;
use crate::said;
use crate::screen::Screen;

const WHY: &str = "does not go with the key";

#[tokio::test]
async fn a_certificate_ends_tomorrow_and_why_the_newer_one_is_refused_is_told() {
    let gate = Setup::default().start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (files, ending) = (gate.certificates(), Certificates::write_ending(&folder.path().join("old"), 2));
    // Written as a renewal does, one file after the other.
    std::fs::copy(&ending.key, &files.key).expect("copied");
    std::fs::copy(&ending.chain, &files.chain).expect("copied");
    let until = async |what: &str, holds: fn(&serde_json::Value) -> bool| {
        wait::until(what, || async { holds(&said(&gate, "/v1/certs").await["certificates"][0]).then_some(()) }).await;
    };
    let served = said(&gate, "/v1/certs").await["certificates"][0]["fingerprint"].clone();
    until("the one that ends to be served", |certificate| {
        certificate["not_after_ms"].as_u64().is_some_and(|at| at < 4_000_000_000_000)
            && certificate["refused"].is_null()
    })
    .await;
    // The renewal came with another key, which was not installed.
    std::fs::copy(Certificates::write(&folder.path().join("new")).chain, &files.chain).expect("copied");
    until("the newer one to be refused", |certificate| certificate["refused"].is_string()).await;

    let screen = Screen::open(&gate).await;
    screen.until("ends in").await.keep("certificate_alert");
    screen.press(&["Enter"]).until("kind=certificate").await.until("newer one refused: does not").await;
    screen.until("in 1d").await.keep("certificate_found");
    screen.press(&["i"]).until("newer file").await.until(WHY).await;
    screen.until("it ends in 1d").await.keep("certificate_inspected");

    let (code, told) = toolgate(&gate, &["certs"]);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("in 1d") && told.contains(WHY), "{told}");

    // The key that belongs to it is the remedy, and is seen to be.
    std::fs::copy(folder.path().join("new/key.pem"), &files.key).expect("copied");
    until("the newer one to be served", |certificate| certificate["refused"].is_null()).await;
    screen.press(&["q"]).until("in 4096").await.until("valid").await.keep("certificate_mended");
    assert_ne!(said(&gate, "/v1/certs").await["certificates"][0]["fingerprint"], served);
    assert_eq!(toolgate(&gate, &["certs"]).0, 0);
}
