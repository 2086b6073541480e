//! Answers that are kept, shared and given stale.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::{Stage, WAYS, Way, server_of};

const KEPT: &str = "tool.echo.cache = {}\ntool.\"st*\".cache = { ttl = \"1h\", shared = true }\ntool.fail.cache = {}\ntool.hold.cache = { shared = true }\n";

async fn called(
    client: &Caller,
    (_, _, prefix): Way,
    id: &str,
    tool: &str,
    arguments: Value,
) -> (Option<String>, Value) {
    let reply = client.call(id, &format!("{prefix}{tool}"), arguments).await;
    let status = reply.head.header("cache-status").map(ToOwned::to_owned);
    (status, reply.answer().await)
}

#[tokio::test]
async fn an_answer_is_given_again_to_whom_it_was_made_for() {
    let stage = Stage::new(KEPT).await;
    for way in WAYS {
        stage.record(way).clear();
        stage.gate.control("POST", &format!("/v1/servers/{}/cache/clear", server_of(way))).await;
        let client = stage.client(way).await;
        let (first, answer) = called(&client, way, "1", "echo", json!({"b": 1.0, "a": "x"})).await;
        assert_eq!(first, None, "{way:?}");
        // The same, otherwise written.
        let params = format!(r#"{{"arguments":{{ "a" : "\u0078","b":1.0}},"name":"{}echo"}}"#, way.2);
        let (second, again) = if way.1 == Era::Legacy {
            let body = format!(r#"{{"jsonrpc":"2.0","id":"two","method":"tools/call","params":{params}}}"#);
            let reply = client.post(&body).await;
            (reply.head.header("cache-status").map(ToOwned::to_owned), reply.answer().await)
        } else {
            called(&client, way, "\"two\"", "echo", json!({"a": "x", "b": 1.0})).await
        };
        assert!(second.is_some_and(|status| status.starts_with("toolgate; hit; ttl=29")), "{way:?}");
        assert_eq!(again["id"], "two");
        assert_eq!(again["result"], answer["result"], "{way:?}");
        assert_eq!(stage.calls(way, "echo"), 1, "{way:?}");
        // Another client, other arguments, another number: not the same.
        let other = stage.other(way).await;
        for (client, arguments) in
            [(&other, json!({"b": 1.0, "a": "x"})), (&client, json!({"b": 1, "a": "x"})), (&client, json!({}))]
        {
            assert_eq!(called(client, way, "3", "echo", arguments).await.0, None, "{way:?}");
        }
        assert_eq!(stage.calls(way, "echo"), 4, "{way:?}");
        // What is shared is everybody's, what failed is nobody's, and what was not named is not kept.
        for (client, expected) in [(&client, 1), (&other, 1)] {
            called(client, way, "4", "steps", json!({"count": 0})).await;
            assert_eq!(stage.calls(way, "steps"), expected, "{way:?}");
        }
        for times in 1..=2 {
            for tool in ["fail", "link"] {
                called(&client, way, "5", tool, json!({"uri": "mem://one"})).await;
                assert_eq!(stage.calls(way, tool), times, "{way:?}");
            }
        }
    }
}

#[tokio::test]
async fn calls_at_once_share_one_flight_and_a_cancelled_one_takes_nobody_along() {
    let stage = Stage::new(KEPT).await;
    for way in WAYS {
        stage.record(way).clear();
        let until = stage.gate.folder().join(format!("go{}{}{:?}", way.0.replace('/', "-"), way.2, way.1));
        let arguments = json!({"until": until});
        let (first, second, third) = (stage.client(way).await, stage.client(way).await, stage.other(way).await);
        let name = format!("{}hold", way.2);
        let call = |client: Caller, id: &'static str| {
            let (name, arguments) = (name.clone(), arguments.clone());
            tokio::spawn(async move { client.call(id, &name, arguments).await.answer().await })
        };
        let leader = call(first.clone(), "1");
        stage.record(way).until_called("hold").await;
        let followers = [call(second, "2"), call(third, "3")];
        if way.1 == Era::Legacy {
            first.notify("notifications/cancelled", json!({"requestId": 1})).await;
        }
        // A modern client cancels by closing its connection.
        if way.1 == Era::Modern {
            leader.abort();
        }
        wait::until("another call to take its place", async || (stage.calls(way, "hold") >= 2).then_some(())).await;
        std::fs::write(&until, "").expect("a file");
        for (follower, id) in followers.into_iter().zip([2, 3]) {
            let answer = follower.await.expect("an answer");
            assert_eq!(answer["id"], id, "{way:?}");
            assert_eq!(answer["result"]["params"]["name"], "hold", "{way:?}: {answer}");
        }
        assert_eq!(stage.calls(way, "hold"), 2, "{way:?}: one after the other");
    }
}

#[tokio::test]
async fn when_a_server_refuses_all_who_wait_go_at_once() {
    let stage = Stage::new("tool.status.cache = { shared = true }\n").await;
    for way in [WAYS[0], WAYS[1]] {
        stage.record(way).clear();
        let allowed = stage.gate.folder().join(format!("allowed-{:?}", way.1));
        std::fs::write(&allowed, "0").expect("a file");
        let arguments = json!({"status": 500, "allowed": allowed});
        let mut calls = Vec::new();
        for number in 0..5 {
            let (client, arguments) = (stage.client(way).await, arguments.clone());
            calls.push(tokio::spawn(async move { client.call("1", "status", arguments).await.raw().await }));
            if number == 0 {
                stage.record(way).until_called("status").await;
            }
        }
        wait::until("four to wait", async || (waiting(&stage, way).await == 4).then_some(())).await;
        assert_eq!(stage.calls(way, "status"), 1, "{way:?}");
        std::fs::write(&allowed, "1").expect("a file");
        // One after the other there would never be more than one, since the second is not answered yet.
        wait::until("all four at the server", async || (stage.calls(way, "status") == 5).then_some(())).await;
        assert_eq!(waiting(&stage, way).await, 0, "{way:?}");
        std::fs::write(&allowed, "100").expect("a file");
        for call in calls {
            call.await.expect("an answer");
        }
    }
}

/// How many calls wait for the answer of another.
async fn waiting(stage: &Stage, way: Way) -> u64 {
    let (_, caches) = stage.gate.control("GET", "/v1/cache").await;
    let servers = caches["servers"].as_array().expect("servers");
    let cache = servers.iter().find(|cache| cache["server"] == server_of(way)).expect("a cache");
    cache["waiting"].as_u64().expect("a number")
}

#[tokio::test]
async fn the_operator_a_reload_and_the_server_make_answers_void() {
    let mut stage = Stage::new(KEPT).await;
    for way in [WAYS[0], WAYS[1], WAYS[4], WAYS[7], WAYS[8]] {
        let server = server_of(way);
        let client = stage.client(way).await;
        let calls = async |expected: usize, why: &str| {
            called(&client, way, "1", "echo", json!({"way": format!("{way:?}")})).await;
            assert_eq!(stage.calls(way, "echo"), expected, "{way:?}: {why}");
        };
        stage.record(way).clear();
        calls(1, "first").await;
        calls(1, "kept").await;
        let path = format!("/v1/servers/{server}/cache/clear");
        let (status, dry) = stage.gate.control_with("POST", &path, &json!({"dry_run": true})).await;
        assert_eq!((status, &dry["applied"]), (200, &json!(false)), "{dry}");
        assert!(dry["entries"].as_u64().expect("a number") >= 1, "{dry}");
        calls(1, "a dry run").await;
        stage.gate.control("POST", &path).await;
        calls(2, "cleared").await;
        calls(2, "kept again").await;
    }
    let (status, _) = stage.gate.control("POST", "/v1/servers/none/cache/clear").await;
    assert_eq!(status, 404);
    // A reload that changes nothing of it keeps the answers, one that does forgets them.
    let (way, lines) = (WAYS[5], stage.new.command());
    let client = stage.client(way).await;
    stage.record(way).clear();
    called(&client, way, "1", "echo", json!({})).await;
    stage.gate.change(|setup| setup.server("new", &format!("{lines}{KEPT}max_calls = 7\n")));
    stage.gate.reload().await;
    called(&client, way, "1", "echo", json!({})).await;
    assert_eq!(stage.calls(way, "echo"), 1);
    stage.gate.change(|setup| setup.server("new", &format!("{lines}{KEPT}cache.entries = 7\n")));
    stage.gate.reload().await;
    called(&client, way, "1", "echo", json!({})).await;
    assert_eq!(stage.calls(way, "echo"), 2);
}

#[tokio::test]
async fn a_change_of_lists_makes_answers_void() {
    let stage = Stage::new(KEPT).await;
    for way in WAYS {
        let client = stage.client(way).await;
        let mut stream = if way.1 == Era::Legacy {
            client.stream().await
        } else {
            let listen = json!({"notifications": {"toolsListChanged": true}});
            let mut stream = client.request("9", "subscriptions/listen", listen).await;
            assert_eq!(stream.message().await["method"], "notifications/subscriptions/acknowledged");
            stream
        };
        let arguments = json!({"way": format!("{way:?}")});
        called(&client, way, "1", "echo", arguments.clone()).await;
        let before = stage.calls(way, "echo");
        called(&client, way, "1", "echo", arguments.clone()).await;
        assert_eq!(stage.calls(way, "echo"), before, "{way:?}");
        wait::until(&format!("the change to arrive by {way:?}"), async || {
            called(&client, way, "2", "change", json!({})).await;
            called(&client, way, "1", "echo", arguments.clone()).await;
            (stage.calls(way, "echo") > before).then_some(())
        })
        .await;
        assert_eq!(stream.message().await["method"], "notifications/tools/list_changed", "{way:?}");
    }
}

#[tokio::test]
async fn resources_are_kept_as_their_server_says() {
    let stage = Stage::new("cache.hints = true\n").await;
    for (way, read) in [(WAYS[1], "mem://one"), (WAYS[5], "mem://one"), (WAYS[8], "web+mem://one")] {
        stage.record(way).clear();
        stage.gate.control("POST", &format!("/v1/servers/{}/cache/clear", server_of(way))).await;
        stage.read_hints(way, 60_000, "private");
        let (client, other) = (stage.client(way).await, stage.other(way).await);
        let reads = || stage.record(way).of("resources/read").len();
        for (client, expected) in [(&client, 1), (&client, 1), (&other, 2)] {
            let answer = client.request("1", "resources/read", json!({"uri": read})).await.answer().await;
            assert!(answer.get("result").is_some(), "{way:?}: {answer}");
            assert_eq!(reads(), expected, "{way:?}");
        }
        stage.gate.control("POST", &format!("/v1/servers/{}/cache/clear", server_of(way))).await;
        stage.read_hints(way, 60_000, "public");
        for (client, expected) in [(&client, 3), (&other, 3)] {
            client.request("1", "resources/read", json!({"uri": read})).await.answer().await;
            assert_eq!(reads(), expected, "{way:?}");
        }
    }
}

/// A gate before a server over HTTP that can be taken away.
async fn before(web: &Http, lines: &str) -> Gate {
    let (lines, pair) = (web.endpoints() + lines, "[profile.pair]\nservers = [\"web\", \"side\"]\n");
    let side = toolgate_tests::fake::stdio::Stdio::new(Speaks::Both);
    Setup::default().server("web", &lines).server("side", &side.command()).table(pair).start().await
}

#[tokio::test]
async fn while_a_server_is_away_its_last_answers_stand_in_and_say_so() {
    let lines = "tool.echo.cache = { ttl = \"100ms\", stale = \"10m\", shared = true }\ntool.steps.cache = { ttl = \"100ms\" }\n";
    for (path, era, prefix) in [
        ("/mcp/web", Era::Legacy, ""),
        ("/mcp/web", Era::Modern, ""),
        ("/mcp/pair", Era::Legacy, "web__"),
        ("/mcp/pair", Era::Modern, "web__"),
    ] {
        let web = Http::start(Speaks::Both).await;
        let gate = before(&web, lines).await;
        let client = Caller::new(&gate, path, era);
        let client = if era == Era::Legacy { client.opened().await } else { client };
        let (echo, steps) = (format!("{prefix}echo"), format!("{prefix}steps"));
        let fresh = client.call("1", &echo, json!({"n": 1})).await.answer().await;
        client.call("1", &steps, json!({})).await.answer().await;
        web.kill();
        let stale = wait::until("a stale answer", async || {
            let reply = client.call("\"late\"", &echo, json!({"n": 1})).await;
            let headers = (
                reply.head.header("age").map(ToOwned::to_owned),
                reply.head.header("cache-status").map(ToOwned::to_owned),
            );
            let answer = reply.answer().await;
            answer["result"]["_meta"]["toolgate/stale"].is_object().then_some((headers, answer))
        })
        .await;
        let ((age, status), mut answer) = stale;
        if (path, era) != ("/mcp/pair", Era::Legacy) {
            assert!(age.is_some() && status.is_some_and(|status| status.contains("detail=stale")), "{path} {era:?}");
        }
        assert_eq!(answer["id"], "late");
        answer["result"].as_object_mut().expect("a result").remove("_meta");
        assert_eq!(answer["result"], fresh["result"], "{path} {era:?}");
        let other = client.call("2", &echo, json!({"n": 2})).await.answer().await;
        assert_eq!(other["error"]["code"], -31503, "{path} {era:?}: {other}");
        wait::until("what may not be stale to be refused", async || {
            client.call("2", &steps, json!({})).await.answer().await.get("error").map(drop)
        })
        .await;
        let (_, status) = gate.control("GET", "/v1/cache").await;
        assert!(status["servers"][0]["stale"].as_u64().expect("a number") >= 1, "{status}");
    }
}
