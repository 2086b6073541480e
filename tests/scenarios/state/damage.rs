//! What the next process finds is not what the last one left: damaged, foreign, or no longer configured.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::Era;
use toolgate_tests::processes::marked;
use toolgate_tests::wait;

use crate::restarts::{command, gate, told};

async fn count(client: &Caller) -> Value {
    told(&client.call("7", "count", json!({})).await.answer().await)
}

async fn kill_and(gate: &mut Gate, between: impl FnOnce(&Gate)) {
    gate.signal(Signal::KILL);
    gate.ended().await;
    between(gate);
    gate.start_again().await;
}

#[tokio::test]
async fn damaged_state_is_set_aside_and_the_gate_serves() {
    let mark = format!("damage-{}", std::process::id());
    let mut gate = gate(&mark, |setup| setup).await;
    for (damage, at) in [("another version", 8), ("another maker", 0)] {
        let client = Caller::legacy(&gate, "/mcp/counter").await;
        count(&client).await;
        kill_and(&mut gate, |gate| {
            let path = gate.folder().join("state/sessions/records");
            let mut bytes = std::fs::read(&path).expect("the records");
            bytes[at] ^= 0x55;
            std::fs::write(&path, bytes).expect("the records");
        })
        .await;
        assert!(gate.log().contains("the file was set aside"), "{damage}");
        let lost = client.call("8", "count", json!({})).await;
        assert_eq!(lost.head.status, 404, "its client is told to begin anew");
        let fresh = Caller::legacy(&gate, "/mcp/counter").await;
        assert_eq!(count(&fresh).await["count"], 1);
    }
    let aside = std::fs::read_dir(gate.folder().join("state/sessions")).expect("the folder");
    let aside = aside.filter_map(Result::ok).filter(|file| file.file_name().to_string_lossy().contains("aside"));
    assert_eq!(aside.count(), 2);
}

#[tokio::test]
async fn one_damaged_record_costs_one_session() {
    let mark = format!("record-{}", std::process::id());
    let mut gate = gate(&mark, |setup| setup).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let client = Caller::legacy(&gate, "/mcp/counter").await;
        count(&client).await;
        clients.push(client);
    }
    let broken = clients[2].session.clone().expect("a session");
    kill_and(&mut gate, |gate| {
        let path = gate.folder().join("state/sessions/records");
        let mut bytes = std::fs::read(&path).expect("the records");
        let places: Vec<_> =
            (0..bytes.len() - broken.len()).filter(|at| bytes[*at..].starts_with(broken.as_bytes())).collect();
        assert!(!places.is_empty());
        for at in places {
            bytes[at] ^= 1;
        }
        std::fs::write(&path, bytes).expect("the records");
    })
    .await;
    for (place, client) in clients.iter().enumerate() {
        let answer = client.call("8", "count", json!({})).await;
        assert_eq!(answer.head.status, if place == 2 { 404 } else { 200 });
    }
    // The instance of the lost session has nobody.
    let counters = || marked(&mark).iter().filter(|(_, line)| line.trim_end().ends_with("/counter")).count();
    wait::until("the lost session's instance to end", async || {
        // Three of sessions, two spares, one that the lists come from.
        (counters() <= 2 * 6).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_systemd_a_session_goes_on_with_a_fresh_instance() {
    let mark = format!("alone-{}", std::process::id());
    let counter = format!("{}\ninstances = {{ per = \"session\" }}", command(&mark, ""));
    let mut gate = Setup::default().server("counter", &counter).daemon("lame_duck = \"10ms\"").start().await;
    let client = Caller::legacy(&gate, "/mcp/counter").await;
    let pid = count(&client).await["pid"].clone();
    for signal in [Signal::KILL, Signal::TERM] {
        gate.restart(signal).await;
        let now = count(&client).await;
        assert_eq!(now["count"], 1, "its instance ended with the gate");
        assert_ne!(now["pid"], pid);
    }
}

#[tokio::test]
async fn what_is_no_longer_configured_ends_and_the_rest_goes_on() {
    let mark = format!("config-{}", std::process::id());
    let mut gate = gate(&mark, |setup| setup.key("gone", "").key("stays", "")).await;
    let with =
        |key: String, path: &str| Caller::new(&gate, path, Era::Legacy).with("Authorization", &format!("Bearer {key}"));
    let gone = with(gate.key_of("gone"), "/mcp/counter").opened().await;
    let stays = with(gate.key_of("stays"), "/mcp/counter").opened().await;
    let shared = with(gate.key_of("stays"), "/mcp/shared").opened().await;
    for client in [&gone, &stays, &shared] {
        count(client).await;
    }
    let before = (count(&stays).await, count(&shared).await);
    let another = format!("{}\ninstances = {{ per = \"client\", max = 5 }}", command(&mark, ", ANOTHER = \"1\""));
    gate.change(|setup| setup.without_key("gone").server("shared", &another));
    // Nobody's descriptor comes back with the others.
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    gate.systemd().store("instance.counter.0123456789abcdef", OwnedFd::from(theirs));
    gate.restart(Signal::TERM).await;
    assert!(!gate.systemd().stored().iter().any(|name| name.ends_with("0123456789abcdef")));
    let mut end = [0; 1];
    assert_eq!(std::io::Read::read(&mut &ours, &mut end).expect("an end"), 0, "it is closed");

    let now = count(&stays).await;
    assert_eq!((&now["pid"], &now["count"]), (&before.0["pid"], &json!(3)));
    let now = count(&shared).await;
    assert_ne!(now["pid"], before.1["pid"], "its command is another");
    assert_eq!(now["count"], 1);
    assert_eq!(gone.call("9", "count", json!({})).await.head.status, 401);
    assert!(gate.log().contains("a session ends: what it stood on is no longer configured"));
}
