//! Keys of the store: made, changed and taken away while clients use them.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::gate::Gate;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::{PATHS, change, held, newest, start, tool, toolgate, until_running};

/// A key that was just made: its id and its text.
async fn made(gate: &Gate, request: Value) -> (String, String) {
    let made = change(gate, "POST", "/v1/keys", request).await;
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("id"), text("key"))
}

fn with(client: Caller, key: &str) -> Caller {
    client.with("Authorization", &format!("Bearer {key}"))
}

fn modern(gate: &Gate, path: &str, key: &str) -> Caller {
    with(Caller::modern(gate, path), key)
}

async fn legacy(gate: &Gate, path: &str, key: &str) -> Caller {
    with(Caller::new(gate, path, Era::Legacy), key).opened().await
}

/// The status of a call, and what it says.
async fn asked(client: &Caller, path: &str) -> (u16, Value) {
    let reply = client.call("5", &tool(path, "echo"), json!({})).await;
    (reply.head.status, reply.answer().await)
}

fn message(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_key_is_known_at_once_and_its_secret_is_told_once() {
    let (_three, mut gate) = start().await;
    let (id, key) = made(&gate, json!({"owner": "ann", "scopes": ["web/*"], "reason": "a trial"})).await;
    let (secret, record) = (key.rsplit('_').next().expect("a secret").to_owned(), newest(&gate).await);
    assert_eq!((&record["action"], &record["target"]), (&json!("key.add"), &json!("ann")), "{record}");
    assert_eq!(record["after"]["id"], json!(id), "{record}");
    for path in ["/mcp/web", "/mcp/old"] {
        let (status, answer) = asked(&modern(&gate, path, &key), path).await;
        let open = path == "/mcp/web";
        assert_eq!((status, answer.get("result").is_some()), (if open { 200 } else { 404 }, open), "{path}: {answer}");
    }
    let (status, _) = asked(&modern(&gate, "/mcp/web", &format!("{key}x")), "/mcp/web").await;
    assert_eq!(status, 401);
    let (_, row) = gate.control("GET", &format!("/v1/keys/{id}")).await;
    assert_eq!((&row["owner"], &row["state"], &row["uses"]), (&json!("ann"), &json!("active"), &json!(2)), "{row}");
    let (_, clients) = gate.control("GET", "/v1/clients").await;
    let client = clients["clients"].as_array().expect("rows").iter().find(|row| row["id"] == format!("key:{id}"));
    assert_eq!(client.expect("a row")["owner"], "ann");
    gate.restart(rustix::process::Signal::KILL).await;
    assert_eq!(asked(&modern(&gate, "/mcp/web", &key), "/mcp/web").await.0, 200);
    let (_, again) = gate.control("GET", &format!("/v1/keys/{id}")).await;
    assert!(!format!("{row}{again}{}", gate.log()).contains(&secret));
    let all =
        [std::fs::read(gate.folder().join("state/audit.jsonl")), std::fs::read(gate.folder().join("state/keys.redb"))];
    for bytes in all {
        let bytes = bytes.expect("a file");
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "the secret is written down");
    }
}

#[tokio::test]
async fn what_is_done_with_a_key_ends_with_it() {
    let (_three, gate) = start().await;
    for path in PATHS {
        for verb in ["revoke", "suspend", "expire"] {
            let mut request = json!({"owner": "ann"});
            if verb == "expire" {
                request["expires_seconds"] = json!(6);
            }
            let (id, key) = made(&gate, request).await;
            let (old, new) = (legacy(&gate, path, &key).await, modern(&gate, path, &key));
            let other = held(&Caller::modern(&gate, path), path);
            let mut stream = old.stream().await;
            let calls = [held(&old, path), held(&new, path)];
            if verb != "expire" {
                until_running(&gate, 4).await;
                let body = if verb == "suspend" { json!({"say": "Ask SRE."}) } else { json!({}) };
                let outcome = change(&gate, "POST", &format!("/v1/keys/{id}/{verb}"), body).await;
                assert_eq!(
                    (&outcome["calls"], &outcome["sessions"]),
                    (&json!(3), &json!(1)),
                    "{path} {verb}: {outcome}"
                );
                let record = newest(&gate).await;
                assert_eq!((&record["action"], &record["target"]), (&json!(format!("key.{verb}")), &json!(id)));
            }
            let words = match verb {
                "suspend" => "Ask SRE. Whether",
                "revoke" => "This API key was revoked. Whether",
                _ => "This API key has expired. Whether",
            };
            for call in calls {
                let answer = call.await.expect("no panic");
                assert!(message(&answer).starts_with(words), "{path} {verb}: {answer}");
            }
            while stream.next().await.is_some() {}
            let (status, answer) = asked(&new, path).await;
            assert_eq!(status, if verb == "suspend" { 403 } else { 401 }, "{path} {verb}: {answer}");
            let words = &words[..words.len() - "Whether".len()];
            assert!(message(&answer).starts_with(words.trim_end()), "{path} {verb}: {answer}");
            let reply = with(Caller::new(&gate, path, Era::Legacy), &key).initialize().await;
            assert_eq!(reply.head.status, if verb == "suspend" { 200 } else { 401 }, "{path} {verb}");
            if verb == "suspend" {
                change(&gate, "POST", &format!("/v1/keys/{id}/resume"), json!({})).await;
                assert_eq!(asked(&new, path).await.0, 200, "{path}: it works again");
            }
            if verb == "expire" {
                let log = gate.folder().join("state/audit.jsonl");
                let ended = |line: &str| line.contains("key-expired") && line.contains(&format!("key:{id}"));
                let told = async || std::fs::read_to_string(&log).ok()?.lines().any(ended).then_some(());
                wait::until("a line of the end", told).await;
            }
            until_running(&gate, 1).await;
            other.abort();
            until_running(&gate, 0).await;
        }
    }
}

#[tokio::test]
async fn what_is_done_with_a_key_ends_when_the_files_lose_it() {
    let (_three, mut gate) = start().await;
    let other = legacy(&gate, "/mcp/web", &gate.key_of("other")).await;
    let mut stream = other.stream().await;
    let call = held(&other, "/mcp/web");
    let goes_on = held(&Caller::modern(&gate, "/mcp/web"), "/mcp/web");
    until_running(&gate, 3).await;
    gate.change(|setup| setup.without_key("other"));
    gate.reload().await;
    assert!(message(&call.await.expect("no panic")).starts_with("This API key was taken away."));
    while stream.next().await.is_some() {}
    until_running(&gate, 1).await;
    goes_on.abort();
}

#[tokio::test]
async fn calls_of_a_revoked_key_leave_the_queue() {
    let lines = "max_calls = 1\nqueue = { timeout = \"60s\" }\n";
    let (_three, setup) = toolgate_tests::fake::three::Three::start(lines).await;
    let gate = setup.start().await;
    let (id, key) = made(&gate, json!({"owner": "ann"})).await;
    let running = held(&Caller::modern(&gate, "/mcp/web"), "/mcp/web");
    until_running(&gate, 1).await;
    let client = modern(&gate, "/mcp/web", &key);
    let waiting = [held(&client, "/mcp/web"), held(&client, "/mcp/web")];
    until_running(&gate, 3).await;
    let outcome = change(&gate, "POST", &format!("/v1/keys/{id}/revoke"), json!({})).await;
    assert_eq!((&outcome["queued"], &outcome["calls"]), (&json!(2), &json!(2)), "{outcome}");
    for call in waiting {
        assert!(message(&call.await.expect("no panic")).starts_with("This API key was revoked."));
    }
    running.abort();
}

#[tokio::test]
async fn both_secrets_open_while_a_key_is_rotated() {
    let (_three, gate) = start().await;
    let (id, first) = made(&gate, json!({"owner": "ann"})).await;
    let route = format!("/v1/keys/{id}/rotate");
    let second = change(&gate, "POST", &route, json!({"overlap_seconds": 3600})).await;
    let second = second["key"].as_str().expect("a key").to_owned();
    let status = async |key: &str| asked(&modern(&gate, "/mcp/web", key), "/mcp/web").await.0;
    assert_eq!((status(&first).await, status(&second).await), (200, 200));
    let third = change(&gate, "POST", &route, json!({})).await;
    let third = third["key"].as_str().expect("a key").to_owned();
    assert_eq!((status(&first).await, status(&second).await, status(&third).await), (401, 401, 200));
    change(&gate, "POST", &route, json!({"overlap_seconds": 1})).await;
    assert_eq!(status(&third).await, 200);
    wait::until("the end of the overlap", || async { (status(&third).await == 401).then_some(()) }).await;
}

#[tokio::test]
async fn a_key_opens_from_its_networks_alone_and_the_log_says_why_not() {
    let (_three, gate) = start().await;
    let (_, near) = made(&gate, json!({"owner": "near", "networks": ["127.0.0.0/8"]})).await;
    let (id, far) = made(&gate, json!({"owner": "far", "networks": ["10.0.0.0/8", "fd00::/8"]})).await;
    assert_eq!(asked(&modern(&gate, "/mcp/web", &near), "/mcp/web").await.0, 200);
    let (status, answer) = asked(&modern(&gate, "/mcp/web", &far), "/mcp/web").await;
    let (_, unknown) = asked(&modern(&gate, "/mcp/web", "tg_nobody_secret"), "/mcp/web").await;
    assert_eq!((status, message(&answer)), (401, message(&unknown)), "it looks like a key that nobody has");
    wait::until("the reason in the log", || async {
        gate.log().contains(&format!("the key {id} may not come from 127.0.0.1")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn keys_of_the_files_are_adopted_and_theirs_holds_until_they_are_gone() {
    let (_three, mut gate) = start().await;
    let (status, refused) = gate.control_with("POST", "/v1/keys/other/revoke", &json!({})).await;
    assert!(status == 400 && refused["remedy"].as_str().expect("words").contains("key adopt other"), "{refused}");
    let (code, said) = toolgate(&gate, &["key", "adopt", "--all"]).await;
    assert!(code == 0 && said.contains("2 keys more: other, test"), "{said}");
    let (code, said) = toolgate(&gate, &["key", "adopt", "other"]).await;
    assert!(code == 1 && said.contains("already"), "{code} {said}");
    let (_, told) = gate.control("GET", "/v1/status").await;
    assert!(told["warnings"].to_string().contains("2 keys are in the files and in the key store"), "{told}");
    let (_, checked) = gate.control("POST", "/v1/config/check").await;
    assert!(checked["problems"].to_string().contains("other, test"), "{checked}");
    let other = modern(&gate, "/mcp/web", &gate.key_of("other"));
    gate.change(|setup| setup.without_key("other"));
    gate.reload().await;
    assert_eq!(asked(&other, "/mcp/web").await.0, 200, "it is in the store");
    let (code, said) = toolgate(&gate, &["key", "revoke", "other"]).await;
    assert!(code == 2 && said.contains("--confirm other"), "{code} {said}");
    let (code, said) = toolgate(&gate, &["key", "revoke", "other", "--confirm", "other", "--reason", "gone"]).await;
    assert!(code == 0 && said.contains("is revoked for good"), "{code} {said}");
    assert_eq!(asked(&other, "/mcp/web").await.0, 401);
}

#[tokio::test]
async fn an_import_is_all_or_nothing_and_tells_lines() {
    let (_three, gate) = start().await;
    let file = gate.folder().join("keys.csv");
    let path = file.to_str().expect("a path").to_owned();
    let hash = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let write = |lines: &[String]| {
        std::fs::write(&file, format!("id,hash,owner,tier,expires\n{}\n", lines.join("\n"))).expect("a file");
    };
    write(&[format!("ann12,{},Ann,test,", hash("a")), format!("bob12,{},Bob,nope,", hash("b")), "x,y,z,,2020".into()]);
    let (code, said) = toolgate(&gate, &["key", "import", &path]).await;
    assert!(code != 0 && said.contains("keys.csv:3: error: There is no tier nope."), "{code} {said}");
    assert!(said.contains("keys.csv:4: error"), "{said}");
    let (_, keys) = gate.control("GET", "/v1/keys?filter=store").await;
    assert_eq!(keys["keys"], json!([]));
    write(&[format!("ann12,{},Ann,test,", hash("a")), format!("bob12,{},Bob,,2999-01-01", hash("b"))]);
    let (code, said) = toolgate(&gate, &["key", "import", &path, "--dry-run"]).await;
    assert!(code == 0 && said.starts_with("Nothing was changed."), "{code} {said}");
    let (code, said) = toolgate(&gate, &["key", "import", &path]).await;
    assert!(code == 0 && said.contains("2 keys more: ann12, bob12"), "{code} {said}");
    let (_, keys) = gate.control("GET", "/v1/keys?filter=store&limit=1").await;
    assert_eq!((&keys["keys"][0]["id"], &keys["next"]), (&json!("ann12"), &json!("ann12")), "{keys}");
    let (_, keys) = gate.control("GET", "/v1/keys?filter=store&limit=1&after=ann12").await;
    assert_eq!((&keys["keys"][0]["id"], keys.get("next")), (&json!("bob12"), None), "{keys}");
}

#[tokio::test]
async fn a_key_is_made_looked_at_and_changed_at_a_prompt() {
    let (_three, gate) = start().await;
    let create =
        ["--json", "key", "create", "--owner", "ci", "--tier", "test", "--network", "127.0.0.0/8", "--expires", "90d"];
    let (code, said) = toolgate(&gate, &create).await;
    assert_eq!(code, 0, "{said}");
    let made: Value = serde_json::from_str(&said).expect("JSON");
    let (id, key) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a key"));
    let client = modern(&gate, "/mcp/web", key);
    assert_eq!(asked(&client, "/mcp/web").await.0, 200);
    let (code, said) = toolgate(&gate, &["key", "show", key]).await;
    assert!(code == 0 && said.contains("127.0.0.0/8") && said.contains("active"), "{said}");
    let (code, said) = toolgate(&gate, &["key", "list"]).await;
    assert!(code == 0 && said.contains(id) && said.contains("files"), "{said}");
    let (code, said) = toolgate(&gate, &["key", "suspend", id, "--say", "loop; ask SRE"]).await;
    assert!(code == 0 && said.contains("is suspended"), "{said}");
    let (_, answer) = asked(&client, "/mcp/web").await;
    assert!(message(&answer).starts_with("loop; ask SRE."), "{answer}");
    let (code, said) = toolgate(&gate, &["key", "resume", id]).await;
    assert!(code == 0 && said.contains("may call again"), "{said}");
    let (code, said) = toolgate(&gate, &["key", "rotate", id, "--overlap", "24h"]).await;
    assert!(code == 0 && said.contains("opens until") && said.contains(&format!("tg_{id}_")), "{said}");
    let (code, said) = toolgate(&gate, &["key", "create", "--owner", "ci", "--tier", "tset"]).await;
    assert!(code != 0 && said.contains("Did you mean test?"), "{code} {said}");
    let (code, said) = toolgate(&gate, &["key", "create", "--owner", "ci", "--offline"]).await;
    assert!(code == 0 && said.contains("[key."), "{said}");
    let (code, said) = toolgate(&gate, &["key", "create", "--owner", "ci", "--offline", "--expires", "1d"]).await;
    assert!(code == 2 && said.contains("--expires"), "{code} {said}");
}
