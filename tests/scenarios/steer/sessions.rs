//! Sessions that end by hand: their clients learn it, their calls end, others go on.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::Setup;
use toolgate_tests::wait;

use crate::stage::{PATHS, change, held, newest, of_key, start, tool, until_running};

/// Whether the session of a client is there.
async fn lives(client: &Caller, path: &str) -> bool {
    client.call("9", &tool(path, "echo"), json!({})).await.answer().await.get("result").is_some()
}

#[tokio::test]
async fn sessions_that_match_end_with_their_calls_and_streams_and_others_stay() {
    let (_three, gate) = start().await;
    for path in PATHS {
        let (client, other) =
            (Caller::legacy(&gate, path).await, Caller::new(&gate, path, toolgate_tests::mcp::Era::Legacy));
        let other = of_key(&gate, other, "other").opened().await;
        assert!(lives(&client, path).await && lives(&other, path).await, "{path}");
        let mut stream = client.stream().await;
        assert_eq!(stream.head.status, 200, "{path}");
        let call = held(&client, path);
        until_running(&gate, 2).await;
        let matching = json!({"client": "key:test", "dry_run": true});
        let outcome = change(&gate, "POST", "/v1/sessions/end", matching).await;
        assert_eq!(outcome, json!({"applied": false, "sessions": 1, "calls": 2}), "{path}");
        let matching = json!({"client": "key:test", "reason": "it hangs"});
        let outcome = change(&gate, "POST", "/v1/sessions/end", matching).await;
        assert_eq!(outcome, json!({"applied": true, "sessions": 1, "calls": 2}), "{path}");
        let answer = call.await.expect("no panic");
        let said = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(said.starts_with("The operator of this gate has ended the session"), "{path}: {answer}");
        assert_eq!(answer["id"], 7, "{path}: {answer}");
        while stream.next().await.is_some() {}
        let gone = client.call("9", &tool(path, "echo"), json!({})).await;
        assert_eq!(gone.head.status, 404, "{path}");
        assert!(lives(&other, path).await, "{path}");
        let record = newest(&gate).await;
        assert_eq!((&record["action"], &record["target"]), (&json!("session.end"), &json!("key:test")), "{record}");
        assert_eq!((&record["reason"], &record["after"]["sessions"]), (&json!("it hangs"), &json!(1)), "{record}");
        assert_eq!(record["uid"], rustix::process::getuid().as_raw(), "{record}");
        assert!(lives(&Caller::legacy(&gate, path).await, path).await, "{path}: a new one opens");
        change(&gate, "POST", "/v1/sessions/end", json!({"idle_seconds": 0})).await;
    }
}

#[tokio::test]
async fn what_names_no_session_is_told_so_and_recorded() {
    let (_three, gate) = start().await;
    let (status, answer) = gate.control_with("POST", "/v1/sessions/end", &json!({"reason": "all of them?"})).await;
    assert_eq!((status, &answer["code"]), (400, &json!("bad_request")), "{answer}");
    let record = newest(&gate).await;
    assert!(record["outcome"].as_str().is_some_and(|outcome| outcome.starts_with("Nothing says")), "{record}");
    let (status, _) = gate.control_with("POST", "/v1/sessions/0123456789abcdef/end", &json!({})).await;
    assert_eq!(status, 404);
    assert_eq!(newest(&gate).await["target"], "0123456789abcdef");
    wait::until("the journal to have it", || async {
        gate.log().contains("session.end 0123456789abcdef").then_some(Value::Null)
    })
    .await;
}

#[tokio::test]
async fn a_reload_says_before_how_many_sessions_it_ends() {
    let web = Http::start(Speaks::Both).await;
    let extra = format!("[server.extra]\n{}\n", web.endpoints());
    let mut gate = Setup::default().http("web", &web.url).table(&extra).start().await;
    let ending = Caller::legacy(&gate, "/mcp/extra").await;
    let staying = Caller::legacy(&gate, "/mcp/web").await;
    gate.change(|setup| setup.without_table("[server.extra]"));
    for dry_run in [true, false] {
        let (status, told) = gate.control_with("POST", "/v1/config/reload", &json!({ "dry_run": dry_run })).await;
        let changes = told["changes"].as_array().expect("a list");
        let ends = |change: &Value| {
            change.as_str().is_some_and(|change| change.starts_with("sessions that end") && change.ends_with(": 1"))
        };
        assert!(status == 200 && told["applied"] == !dry_run && changes.iter().any(ends), "{told}");
        let lives = ending.call("1", "echo", json!({})).await.head.status == 200;
        assert_eq!(lives, dry_run, "nothing is done before it is meant");
    }
    assert!(staying.call("1", "echo", json!({})).await.answer().await.get("result").is_some());
}
