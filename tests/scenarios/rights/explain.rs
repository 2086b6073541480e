//! `toolgate policy explain`: the rule that decides, with its line, and every condition with its outcome.

use serde_json::{Value, json};
use toolgate_tests::gate::{Gate, program};
use toolgate_tests::mcp::Era;

use crate::stage::Stage;

const ROLES: &str = r#"
[role.teller]
allow = ["web/*"]
deny = ["*/delete_*"]
when = [
  { tool = "web/transfer", argument = "/amount", at_most = 1000 },
  { tool = "web/*", argument = "/currency", one_of = ["EUR", 2, true], absent = "pass" },
]
"#;

async fn stage() -> Stage {
    Stage::with(|setup| {
        setup
            .table(ROLES)
            .key("teller", "roles = [\"teller\"]\nscopes = [\"*/t*\", \"*/delete_*\", \"*/prompt:hello\"]")
    })
    .await
}

/// `toolgate policy explain`: its exit status and what it said.
async fn explain(gate: &Gate, words: &[&str]) -> (i32, String) {
    toolgate(gate, &[&["policy", "explain"], words].concat()).await
}

async fn toolgate(gate: &Gate, words: &[&str]) -> (i32, String) {
    let mut command = std::process::Command::new(program("toolgate"));
    command.arg("--socket-dir").arg(gate.runtime_dir()).args(words);
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread").expect("toolgate");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("no signal"), text(&output.stdout) + &text(&output.stderr))
}

/// The number of the line of the configuration that holds this text.
fn line_of(gate: &Gate, text: &str) -> String {
    let config = std::fs::read_to_string(gate.folder().join("toolgate.toml")).expect("the configuration");
    let line = config.lines().position(|line| line.contains(text)).expect("the line") + 1;
    format!("toolgate.toml:{line})")
}

#[tokio::test]
async fn it_names_the_rule_that_decides_and_its_line() {
    let stage = stage().await;
    let who = ["--client", "key:teller"];
    for (what, name, code, rule, line) in [
        ("--tool", "web/delete_all", 1, "role.teller.deny \"*/delete_*\"", Some("deny =")),
        ("--tool", "web/task", 0, "role.teller.allow \"web/*\"", Some("allow =")),
        ("--tool", "web/echo", 1, "no scope allows it", None),
        ("--tool", "old/task", 1, "no role allows it", None),
        ("--prompt", "web/hello", 0, "role.teller.allow \"web/*\"", Some("allow =")),
        ("--prompt", "web/other", 1, "no scope allows it", None),
        ("--resource", "web/mem://one", 1, "no scope allows it", None),
    ] {
        let (exit, said) = explain(&stage.gate, &[&who[..], &[what, name]].concat()).await;
        assert_eq!(exit, code, "{name} {said}");
        assert!(said.contains(rule), "{name} {said}");
        assert!(line.is_none_or(|line| said.contains(&line_of(&stage.gate, line))), "{name} {said}");
    }
    let (exit, said) = explain(&stage.gate, &["--client", "key:other", "--tool", "web/echo"]).await;
    assert!(exit == 0 && said.contains("nothing narrows it"), "{said}");
    let (exit, said) = explain(&stage.gate, &["--role", "teller", "--tool", "web/echo"]).await;
    assert!(exit == 0 && said.contains("role.teller.allow"), "{said}");
}

#[tokio::test]
async fn it_shows_every_condition_with_its_value_and_decides_as_the_gate_does() {
    let stage = stage().await;
    let file = stage.gate.folder().join("arguments.json");
    let args = file.to_str().expect("a path");
    let tool = ["--client", "key:teller", "--tool", "web/transfer", "--args", args];
    std::fs::write(&file, r#"{"amount": 1e400, "currency": "USD"}"#).expect("a file");
    let (exit, said) = explain(&stage.gate, &tool).await;
    assert_eq!(exit, 1, "{said}");
    for text in [
        "role.teller.when \"web/transfer\" /amount",
        "1e400",
        "a number not above 1000",
        "one of \"EUR\", 2, true",
        "fails",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let (_, json) = explain(&stage.gate, &[&tool[..], &["--json"]].concat()).await;
    let explained: Value = serde_json::from_str(&json).unwrap_or_else(|_| panic!("{json}"));
    let outcomes: Vec<_> =
        explained["conditions"].as_array().expect("conditions").iter().map(|one| one["outcome"].clone()).collect();
    assert_eq!((&explained["allowed"], outcomes), (&json!(false), vec![json!("fails"), json!("fails")]));
    std::fs::write(&file, r#"{"amount": 1000.0}"#).expect("a file");
    let (exit, said) = explain(&stage.gate, &tool).await;
    assert!(exit == 0 && said.contains("absent, and passes") && said.contains("holds"), "{said}");
    std::fs::write(&file, r#"{"amount": 1, "amount": 2}"#).expect("a file");
    let (exit, said) = explain(&stage.gate, &tool).await;
    assert!(exit == 1 && said.contains("A call with these arguments is refused"), "{said}");
}

#[tokio::test]
async fn a_key_keeps_its_roles_when_it_is_taken_into_the_store_and_is_closed_without_them() {
    let mut stage = stage().await;
    let (exit, said) = toolgate(&stage.gate, &["key", "adopt", "teller"]).await;
    assert_eq!(exit, 0, "{said}");
    stage.gate.change(|setup| setup.without_key("teller"));
    stage.gate.reload().await;
    let (exit, said) = explain(&stage.gate, &["--client", "key:teller", "--tool", "web/delete_all"]).await;
    assert!(exit == 1 && said.contains("role.teller.deny"), "{said}");
    let client = stage.caller("teller", "/mcp/web", Era::Modern);
    assert!(client.call("1", "task_of_nobody", json!({})).await.answer().await.get("result").is_some());
    assert!(client.call("1", "delete_all", json!({})).await.answer().await.get("error").is_some());
    // A role that is gone opens nothing.
    stage.gate.change(|setup| setup.without_table("\n[role.teller]"));
    stage.gate.reload().await;
    assert_eq!(client.call("1", "task_of_nobody", json!({})).await.head.status, 401);
}

#[tokio::test]
async fn a_key_is_made_with_roles_that_exist() {
    let stage = stage().await;
    let (exit, said) = toolgate(&stage.gate, &["key", "create", "--owner", "ann", "--role", "boss"]).await;
    assert!(exit != 0 && said.contains("There is no role boss"), "{exit} {said}");
    let (exit, said) = toolgate(&stage.gate, &["key", "create", "--owner", "ann", "--role", "teller", "--json"]).await;
    let made: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{exit} {said}"));
    let id = made["id"].as_str().expect("an id");
    let (exit, said) = toolgate(&stage.gate, &["key", "show", id]).await;
    assert!(exit == 0 && said.contains("what its roles allow") && said.contains("teller"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_said() {
    let stage = stage().await;
    for (words, told) in [
        (&["--client", "key:nobody", "--tool", "web/echo"][..], "There is no client key:nobody"),
        (&["--client", "key:teller", "--tool", "nowhere/echo"], "The server nowhere does not exist"),
        (&["--client", "key:teller", "--tool", "echo"], "a server before its slash"),
        (&["--role", "boss", "--tool", "web/echo"], "There is no role boss"),
    ] {
        let (exit, said) = explain(&stage.gate, words).await;
        assert!(exit != 0 && said.contains(told), "{words:?} {said}");
    }
    assert_eq!(explain(&stage.gate, &["--client", "key:teller"]).await.0, 2);
    assert_eq!(explain(&stage.gate, &["--tool", "web/echo"]).await.0, 2);
    // It changes nothing, so the record of changes has nothing of it.
    let (_, audit) = stage.gate.control("GET", "/v1/audit?limit=10").await;
    assert_eq!(audit["records"], json!([]));
}
