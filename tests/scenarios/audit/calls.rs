//! What is recorded of calls, refusals and changes, and how it is found again.

use rustix::process::Signal;
use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::wait;

use crate::stage::{search, state, toolgate, until, verify};

async fn start(table: &str) -> (Http, Gate) {
    let web = Http::start(Speaks::Both).await;
    let setup = Setup::default()
        .server("web", &web.endpoints())
        .table("[organisation.acme]\n")
        .key("narrow", "scopes = [\"web/secret\"]\norganisation = \"acme\"")
        .table(&format!("[audit]\n{table}\n"));
    (web, setup.start().await)
}

fn of_key(gate: &Gate, client: Caller, key: &str) -> Caller {
    client.with("Authorization", &format!("Bearer {}", gate.key_of(key)))
}

#[tokio::test]
async fn every_tool_call_is_a_line_with_who_what_and_how_it_ended() {
    let (_web, gate) = start("").await;
    let legacy = Caller::legacy(&gate, "/mcp/web").await;
    let modern = Caller::modern(&gate, "/mcp/web");
    let reply = legacy.call("1", "echo", json!({"b": 1, "a": "x"})).await;
    let id = reply.head.header("x-request-id").expect("an id").to_owned();
    reply.answer().await;
    modern.call("2", "echo", json!({"a": "x", "b": 1})).await.answer().await;
    modern.request("3", "tools/list", json!({})).await.answer().await;

    let lines = until(&gate, "kind=call&tool=echo", 2).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    // Each core hands over its own.
    let line = lines.iter().find(|line| line["call"] == json!(id)).expect("the line of the call");
    for (name, value) in [
        ("call", json!(id)),
        ("client", json!("key:test")),
        ("tier", json!("test")),
        ("address", json!("127.0.0.1")),
        ("listener", json!("test")),
        ("server", json!("web")),
        ("method", json!("tools/call")),
        ("decision", json!("allowed")),
        ("outcome", json!("ok")),
        ("status", json!(200)),
        ("revision", json!(1)),
    ] {
        assert_eq!(line[name], value, "{name} of {line}");
    }
    assert!(line["session"].is_string() && line["total_us"].as_u64().is_some_and(|us| us > 0), "{line}");
    assert!(line["arguments"].as_str().is_some_and(|hash| hash.starts_with("sha256:")), "{line}");
    assert_eq!(lines[0]["arguments"], lines[1]["arguments"], "the same arguments, however they are written");
    assert!(search(&gate, "kind=call").await.iter().all(|line| line["method"] == "tools/call"), "lists are no calls");
    assert_eq!(search(&gate, &format!("call={id}")).await.len(), 1);

    let (code, said) =
        toolgate(&gate, &["audit", "search", "--client", "key:test", "--tool", "echo", "--since", "1h"]).await;
    assert!(code == 0 && said.contains("web/echo") && said.contains("key:test") && said.contains(&id), "{code} {said}");
    let (code, said) = toolgate(&gate, &["audit", "verify"]).await;
    assert!(code == 0 && said.starts_with("The audit log is whole: "), "{code} {said}");
}

#[tokio::test]
async fn what_is_denied_is_a_line_and_a_flood_of_strangers_a_number() {
    let (_web, gate) = start("calls = \"denied\"").await;
    let narrow = of_key(&gate, Caller::modern(&gate, "/mcp/web"), "narrow");
    narrow.call("1", "echo", json!({})).await.answer().await;
    narrow.call("2", "secret", json!({})).await.answer().await;
    let lines = until(&gate, "client=key:narrow", 1).await;
    assert_eq!(lines.len(), 1, "the call that was allowed left none: {lines:?}");
    let line = &lines[0];
    assert_eq!(
        (&line["decision"], &line["outcome"], &line["organisation"]),
        (&json!("denied"), &json!("refused"), &json!("acme"))
    );
    assert!(line["rule"].as_str().is_some_and(|rule| !rule.is_empty()), "{line}");

    let stranger = Caller::modern(&gate, "/mcp/web")
        .with("Authorization", "Bearer tg_nobody_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for id in 0..40 {
        assert_eq!(stranger.call(&id.to_string(), "echo", json!({})).await.head.status, 401);
    }
    let lines = wait::until("all of them to be counted", async || {
        let lines = search(&gate, "kind=refused").await;
        let count: u64 = lines.iter().filter_map(|line| line["count"].as_u64()).sum();
        (count == 40).then_some(lines)
    })
    .await;
    assert!(lines.len() <= 3, "{lines:?}");
    assert_eq!((&lines[0]["address"], &lines[0]["rule"]), (&json!("127.0.0.1"), &json!("credential-refused")));
}

#[tokio::test]
async fn arguments_are_recorded_without_what_is_left_out() {
    let rules =
        "arguments = \"redacted\"\nredact = [\"/password\", \"/*/token\"]\nredact_patterns = [\"sk-[A-Za-z0-9]+\"]";
    let (_web, gate) = start(rules).await;
    let client = Caller::modern(&gate, "/mcp/web");
    let secret = json!({
        "password": "canary-one", "x": {"token": "canary-two", "kept": "visible"}, "text": "use sk-canary3 now",
        "key": gate.key(), "header": "Bearer canary-four-0123456789",
    });
    client.call("1", "echo", secret).await.answer().await;
    let lines = until(&gate, "kind=call&tool=echo", 1).await;
    let arguments = &lines[0]["arguments"];
    assert_eq!(
        (&arguments["password"], &arguments["x"]["kept"]),
        (&json!("[redacted]"), &json!("visible")),
        "{arguments}"
    );
    assert_eq!(arguments["text"], "use [redacted] now");
    let file = std::fs::read_to_string(state(&gate).join("audit.jsonl")).expect("the log");
    assert!(!file.contains("canary") && !file.contains(&gate.key()), "{file}");
    assert!(!gate.log().contains("canary"), "{}", gate.log());
}

#[tokio::test]
async fn changes_and_reloads_stand_among_the_calls() {
    let (_web, mut gate) = start("journal = true").await;
    Caller::modern(&gate, "/mcp/web").call("1", "echo", json!({})).await.answer().await;
    let (code, _) = toolgate(&gate, &["log", "set", "debug", "--reason", "a look"]).await;
    assert_eq!(code, 0);
    gate.change(|setup| setup.table("[loops]\nwarn = 5\n"));
    gate.signal(Signal::HUP);
    let reloads = until(&gate, "kind=reload", 1).await;
    assert_eq!(
        (&reloads[0]["outcome"], &reloads[0]["revision"], &reloads[0]["who"]),
        (&json!("done"), &json!(2), &json!("SIGHUP"))
    );
    let lines = until(&gate, "limit=100", 4).await;
    let numbers: Vec<_> = lines.iter().filter_map(|line| line["number"].as_u64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "one log, one count: {numbers:?}");
    let (code, said) = toolgate(&gate, &["audit", "tail", "-n", "20"]).await;
    for wanted in ["start", "call", "log.set", "a look", "reload"] {
        assert!(code == 0 && said.contains(wanted), "{wanted}: {said}");
    }
    assert!(gate.log().contains("\\\"kind\\\":\\\"call\\\""), "the log has it as well: {}", gate.log());
    gate.restart(Signal::TERM).await;
    let kinds: Vec<_> = until(&gate, "limit=100", 6).await.iter().map(|line| line["kind"].clone()).collect();
    assert!(kinds.contains(&json!("stop")) && kinds.iter().filter(|kind| **kind == "start").count() == 2, "{kinds:?}");
    assert_eq!(toolgate(&gate, &["audit", "verify"]).await.0, 0);
}

/// What somebody does to the lines of a log.
type Edit<'a> = &'a dyn Fn(&mut Vec<String>);

#[tokio::test]
async fn a_line_that_was_altered_is_found_by_its_number() {
    let (_web, mut gate) = start("").await;
    let client = Caller::modern(&gate, "/mcp/web");
    for id in 0..6 {
        client.call(&id.to_string(), "echo", json!({"id": id})).await.answer().await;
    }
    until(&gate, "kind=call", 6).await;
    gate.signal(Signal::TERM);
    gate.ended().await;
    let file = state(&gate).join("audit.jsonl");
    let text = std::fs::read_to_string(&file).expect("the log");
    let lines: Vec<&str> = text.lines().collect();
    let with = |edit: Edit<'_>| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        edit(&mut lines);
        std::fs::write(&file, lines.iter().fold(String::new(), |text, line| text + line + "\n")).expect("written");
    };
    let edits: [(&str, u64, Edit<'_>); 5] = [
        ("changed", 4, &|lines| lines[3] = lines[3].replace("key:test", "key:evil")),
        ("dropped", 4, &|lines| drop(lines.remove(3))),
        ("moved", 3, &|lines| lines.swap(2, 4)),
        ("put in", 5, &|lines| lines.insert(4, lines[4].replace("allowed", "denied"))),
        ("cut off", lines.len() as u64, &|lines| drop(lines.pop())),
    ];
    for (what, number, edit) in edits {
        with(edit);
        let (code, verdict) = verify(&state(&gate)).await;
        assert_eq!((code, verdict["findings"][0]["number"].as_u64()), (1, Some(number)), "{what}: {verdict}");
    }
    with(&|_| ());
    assert_eq!(verify(&state(&gate)).await.0, 0, "as it was, it is whole");
    with(edits[4].2);
    // The daemon goes on, and the gap stays.
    gate.start_again().await;
    let (code, said) = toolgate(&gate, &["audit", "verify"]).await;
    assert!(code == 1 && said.contains(&format!("Line {} is missing", lines.len())), "{code} {said}");
}
