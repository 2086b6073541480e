//! Servers that ask their client in the middle of a call (legacy era).

use serde_json::{Value, json};
use toolgate_tests::caller::Reply;

use crate::stage::{LEGACY, stage};

async fn asked(reply: &mut Reply, method: &str) -> Value {
    let request = reply.message().await;
    assert_eq!(request["method"], method, "{request}");
    assert_eq!(request["params"]["message"], "Which?");
    request["id"].clone()
}

#[tokio::test]
async fn a_server_s_question_is_answered_on_the_call_s_stream() {
    let stage = stage().await;
    for (path, prefix) in LEGACY {
        let client = stage.legacy(path).await;
        for method in ["elicitation/create", "sampling/createMessage", "roots/list"] {
            for id in [json!(7), json!("seven"), json!("7")] {
                let mut reply = client.call("1", &format!("{prefix}ask"), json!({"method": method, "id": id})).await;
                let asked = asked(&mut reply, method).await;
                assert_eq!(client.respond(&asked, json!({"action": "accept", "big": 1})).await, 202, "{path} {prefix}");
                let answer = reply.message().await;
                assert_eq!(answer["id"], 1, "{path} {prefix}");
                assert_eq!(answer["result"]["answered"]["result"]["action"], "accept", "{path} {prefix}");
                assert_eq!(answer["result"]["answered"]["id"], id, "{path} {prefix}: the server's own id");
            }
        }
    }
}

#[tokio::test]
async fn two_servers_that_ask_with_the_same_id_get_their_own_answers() {
    let stage = stage().await;
    let client = stage.legacy("/mcp/pair").await;
    let mut web = client.call("1", "web__ask", json!({"id": 1})).await;
    let mut old = client.call("2", "old__ask", json!({"id": 1})).await;
    let (by_web, by_old) = (asked(&mut web, "elicitation/create").await, asked(&mut old, "elicitation/create").await);
    assert_ne!(by_web, by_old);
    assert_eq!(client.respond(&by_old, json!({"for": "old"})).await, 202);
    assert_eq!(client.respond(&by_web, json!({"for": "web"})).await, 202);
    assert_eq!(web.message().await["result"]["answered"]["result"]["for"], "web");
    assert_eq!(old.message().await["result"]["answered"]["result"]["for"], "old");
}

#[tokio::test]
async fn an_answer_reaches_the_server_once_and_from_its_own_session_only() {
    let stage = stage().await;
    let (client, stranger) = (stage.legacy("/mcp/old").await, stage.legacy("/mcp/old").await);
    let mut reply = client.call("1", "ask", json!({})).await;
    let id = asked(&mut reply, "elicitation/create").await;
    assert_eq!(stranger.respond(&id, json!({"from": "a stranger"})).await, 400);
    assert_eq!(client.respond(&id, json!({"from": "its client"})).await, 202);
    assert_eq!(client.respond(&id, json!({"from": "its client again"})).await, 400);
    assert_eq!(reply.message().await["result"]["answered"]["result"]["from"], "its client");
}

#[tokio::test]
async fn a_question_outside_of_calls_comes_on_the_session_s_stream() {
    let stage = stage().await;
    for (path, prefix) in LEGACY.into_iter().filter(|(path, _)| *path != "/mcp/web") {
        let client = stage.legacy(path).await;
        client.call("1", &format!("{prefix}echo"), json!({})).await.answer().await;
        let mut stream = client.stream().await;
        if prefix == "web__" {
            stage.web_stream("tools/call").await;
        }
        client.call("2", &format!("{prefix}ask_later"), json!({"id": "q"})).await.answer().await;
        let id = asked(&mut stream, "elicitation/create").await;
        assert_ne!(id, "q", "{path} {prefix}: ids of servers do not reach clients");
        assert_eq!(client.respond(&id, json!({"for": path})).await, 202, "{path} {prefix}");
        let record = stage.record(path, prefix);
        record
            .until("the answer", |received| received.message["id"] == "q" && received.message["result"]["for"] == path)
            .await;
    }
}

#[tokio::test]
async fn a_log_line_and_a_result_keep_their_order() {
    let stage = stage().await;
    for (path, prefix) in LEGACY {
        let client = stage.legacy(path).await;
        let mut reply = client.call("1", &format!("{prefix}log"), json!({})).await;
        assert_eq!(reply.message().await["method"], "notifications/message", "{path} {prefix}");
        assert_eq!(reply.message().await["id"], 1, "{path} {prefix}");
    }
}
