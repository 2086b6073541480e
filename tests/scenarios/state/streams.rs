//! What clients carry over a restart: the place in a stream, a cursor.

use rustix::process::Signal;
use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::Received;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::Setup;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::restarts::{gate, told};

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
    fake.record.until("the server to be answered", |received| received.message["error"]["code"].is_number()).await;
}

#[tokio::test]
async fn lines_that_an_end_cuts_are_whole_after_a_restart_and_lost_alone_after_a_crash() {
    let mark = format!("cut-{}", std::process::id());
    let mut gate = gate(&mark, |setup| setup).await;
    for signal in [Signal::TERM, Signal::KILL] {
        let client = Caller::legacy(&gate, "/mcp/counter").await;
        let mut stream = client.stream().await;
        let last = stream.event().await.expect("a place").id.expect("an id");
        let until = gate.folder().join(format!("until-{}", gate.pid()));
        let halved = client.call("1", "halve", json!({"until": until})).await.answer().await;
        assert!(halved["result"].is_object(), "{halved}");
        // More than the kernel takes: the rest of it is not written when the process ends.
        let noise = json!({"noise": "n".repeat(600_000)});
        assert_eq!(client.notify("notifications/roots/list_changed", noise).await, 202);
        let records = gate.folder().join("state/sessions/records");
        wait::until("the line to be under way", async || {
            let records = std::fs::read(&records).expect("the records");
            records.windows(10).any(|text| text == br#""cut":true"#).then_some(())
        })
        .await;
        gate.restart(signal).await;
        let mut stream = client.resume(&last).await;
        std::fs::write(&until, "").expect("the file");
        let counted = told(&client.call("2", "count", json!({})).await.answer().await);
        assert_eq!(counted["count"], 2, "{counted}");
        if signal == Signal::TERM {
            assert_eq!(counted["broken"], 0, "{counted}");
            assert!(stream.next().await.is_some_and(|said| said.contains("the counter")));
        } else {
            assert_eq!(counted["broken"], 1, "{counted}");
        }
    }
}

#[tokio::test]
async fn what_a_session_watches_at_a_modern_server_is_watched_again() {
    let (pipe, web) = (Stdio::new(Speaks::Modern), Http::start(Speaks::Modern).await);
    let setup = Setup::default().server("pipe", &pipe.command()).server("web", &web.endpoints());
    let mut gate = setup.start_under_systemd().await;
    for (path, record) in [("/mcp/pipe", &pipe.record), ("/mcp/web", &web.record)] {
        for signal in [Signal::TERM, Signal::KILL] {
            let client = Caller::legacy(&gate, path).await;
            let mut stream = client.stream().await;
            let last = stream.event().await.expect("a place").id.expect("an id");
            let subscribe = client.request("1", "resources/subscribe", json!({"uri": "mem://one"})).await;
            assert_eq!(subscribe.answer().await["result"], json!({}), "{path}");
            gate.signal(signal);
            gate.ended().await;
            if signal == Signal::TERM && path == "/mcp/pipe" {
                let listen = record.of("subscriptions/listen").pop().expect("a subscription");
                record.until_cancelled(&listen).await;
            }
            record.clear();
            gate.start_again().await;
            let mut stream = client.resume(&last).await;
            assert_eq!(stream.head.status, 200);
            record
                .until("the subscription", |received| {
                    let wanted = &received.message["params"]["notifications"]["resourceSubscriptions"];
                    received.message["method"] == "subscriptions/listen" && *wanted == json!(["mem://one"])
                })
                .await;
            // It may have changed while nobody listened; and what changes now is told as well.
            for told in ["by the gate", "by the server"] {
                let updated = stream.message().await;
                assert_eq!(
                    updated["method"], "notifications/resources/updated",
                    "{told}, {path} {signal:?}: {updated}"
                );
                assert_eq!(updated["params"]["uri"], "mem://one", "{told}, {path} {signal:?}: {updated}");
                if told == "by the gate" {
                    client.call("2", "update", json!({"uri": "mem://one"})).await.answer().await;
                }
            }
            assert_eq!(client.end().await, 200);
        }
    }
}

#[tokio::test]
async fn an_http_server_that_waits_for_its_client_at_a_crash_is_answered() {
    let (one, two) = (Http::start(Speaks::Legacy).await, Http::start(Speaks::Legacy).await);
    let setup = Setup::default().server("one", &one.endpoints()).server("two", &two.endpoints());
    let mut gate = setup.start_under_systemd().await;
    let client = Caller::legacy(&gate, "/mcp").await;
    let mut asking = client.call("1", "one__ask", json!({"id": 1})).await;
    let question = asking.message().await;
    assert!(question["method"].is_string(), "{question}");
    gate.restart(Signal::KILL).await;
    let refused = |received: &Received| received.message["error"]["code"].is_number();
    one.record.until("the server to be answered", refused).await;
    // What the client says to an earlier question is not taken for an answer to a later one.
    let mut asking = client.call("2", "one__ask", json!({"id": 2})).await;
    let later = asking.message().await;
    assert_ne!(later["id"], question["id"]);
    assert_eq!(client.respond(&question["id"], json!({})).await, 400);
    assert_eq!(client.respond(&later["id"], json!({"action": "decline"})).await, 202);
    assert!(asking.answer().await["result"].is_object());
}
