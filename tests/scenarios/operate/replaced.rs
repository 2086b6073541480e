//! Instances of stdio servers that are replaced while clients call, and what is told of those that ended.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::task::LocalSet;
use toolgate_tests::gate::{Gate, Setup, program};
use toolgate_tests::load::{Calls, Clients, Pace, Seen, Until};
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

const ROUNDS: usize = 3;

fn toolgate(gate: &Gate, words: &[&str]) -> Output {
    let folder = gate.folder().join("run");
    Command::new(program("toolgate")).arg("--socket-dir").arg(folder).args(words).output().expect("a program")
}

fn standin(setup: Setup, name: &str, instances: &str) -> Setup {
    let command = program("standin").display().to_string();
    setup.stdio(name, &[&command, "--stdio"], instances)
}

async fn pids(gate: &Gate, server: &str) -> BTreeSet<u64> {
    let (status, answer) = gate.control("GET", &format!("/v1/servers/{server}")).await;
    assert_eq!(status, 200, "{answer}");
    let each = answer["instances"]["each"].as_array().expect("instances").clone();
    each.iter().filter_map(|instance| instance["pid"].as_u64()).collect()
}

#[tokio::test]
async fn instances_are_replaced_under_load_and_no_call_fails() {
    let setup = standin(Setup::default(), "shared", "per = \"all\", max = 2");
    let gate = standin(setup, "own", "per = \"session\"").start().await;
    let done = Rc::new(AtomicBool::new(false));
    let seen: Rc<RefCell<Vec<Seen>>> = Rc::default();
    let local = LocalSet::new();
    for (path, era) in [("/mcp/shared", Era::Modern), ("/mcp/shared", Era::Legacy), ("/mcp/own", Era::Legacy)] {
        let calls = Calls { aim: gate.aim(path, era), tool: "echo".to_owned(), padding: 100 };
        let clients = Clients::connect(calls, 2, Pace::PerSecond(200)).await;
        let (until, seen) = (Until::Told(Rc::clone(&done)), Rc::clone(&seen));
        local.spawn_local(async move {
            let one = clients.call(until).await;
            seen.borrow_mut().push(one);
        });
    }
    local
        .run_until(async {
            let mut replaced = 0;
            for _ in 0..ROUNDS {
                for server in ["shared", "own"] {
                    let before = wait::until("instances", async || {
                        Some(pids(&gate, server).await).filter(|pids| !pids.is_empty())
                    })
                    .await;
                    let said = toolgate(&gate, &["server", "restart", server, "--rolling"]);
                    assert!(said.status.success(), "{said:?}");
                    wait::until("other instances alone", async || {
                        let now = pids(&gate, server).await;
                        (!now.is_empty() && now.is_disjoint(&before)).then_some(())
                    })
                    .await;
                    replaced += before.len();
                }
            }
            done.store(true, Ordering::Relaxed);
            println!("{replaced} instances were replaced");
        })
        .await;
    local.await;
    let seen = seen.take();
    let calls: u64 = seen.iter().map(|seen| seen.calls).sum();
    println!("{calls} calls");
    assert!(calls > 1000, "too little load to mean anything: {calls} calls");
    for seen in seen {
        assert_eq!(seen.failed, 0, "{:?}\n{}", seen.reasons, gate.log());
    }
}

#[tokio::test]
async fn a_session_goes_on_with_another_instance_after_a_restart_at_once() {
    let gate = standin(Setup::default(), "own", "per = \"session\"").start().await;
    let mut client = gate.aim("/mcp/own", Era::Legacy).client().await.expect("a session");
    assert!(client.call("echo", json!({})).await.expect("an answer").succeeded());
    let before = pids(&gate, "own").await;
    let would = toolgate(&gate, &["server", "restart", "own", "--dry-run"]);
    assert!(String::from_utf8_lossy(&would.stdout).starts_with("Nothing was changed."), "{would:?}");
    assert_eq!(pids(&gate, "own").await, before);
    let unconfirmed = toolgate(&gate, &["server", "restart", "own"]);
    let told = String::from_utf8_lossy(&unconfirmed.stderr).into_owned();
    assert!(unconfirmed.status.code() == Some(2) && told.contains("--confirm own"), "{told}");
    let stale = toolgate(&gate, &["server", "restart", "own", "--confirm", "own", "--if-match", "999"]);
    assert!(!stale.status.success(), "another revision runs");
    assert!(toolgate(&gate, &["server", "restart", "own", "--confirm", "own"]).status.success());
    let session = client.session().map(ToOwned::to_owned);
    assert!(client.call("echo", json!({})).await.expect("an answer").succeeded(), "{}", gate.log());
    assert_eq!(client.session().map(ToOwned::to_owned), session);
    assert!(pids(&gate, "own").await.is_disjoint(&before));
    let refused = toolgate(&gate, &["server", "restart", "none"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("There is no server none."), "{refused:?}");
}

#[tokio::test]
async fn what_an_instance_said_before_it_ended_is_shown_to_those_who_act() {
    let script = "echo the database is missing >&2; exit 3";
    let gate = Setup::default().stdio("bad", &["sh", "-c", script], "max = 1").start().await;
    assert!(gate.aim("/mcp/bad", Era::Legacy).client().await.is_err());
    let shown = wait::until("the end", async || {
        let said = toolgate(&gate, &["server", "show", "bad"]);
        Some(String::from_utf8_lossy(&said.stdout).into_owned()).filter(|text| text.contains("ended last"))
    })
    .await;
    assert!(shown.contains("status 3") && shown.contains("  the database is missing"), "{shown}");
    let (_, status) = gate.control("GET", "/v1/status").await;
    let end: &Value = &status["servers"][0]["instances"]["last_end"];
    assert_eq!((&end["status"], &end["stderr"]), (&json!(3), &json!([])), "{status}");
    assert!(gate.log().contains("an instance ended by itself: its process ended with status 3"), "{}", gate.log());
}

#[tokio::test]
async fn an_instance_that_uses_its_share_of_memory_is_replaced_whoever_counts_it() {
    let unruly = program("unruly").display().to_string();
    let instances = "per = \"all\", max = 2, memory = \"1G\", recycle_at = \"10%\"";
    let gate = Setup::default().stdio("leaky", &[&unruly, "--leak"], instances).start().await;
    let mut client = gate.aim("/mcp/leaky", Era::Legacy).client().await.expect("a session");
    assert!(client.call("pid", json!({})).await.expect("an answer").succeeded(), "{}", gate.log());
    let before = pids(&gate, "leaky").await;
    // Each call leaks 16 MB.
    for _ in 0..8 {
        assert!(client.call("pid", json!({})).await.expect("an answer").succeeded(), "{}", gate.log());
    }
    wait::until("the leaking instance to go", async || pids(&gate, "leaky").await.is_disjoint(&before).then_some(()))
        .await;
    assert!(client.call("pid", json!({})).await.expect("an answer").succeeded(), "{}", gate.log());
}
