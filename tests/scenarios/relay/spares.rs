//! Instances that are started in advance.

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::processes::{MARK_NAME, marked};
use toolgate_tests::wait::until;

async fn start(server: &Stdio, mark: &str, instances: &str) -> Gate {
    let lines = format!("{}env = {{ {MARK_NAME} = {mark:?} }}\ninstances = {{ {instances} }}\n", server.command());
    Setup::default().server("old", &lines).start().await
}

async fn instances(gate: &Gate) -> Value {
    let (status, answer) = gate.control("GET", "/v1/status").await;
    assert_eq!(status, 200, "{answer}");
    answer["servers"][0]["instances"].clone()
}

async fn until_spare(gate: &Gate, spares: u64) {
    until("spares", async || (instances(gate).await["spares"] == spares).then_some(())).await;
}

fn pids(mark: &str) -> Vec<String> {
    marked(mark).into_iter().map(|(pid, _)| pid.to_string()).collect()
}

#[tokio::test]
async fn a_session_s_first_call_finds_its_instance_started() {
    let mark = format!("spare-{}", std::process::id());
    for speaks in [Speaks::Legacy, Speaks::Both] {
        let server = Stdio::new(speaks);
        let gate = start(&server, &mark, "per = \"session\", spares = 1").await;
        until_spare(&gate, 1).await;
        // The introduction takes the first; what a session gets is the one after it.
        let client = Caller::legacy(&gate, "/mcp/old").await;
        until_spare(&gate, 1).await;
        // A wrapper says that it is there before its program is.
        let before = until("two programs", async || Some(pids(&mark)).filter(|pids| pids.len() == 2)).await;
        assert!(client.call("1", "echo", json!({})).await.answer().await["result"].is_object());
        let who = server.record.of("tools/call").pop().expect("a call").who;
        assert!(before.contains(&who), "{speaks:?}: {who} is none of {before:?}");
        until_spare(&gate, 1).await;
        assert_eq!(instances(&gate).await["running"], 3, "{speaks:?}");
    }
}

#[tokio::test]
async fn a_spare_keeps_no_session_from_the_last_place() {
    let mark = format!("last-{}", std::process::id());
    let server = Stdio::new(Speaks::Legacy);
    let gate = start(&server, &mark, "per = \"session\", spares = 3, max = 3").await;
    until_spare(&gate, 3).await;
    let (one, two) = (Caller::legacy(&gate, "/mcp/old").await, Caller::legacy(&gate, "/mcp/old").await);
    for client in [&one, &two] {
        assert!(client.call("1", "echo", json!({})).await.answer().await["result"].is_object());
    }
    let now = instances(&gate).await;
    assert_eq!((&now["running"], &now["spares"]), (&json!(3), &json!(0)));
}

#[tokio::test]
async fn a_spare_that_was_killed_is_replaced_and_none_outlives_the_gate() {
    let mark = format!("killed-{}", std::process::id());
    let server = Stdio::new(Speaks::Legacy);
    let mut gate = start(&server, &mark, "spares = 2").await;
    until_spare(&gate, 2).await;
    for (pid, command) in marked(&mark) {
        if command.starts_with(server_program().as_str()) {
            let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("a process id");
            rustix::process::kill_process(pid, Signal::KILL).expect("a running spare");
        }
    }
    until("their ends", async || gate.log().contains("ended right after its start").then_some(())).await;
    until_spare(&gate, 2).await;
    gate.signal(Signal::TERM);
    assert!(gate.ended().await.success());
    until("the last spare to end", async || pids(&mark).is_empty().then_some(())).await;
}

fn server_program() -> String {
    toolgate_tests::gate::program("fake").display().to_string()
}
