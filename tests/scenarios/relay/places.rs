//! More clients of a stdio server than it may have instances.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::Setup;

#[tokio::test]
async fn the_last_place_goes_from_one_modern_client_to_the_next() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let server = Stdio::new(speaks);
        let lines = format!("{}instances = {{ per = \"client\", max = 1 }}\n", server.command());
        let gate = Setup::default().server("one", &lines).key("other", "").start().await;
        let client = Caller::modern(&gate, "/mcp/one");
        let other = client.clone().with("Authorization", &format!("Bearer {}", gate.key_of("other")));
        for (number, who) in [&client, &other, &client].into_iter().enumerate() {
            let answer = who.call(&number.to_string(), "echo", json!({})).await.answer().await;
            assert!(answer["result"].is_object(), "{speaks:?}: {answer}");
        }
        let at: Vec<String> = server.record.of("tools/call").into_iter().map(|received| received.who).collect();
        assert!(at[0] != at[1] && at[1] != at[2], "{speaks:?}: each in its own: {at:?}");
    }
}

#[tokio::test]
async fn a_legacy_session_keeps_the_last_place_until_its_client_ends_it() {
    let server = Stdio::new(Speaks::Legacy);
    let lines =
        format!("{}instances = {{ max = 1 }}\nqueue = {{ max_size = 10, timeout = \"25s\" }}\n", server.command());
    let gate = Setup::default().server("one", &lines).start().await;
    let session = Caller::legacy(&gate, "/mcp/one").await;
    assert!(session.call("1", "echo", json!({})).await.answer().await["result"].is_object());
    let modern = Caller::modern(&gate, "/mcp/one");
    let waits = tokio::spawn(async move { modern.call("2", "echo", json!({})).await.answer().await });
    for number in 3..8 {
        let answer = session.call(&number.to_string(), "echo", json!({})).await.answer().await;
        assert!(answer["result"].is_object(), "{answer}");
    }
    assert!(!waits.is_finished());
    assert_eq!(session.end().await, 200);
    let answer = waits.await.expect("an answer");
    assert!(answer["result"].is_object(), "its place was free at once: {answer}");
}
