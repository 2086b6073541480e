//! What clients carry over a restart: the place in a stream, a cursor.

use rustix::process::Signal;
use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::Setup;
use toolgate_tests::mcp::Era;

#[tokio::test]
async fn a_session_s_stream_ends_in_order_and_goes_on_behind_its_last_event() {
    let fake = Stdio::new(Speaks::Legacy);
    let setup = Setup::default().server("fake", &fake.command()).daemon("lame_duck = \"50ms\"");
    let mut gate = setup.start_under_systemd().await;
    let client = Caller::legacy(&gate, "/mcp/fake").await;
    let mut stream = client.stream().await;
    let place = stream.event().await.expect("a place to come back to");
    let mut last = place.id.expect("an id");
    for (round, signal) in [Signal::TERM, Signal::KILL, Signal::TERM].into_iter().enumerate() {
        if signal == Signal::TERM {
            gate.signal(signal);
            assert!(stream.event().await.is_none(), "it ends between two events");
            assert!(gate.ended().await.success());
            gate.start_again().await;
        } else {
            gate.restart(signal).await;
        }
        stream = client.resume(&last).await;
        assert_eq!(stream.head.status, 200, "round {round}: {}", gate.log());
        let changed = client.call(&round.to_string(), "change", json!({})).await;
        assert!(changed.answer().await["result"].is_object());
        let event = stream.event().await.expect("what is said on it");
        assert!(event.data.contains("list_changed"), "{event:?}");
        let id = event.id.expect("an id");
        assert_ne!(id, last);
        last = id;
    }
    // A stream of a call that is gone is not mistaken for another.
    let refused = client.resume("12345.1").await;
    assert_eq!(refused.head.status, 400);
}

#[tokio::test]
async fn a_cursor_works_after_a_restart() {
    let one = Http::start(Speaks::Legacy).await;
    let two = Http::start(Speaks::Legacy).await;
    let setup = Setup::default().server("one", &one.endpoints()).server("two", &two.endpoints());
    let mut gate = setup.start_under_systemd().await;
    for (era, signal) in [(Era::Legacy, Signal::KILL), (Era::Modern, Signal::TERM)] {
        let client = match era {
            Era::Legacy => Caller::legacy(&gate, "/mcp").await,
            Era::Modern => Caller::modern(&gate, "/mcp"),
        };
        let first = client.request("1", "tools/list", json!({})).await.answer().await;
        let cursor = first["result"]["nextCursor"].as_str().unwrap_or_else(|| panic!("one page: {first}"));
        gate.restart(signal).await;
        let second = client.request("2", "tools/list", json!({"cursor": cursor})).await.answer().await;
        assert!(second["result"]["tools"].is_array(), "{second}");
        assert_ne!(first["result"]["tools"], second["result"]["tools"]);
    }
}

#[tokio::test]
async fn a_call_that_waits_for_a_modern_client_is_not_run_again_after_a_restart() {
    let fake = Stdio::new(Speaks::Legacy);
    let mut gate = Setup::default().server("fake", &fake.command()).start_under_systemd().await;
    let mut client = Caller::modern(&gate, "/mcp/fake");
    client.capabilities = json!({"elicitation": {"form": {}}});
    let params = json!({"name": "ask", "arguments": {"n": 1}});
    let asked = client.request("1", "tools/call", params.clone()).await.answer().await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let before = fake.record.of("tools/call").len();
    gate.restart(Signal::KILL).await;
    let mut retry = params;
    retry["requestState"] = asked["result"]["requestState"].clone();
    retry["inputResponses"] = json!({"toolgate.ask.1": {"action": "accept", "content": {}}});
    let gone = client.request("2", "tools/call", retry).await.answer().await;
    assert!(gone["error"]["message"].as_str().is_some_and(|text| text.contains("was not run again")), "{gone}");
    assert_eq!(fake.record.of("tools/call").len(), before);
}
