//! Lists on their way: read along, filtered, and kept for as long as their server says.

use serde_json::{Value, json};
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::fake::record::{ID, Offer};
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::{Stage, WAYS, Way, listed, server_of};

/// A list's answer with tools `echo` and `secret`.
fn answer(description: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{ID},"result":{{ "tools":[{{"name":"echo","description":"{description}","x":1.0}}, {{"name":"secret"}}],"resultType":"complete","ttlMs":0,"cacheScope":"private"}}}}"#
    )
}

/// The same as a stream, with what may come with it.
fn stream(description: &str) -> String {
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"soon"}}"#;
    format!(
        ": alive\n\nid: 7\nevent: message\ndata: {log}\n\n: still\n\nid: 8\nretry: 900\ndata: {}\n\n",
        answer(description)
    )
}

async fn list(client: &Caller, id: &str) -> Reply {
    client.request(id, "tools/list", json!({})).await
}

async fn changes(stage: &Stage) -> usize {
    let (_, body) = stage.gate.control("GET", "/v1/tools/changes").await;
    body["changes"].as_array().expect("changes").len()
}

#[tokio::test]
async fn what_is_only_read_along_passes_as_it_came() {
    let stage = Stage::new("guard = \"log\"\npin = \"warn\"\n").await;
    for way in [WAYS[0], WAYS[1]] {
        let client = stage.client(way).await;
        for (turn, (media_type, body)) in [
            ("text/event-stream", stream("one")),
            ("application/json", answer("two")),
            ("application/json|Cache-Control: max-age=7", answer("three")),
            ("application/mcp+json", answer("four")),
            ("text/event-stream", stream("five")),
        ]
        .into_iter()
        .enumerate()
        {
            stage.tell_lists(media_type, &body);
            let reply = list(&client, "41").await;
            let head = reply.head.clone();
            assert_eq!(head.header("content-type"), media_type.split('|').next(), "{way:?}");
            if media_type.contains("Cache-Control") {
                assert_eq!(head.header("cache-control"), Some("max-age=7"));
            }
            let text = String::from_utf8(reply.raw().await).expect("text");
            assert_eq!(text, body.replace(ID, "41"), "{way:?}");
            // The gate has learned from it all the same: `echo` is described otherwise than at first.
            if turn == 0 {
                assert_eq!(changes(&stage).await, 0);
            } else {
                wait::until("the change to be seen", async || (changes(&stage).await == 1).then_some(())).await;
            }
        }
        stage.tell_lists("application/json", &answer("one"));
        list(&client, "1").await.answer().await;
        wait::until("the tool to be back", async || (changes(&stage).await == 0).then_some(())).await;
    }
}

#[tokio::test]
async fn a_list_that_is_too_long_to_be_read_passes_and_health_says_so() {
    let stage = Stage::new("pin = \"warn\"\n").await;
    let long = "x".repeat(17 << 20);
    for (media_type, body) in [("application/json", answer(&long)), ("text/event-stream", stream(&long))] {
        let client = stage.client(WAYS[1]).await;
        stage.tell_lists(media_type, &body);
        let text = list(&client, "41").await.raw().await;
        assert_eq!(text.len(), body.len() + 1, "{media_type}: the id is a byte longer than what stands for it");
        let health = stage.health("web").await;
        let said = health["message"].as_str().unwrap_or_default();
        assert!(said.contains("too long to be read"), "{media_type}: {health}");
    }
    // It was not learned from, and the next one is.
    stage.tell_lists("application/json", &answer("one"));
    let client = stage.client(WAYS[1]).await;
    list(&client, "1").await.answer().await;
    stage.tell_lists("application/json", &answer("two"));
    list(&client, "1").await.answer().await;
    wait::until("the change to be seen", async || (changes(&stage).await == 1).then_some(())).await;
}

#[tokio::test]
async fn where_something_is_taken_out_everything_else_stays() {
    let stage = Stage::with(|setup| setup.key("narrow", "scopes = [\"web/echo\"]"), "guard = \"log\"\n").await;
    let key = format!("Bearer {}", stage.gate.key_of("narrow"));
    for era in [Era::Legacy, Era::Modern] {
        let client = Caller::new(&stage.gate, "/mcp/web", era).with("Authorization", &key);
        let client = if era == Era::Legacy { client.opened().await } else { client };
        let fits = |text: &str| {
            let answer: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(answer["result"]["tools"].as_array().map(Vec::len), Some(1), "{text}");
            assert!(
                text.contains(r#"{"name":"echo","description":"one","x":1.0}"#) && !text.contains("secret"),
                "{text}"
            );
        };
        stage.tell_lists("text/event-stream", &stream("one"));
        let text = String::from_utf8(list(&client, "41").await.raw().await).expect("text");
        let (before, last) = text.split_at(text.find("retry: 900").expect("the last event"));
        let as_it_came = stream("one");
        // Of what precedes the answer only ids are missing: with one of these the server would repeat all of it.
        let preceding = &as_it_came[..as_it_came.find("id: 8").expect("the last event")];
        let without: String = preceding.split_inclusive('\n').filter(|line| !line.starts_with("id")).collect();
        assert_eq!(before, without, "{text}");
        assert!(!last.contains("\nid:"), "{last}");
        fits(last.lines().find_map(|line| line.strip_prefix("data: ")).expect("data"));
        for media_type in ["application/json|Cache-Control: max-age=7", "application/mcp+json|Cache-Control: max-age=7"]
        {
            stage.tell_lists(media_type, &answer("one"));
            let reply = list(&client, "41").await;
            assert_eq!(reply.head.header("cache-control"), Some("max-age=7"), "{media_type}");
            fits(&reply.text().await);
        }
        // What cannot be read is not passed where it might hide something.
        stage.tell_lists("application/json", r#"{"tools":[{"name":"secret"}]"#);
        let refused = list(&client, "41").await.text().await;
        assert!(!refused.contains("secret"), "{refused}");
    }
}

fn asked(stage: &Stage, way: Way) -> usize {
    stage.record(way).of("tools/list").len()
}

/// A client, its list, and how often its server was asked for it since.
async fn names(stage: &Stage, client: &Caller, way: Way) -> (Vec<String>, usize) {
    let names = listed(client).await;
    (names, asked(stage, way))
}

#[tokio::test]
async fn a_list_is_kept_as_its_server_says_and_filtered_for_each_client() {
    let stage =
        Stage::with(|setup| setup.key("narrow", "scopes = [\"web/echo\", \"new/echo\"]"), "cache.hints = true\n").await;
    let schema = json!({"type": "object"});
    for way in [WAYS[1], WAYS[5]] {
        let key = format!("Bearer {}", stage.gate.key_of("narrow"));
        stage.offer(&["echo", "secret"], &schema);
        let (client, other) = (stage.client(way).await, stage.other(way).await);
        let narrow = Caller::new(&stage.gate, way.0, way.1).with("Authorization", &key);
        stage.record(way).clear();
        // A server that says that it is everybody's is asked once.
        for (client, expected) in [(&client, 2), (&other, 2), (&narrow, 1), (&client, 2)] {
            let (names, asked) = names(&stage, client, way).await;
            assert_eq!((names.len(), asked), (expected, 1), "{way:?}");
        }
        let reply = list(&client, "\"x\"").await;
        let status = reply.head.header("cache-status").map(ToOwned::to_owned);
        assert!(status.is_some_and(|status| status.starts_with("toolgate; hit; ttl=")), "{way:?}");
        let answer = reply.answer().await;
        let left = answer["result"]["ttlMs"].as_u64().expect("a number");
        assert!(answer["id"] == "x" && left <= 60_000, "{answer}");
        // Another page is another answer.
        client.request("2", "tools/list", json!({"cursor": "second"})).await.answer().await;
        assert_eq!(asked(&stage, way), 2);
        stage.gate.control("POST", &format!("/v1/servers/{}/cache/clear", server_of(way))).await;
        stage.record(way).offer(&Offer {
            names: vec!["echo".to_owned()],
            hints: json!({"cacheScope": "private"}),
            ..Offer::default()
        });
        stage.record(way).clear();
        for (client, expected) in [(&client, 1), (&client, 1), (&other, 2), (&client, 2)] {
            assert_eq!(names(&stage, client, way).await.1, expected, "{way:?}: private");
        }
    }
}

#[tokio::test]
async fn a_merged_list_takes_the_pages_that_are_kept() {
    let stage = Stage::new("cache.hints = true\n").await;
    stage.offer(&["echo"], &json!({"type": "object"}));
    let way = WAYS[8];
    let (client, other) = (stage.client(way).await, stage.other(way).await);
    stage.record(way).clear();
    for client in [&client, &other, &client] {
        assert_eq!(names(&stage, client, way).await.1, 1);
    }
    stage.gate.control("POST", "/v1/servers/web/cache/clear").await;
    assert_eq!(names(&stage, &client, way).await.1, 2);
}

#[tokio::test]
async fn a_list_that_is_kept_is_void_when_it_changes() {
    let stage = Stage::new("cache.hints = true\n").await;
    for way in [WAYS[1], WAYS[5], WAYS[8]] {
        stage.offer(&["echo"], &json!({"type": "object"}));
        stage.gate.control("POST", &format!("/v1/servers/{}/cache/clear", server_of(way))).await;
        let client = stage.client(way).await;
        let listen = json!({"notifications": {"toolsListChanged": true}});
        let mut stream = client.request("9", "subscriptions/listen", listen).await;
        assert_eq!(stream.message().await["method"], "notifications/subscriptions/acknowledged");
        let before = listed(&client).await.len();
        stage.offer(&["echo", "further"], &json!({"type": "object"}));
        assert_eq!(listed(&client).await.len(), before, "{way:?}: kept");
        wait::until(&format!("the change to arrive by {way:?}"), async || {
            client.call("2", &format!("{}change", way.2), json!({})).await.answer().await;
            (listed(&client).await.len() > before).then_some(())
        })
        .await;
    }
}
