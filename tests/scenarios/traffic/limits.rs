//! Limits as clients meet them: who is counted together, what a refusal says, and what survives.

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::wait;

async fn web() -> Http {
    Http::start(Speaks::Both).await
}

fn setup(web: &Http) -> Setup {
    Setup::default().server("web", &web.endpoints())
}

/// Calls of a tool that are answered with a result, of so many.
async fn served(client: &Caller, tool: &str, times: usize) -> usize {
    let mut served = 0;
    for _ in 0..times {
        let answer = client.call("7", tool, json!({})).await.answer().await;
        served += usize::from(answer.get("result").is_some());
    }
    served
}

#[tokio::test]
async fn clients_are_told_where_they_stand_and_when_to_come_back() {
    let web = web().await;
    let gate = setup(&web)
        .table("[[limit]]\nname = \"all\"\nper = \"global\"\nrate = \"50/min\"\n")
        .limit("{ name = \"mine\", per = \"client\", rate = \"2/min\", message = \"Too many requests, please try again later\" }")
        .start()
        .await;
    let (old, new) = (Caller::legacy(&gate, "/mcp/web").await, Caller::modern(&gate, "/mcp/web"));
    for (client, left) in [(&old, 1), (&new, 0)] {
        let reply = client.call("1", "echo", json!({})).await;
        assert_eq!(reply.head.header("ratelimit-policy"), Some("\"mine\";q=2;w=60"));
        let standing = reply.head.header("ratelimit").expect("a standing").to_owned();
        assert!(standing.starts_with(&format!("\"mine\";r={left};t=")), "{standing}");
    }
    for (client, status) in [(&old, 200), (&new, 503)] {
        let reply = client.call("\"x\"", "echo", json!({})).await;
        let head = reply.head.clone();
        let answer = reply.answer().await;
        assert_eq!(head.status, status);
        let wait: u64 = head.header("retry-after").expect("when to come back").parse().expect("seconds");
        assert!((1..=30).contains(&wait), "{wait}");
        assert!(head.header("ratelimit").expect("a standing").starts_with("\"mine\";r=0;t="));
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("x"), &json!(-31429)));
        assert_eq!(answer["error"]["data"]["limit"], "mine");
        let words = answer["error"]["message"].as_str().expect("words");
        let expected = "Too many requests, please try again later. Nothing was executed. Wait ";
        assert!(
            words.starts_with(expected) && words.ends_with(" s, then repeat the call; do not repeat it sooner."),
            "{words}"
        );
        // What is not counted is answered, and says nothing of limits.
        let list = client.request("2", "tools/list", json!({})).await;
        assert_eq!((list.head.status, list.head.header("ratelimit")), (200, None));
    }
}

#[tokio::test]
async fn a_listener_may_keep_it_to_itself() {
    let web = web().await;
    let gate =
        setup(&web).listener("rate_headers = false").limit("{ per = \"client\", rate = \"1/min\" }").start().await;
    let client = Caller::modern(&gate, "/mcp/web");
    assert_eq!(client.call("1", "echo", json!({})).await.head.header("ratelimit"), None);
    let refused = client.call("2", "echo", json!({})).await;
    assert_eq!(refused.head.header("ratelimit"), None);
    assert!(refused.head.header("retry-after").is_some());
}

#[tokio::test]
async fn each_scope_counts_what_it_says() {
    let web = web().await;
    for (per, own, other_client, other_tool) in [
        ("\"global\"", 3, 0, 0),
        ("\"client\"", 3, 3, 0),
        ("\"tier\"", 3, 0, 0),
        ("\"server\"", 3, 0, 0),
        ("\"tool\"", 3, 0, 3),
        ("[\"client\", \"tool\"]", 3, 3, 3),
        ("[\"tier\", \"tool\"]", 3, 0, 3),
        ("[\"address\", \"server\"]", 3, 0, 0),
    ] {
        let limit = format!("[[limit]]\nper = {per}\nrate = \"3/h\"\nalgorithm = \"sliding-window\"\n");
        let gate = setup(&web).table(&limit).key("other", "tier = \"test\"").start().await;
        let client = Caller::modern(&gate, "/mcp/web");
        let other = client.clone().with("Authorization", &format!("Bearer {}", gate.key_of("other")));
        let seen =
            (served(&client, "echo", 4).await, served(&other, "echo", 4).await, served(&client, "fail", 4).await);
        assert_eq!(seen, (own, other_client, other_tool), "per = {per}");
    }
}

#[tokio::test]
async fn a_budget_is_spent_by_what_tools_cost() {
    let web = web().await;
    let gate = Setup::default()
        .server("web", &(web.endpoints() + "\ntools.cost = { echo = 40, \"fa*\" = 0 }"))
        .limit("{ name = \"budget\", per = \"client\", quota = \"100/month\", count = \"cost\" }")
        .start()
        .await;
    for client in [Caller::modern(&gate, "/mcp/web"), Caller::legacy(&gate, "/mcp/web").await] {
        assert_eq!(served(&client, "fail", 3).await, 3, "what costs nothing is never refused");
    }
    let client = Caller::modern(&gate, "/mcp/web");
    assert_eq!(served(&client, "echo", 3).await, 2);
    let answer = client.call("1", "echo", json!({})).await.answer().await;
    let words = answer["error"]["message"].as_str().expect("words");
    assert!(
        words.starts_with(
            "The limit `budget` is reached: a cost of 100 per month (UTC) for you, and this call costs 40."
        ),
        "{words}"
    );
    assert_eq!(served(&client, "told", 21).await, 20, "twenty are left for calls that cost one");
}

fn quotas(gate: &Gate) -> Option<Value> {
    let text = std::fs::read_to_string(gate.folder().join("state/quotas.json")).ok()?;
    Some(serde_json::from_str(&text).expect("whole at any time"))
}

#[tokio::test]
async fn a_quota_survives_a_stop_and_a_crash() {
    let web = web().await;
    let mut gate =
        setup(&web).limit("{ name = \"daily\", per = [\"client\", \"tool\"], quota = \"5/day\" }").start().await;
    assert_eq!(served(&Caller::modern(&gate, "/mcp/web"), "echo", 2).await, 2);
    gate.restart(Signal::TERM).await;
    assert_eq!(served(&Caller::modern(&gate, "/mcp/web"), "echo", 2).await, 2);
    // A crash may lose what was not written yet: here it is.
    let written = || quotas(&gate).filter(|saved| saved["quotas"][0]["used"]["client=key:test, tool=web/echo"] == 4);
    wait::until("the quotas to be written", async || written()).await;
    gate.restart(Signal::KILL).await;
    let client = Caller::modern(&gate, "/mcp/web");
    assert_eq!(served(&client, "echo", 3).await, 1);
    assert_eq!(served(&client, "fail", 3).await, 3, "another tool has its own");
    // It is the same quota with another number.
    gate.change(|_| setup(&web).limit("{ name = \"daily\", per = [\"client\", \"tool\"], quota = \"7/day\" }"));
    gate.reload().await;
    assert_eq!(served(&client, "echo", 4).await, 2);
}

#[tokio::test]
async fn a_refused_call_takes_nothing_from_other_limits() {
    let web = web().await;
    let gate = setup(&web)
        .table("[[limit]]\nname = \"wide\"\nper = \"client\"\nrate = \"6/h\"\nalgorithm = \"sliding-window\"\n")
        .table("[[limit]]\nname = \"daily\"\nper = \"client\"\nquota = \"6/day\"\n")
        .limit("{ name = \"narrow\", per = [\"client\", \"tool\"], rate = \"2/h\" }")
        .start()
        .await;
    let client = Caller::modern(&gate, "/mcp/web");
    assert_eq!(served(&client, "echo", 9).await, 2);
    assert_eq!((served(&client, "fail", 9).await, served(&client, "told", 9).await), (2, 2));
    assert_eq!(served(&client, "link", 1).await, 0);
}

#[tokio::test]
async fn nothing_reaches_a_server_past_a_limit_of_where_it_comes_from() {
    let web = web().await;
    for per in ["global", "address", "listener"] {
        let limit = format!("[[limit]]\nname = \"all\"\nper = \"{per}\"\nrate = \"7/h\"\n");
        let gate = setup(&web).table(&limit).limit("{ per = \"client\", rate = \"1/h\" }").start().await;
        // A greeting, and the word that it was heard.
        let client = Caller::legacy(&gate, "/mcp/web").await;
        assert_eq!(client.request("1", "ping", json!({})).await.head.status, 200, "{per}");
        assert_eq!(client.request("2", "tools/list", json!({})).await.head.status, 200, "{per}");
        assert_eq!(client.notify("notifications/roots/list_changed", json!({})).await, 202, "{per}");
        assert_eq!(client.stream().await.head.status, 200, "{per}");
        let other = Caller::modern(&gate, "/mcp/web");
        assert_eq!(other.request("3", "tools/list", json!({})).await.head.status, 200, "{per}");
        let seen = web.record.all().len();
        let refused = client.request("4", "ping", json!({})).await.answer().await;
        assert_eq!(refused["error"]["data"]["limit"], "all", "{per}: {refused}");
        let refused = other.request("5", "tools/list", json!({})).await;
        assert_eq!((refused.head.status, refused.head.header("retry-after").is_some()), (503, true), "{per}");
        assert_eq!(other.request("6", "server/discover", json!({})).await.head.status, 503, "{per}");
        assert_ne!(client.notify("notifications/roots/list_changed", json!({})).await, 202, "{per}");
        assert_ne!(client.stream().await.head.status, 200, "{per}");
        assert_ne!(client.initialize().await.head.header("mcp-session-id").map(drop), Some(()), "{per}");
        assert_eq!(served(&client, "echo", 1).await, 0, "{per}");
        assert_eq!(web.record.all().len(), seen, "{per}: nothing of it reached the server");
        assert_ne!(client.end().await, 503, "{per}: who leaves is let go");
    }
}

#[tokio::test]
async fn a_stream_is_in_flight_while_it_is_open() {
    let web = web().await;
    let mut gate = setup(&web).start().await;
    let client = Caller::legacy(&gate, "/mcp/web").await;
    gate.change(|_| setup(&web).table("[[limit]]\nname = \"few\"\nper = \"address\"\nconcurrent = 1\n"));
    gate.reload().await;
    let stream = client.stream().await;
    assert_eq!(stream.head.status, 200);
    assert_eq!(served(&client, "echo", 1).await, 0);
    assert_ne!(client.stream().await.head.status, 200, "one client cannot hold many");
    drop(stream);
    wait::until("room for a call", async || (served(&client, "echo", 1).await == 1).then_some(())).await;
}
