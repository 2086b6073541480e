//! Servers over HTTP+SSE, the transport of 2024-11-05.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::sse::Sse;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::Era;
use toolgate_tests::wait::until;

/// Each way to such a server, and what names begin with there.
const WAYS: [(&str, &str); 2] = [("/mcp/old", ""), ("/mcp/all", "old__")];

async fn start(announced: &str) -> (Gate, Sse) {
    let (old, pipe) = (Sse::start(announced).await, Stdio::new(Speaks::Legacy));
    let gate = Setup::default()
        .server("old", &(old.endpoints() + "bearer = \"env:HOME\"\n"))
        .server("pipe", &pipe.command())
        .table("[profile.all]\nservers = [\"old\", \"pipe\"]\n")
        .start()
        .await;
    (gate, old)
}

#[tokio::test]
async fn clients_of_both_eras_call_its_tools() {
    for announced in ["/messages", "messages", "http://127.0.0.1:{port}/messages"] {
        let (gate, old) = start(announced).await;
        for (path, prefix) in WAYS {
            let modern = Caller::modern(&gate, path);
            for client in [Caller::legacy(&gate, path).await, modern] {
                let listed = client.request("1", "tools/list", json!({})).await.answer().await;
                assert!(listed["result"]["tools"].to_string().contains(&format!("{prefix}echo")), "{path}: {listed}");
                let answer = client.call("\"a\"", &format!("{prefix}echo"), json!({"n": 1})).await.answer().await;
                assert_eq!(answer["id"], "a", "{path}: {answer}");
                assert_eq!(answer["result"]["params"]["arguments"]["n"], 1, "{path}: {answer}");
                let mut reply = client.call_with_progress("2", "\"t\"", &format!("{prefix}progress"), json!({})).await;
                assert_eq!(reply.message().await["params"]["progressToken"], "t", "{path}");
                assert_eq!(reply.message().await["id"], 2, "{path}");
            }
        }
        let called = old.record.of("tools/call");
        assert!(called.iter().all(|call| call.headers["authorization"].is_string()), "the gate's own credential");
        assert!(called.iter().all(|call| call.headers["content-type"] == "application/json"));
    }
}

#[tokio::test]
async fn each_client_session_has_one_of_its_own_which_ends_with_it() {
    let (gate, old) = start("/messages").await;
    let (one, two) = (Caller::legacy(&gate, "/mcp/old").await, Caller::legacy(&gate, "/mcp/old").await);
    let before = old.sessions();
    for client in [&one, &two, &one] {
        client.call("1", "echo", json!({})).await.answer().await;
    }
    let who: Vec<String> = old.record.of("tools/call").into_iter().map(|call| call.who).collect();
    assert!(who[0] == who[2] && who[0] != who[1], "{who:?}");
    assert_eq!(old.sessions(), before + 2);
    assert_eq!(one.end().await, 200);
    until("the end of its session", async || (old.sessions() == before + 1).then_some(())).await;
    assert_eq!(two.call("2", "echo", json!({})).await.answer().await["id"], 2);
}

#[tokio::test]
async fn what_it_asks_in_a_call_is_asked_of_the_client() {
    let (gate, _old) = start("/messages").await;
    for (path, prefix) in WAYS {
        let client = Caller::legacy(&gate, path).await;
        let mut reply = client.call("5", &format!("{prefix}ask"), json!({})).await;
        let question = reply.message().await;
        assert_eq!(question["method"], "elicitation/create", "{path}: {question}");
        assert_eq!(client.respond(&question["id"], json!({"action": "accept"})).await, 202, "{path}");
        assert_eq!(reply.message().await["result"]["answered"]["result"]["action"], "accept", "{path}");
    }
}

#[tokio::test]
async fn a_cancellation_reaches_it() {
    let (gate, old) = start("/messages").await;
    let client = Caller::legacy(&gate, "/mcp/old").await;
    let mut reply = client.call_with_progress("1", "1", "hold", json!({"until": "/nowhere"})).await;
    reply.message().await;
    let id = old.record.until_called("hold").await.message["id"].clone();
    assert_eq!(client.notify("notifications/cancelled", json!({"requestId": 1})).await, 202);
    let cancelled = old.record.until("it", |received| received.method == "notifications/cancelled").await;
    assert_eq!(cancelled.message["params"]["requestId"], id);
}

#[tokio::test]
async fn a_stream_that_breaks_ends_its_calls_and_the_next_call_opens_another() {
    let (gate, old) = start("/messages").await;
    let client = Caller::legacy(&gate, "/mcp/old").await;
    let mut reply = client.call_with_progress("1", "1", "hold", json!({"until": "/nowhere"})).await;
    reply.message().await;
    old.cut();
    let answer = reply.message().await;
    assert_eq!(answer["error"]["data"]["reason"], "server-unavailable", "{answer}");
    let served = until("another session", async || {
        let answer = client.call("2", "echo", json!({})).await.answer().await;
        answer["result"].is_object().then_some(answer)
    });
    assert_eq!(served.await["id"], 2);
}

#[tokio::test]
async fn messages_are_never_posted_to_another_origin() {
    let other = Sse::start("/messages").await;
    let elsewhere = other.url.replace("/events/sse", "/messages");
    for announced in [elsewhere.as_str(), "//127.0.0.1:{port}/messages", "https://127.0.0.1:{port}/messages"] {
        let (gate, old) = start(announced).await;
        let refused = Caller::new(&gate, "/mcp/old", Era::Legacy).initialize().await.answer().await;
        assert_eq!(refused["error"]["data"]["reason"], "server-unavailable", "{announced}: {refused}");
        assert!(old.record.all().iter().chain(&other.record.all()).all(|received| received.method.is_empty()));
    }
}
