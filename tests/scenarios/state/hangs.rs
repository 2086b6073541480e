//! The disk with the state does not answer: a file system that is frozen, where every write waits for its thaw.
//!
//! Needs root, for the loop device and the freeze.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::gate::Gate;
use toolgate_tests::processes::{marked, states_of_threads};
use toolgate_tests::wait;

use crate::restarts::{gate, tail, told};

/// A file system of its own, thawed and taken away when it is dropped: a process that writes to a frozen one cannot
/// even be killed.
struct Disk(PathBuf);

impl Disk {
    fn mount(image: &Path, at: &Path) -> Self {
        std::fs::File::create_new(image).and_then(|file| file.set_len(32 << 20)).expect("an image");
        run("mkfs.ext4", &["-q", text(image)]);
        run("mount", &["-o", "loop", text(image), text(at)]);
        Self(at.to_owned())
    }

    fn freeze(&self) {
        run("fsfreeze", &["--freeze", text(&self.0)]);
    }

    fn thaw(&self) {
        run("fsfreeze", &["--unfreeze", text(&self.0)]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for (program, arguments) in [("fsfreeze", ["--unfreeze", text(&self.0)]), ("umount", ["--lazy", text(&self.0)])]
        {
            // It may be thawed already.
            drop(Command::new(program).args(arguments).stderr(Stdio::null()).status());
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of plain text")
}

fn run(program: &str, arguments: &[&str]) {
    // Debian keeps them where only root looks.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let status = Command::new(program).args(arguments).env("PATH", path).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} {arguments:?}: this test needs root");
}

/// Threads that look at the state folder or write into it, and do nothing else.
const WRITERS: [&str; 7] = ["state", "history-file", "watch-file", "keys", "audit", "revisions", "steering"];

/// A gate whose state is on such a disk.
async fn gate_on_disk(mark: &str) -> (Gate, Disk) {
    let mut gate = gate(mark, |setup| setup).await;
    gate.signal(Signal::TERM);
    gate.ended().await;
    gate.systemd().forget();
    let disk = Disk::mount(&gate.folder().join("disk.img"), &gate.folder().join("state"));
    gate.start_again().await;
    (gate, disk)
}

async fn count(client: &Caller) -> Value {
    told(&client.call("1", "count", json!({})).await.answer().await)
}

/// Whether the gate's status says that the state is not written.
async fn is_in_trouble(gate: &Gate) -> bool {
    let (code, status) = gate.control("GET", "/v1/status").await;
    assert_eq!(code, 200, "{status}");
    status["warnings"].to_string().contains("the state cannot be written")
}

async fn until_in_trouble(gate: &Gate, wanted: bool) {
    wait::until("the status to tell of the disk", async || (is_in_trouble(gate).await == wanted).then_some(())).await;
}

#[tokio::test]
async fn reloads_while_the_disk_does_not_answer_hold_up_no_operator() {
    let mark = format!("reloads-{}", std::process::id());
    let (mut gate, disk) = gate_on_disk(&mark).await;
    let before = gate.control("GET", "/v1/version").await.1["revision"].as_u64().expect("a revision");
    disk.freeze();
    // More than have a turn at once at a socket.
    for round in 1..=7 {
        gate.change(|setup| setup.http(&format!("more{round}"), "http://127.0.0.1:9/mcp"));
        let (code, done) = ask(&gate, "/v1/config/reload").await;
        assert_eq!((code, done["revision"].as_u64()), (200, Some(before + round)), "{done}");
        assert!(done["problems"].to_string().contains("the disk does not answer"), "{done}");
        let (code, status) = gate.control("GET", "/v1/status").await;
        assert!(code == 200 && status["warnings"].to_string().contains("is not kept in"), "{status}");
        for path in ["/v1/servers/web/drain", "/v1/servers/web/resume"] {
            let (code, outcome) = ask(&gate, path).await;
            assert_eq!(code, 200, "{outcome}");
        }
    }
    assert!(waiting(&gate).iter().all(|name| WRITERS.contains(&name.as_str())), "{:?}", waiting(&gate));
    disk.thaw();
    wait::until("all to be kept", async || {
        let (_, history) = gate.control("GET", "/v1/config/history").await;
        let revisions = history["revisions"].as_array()?.iter().map(|one| one["revision"].as_u64());
        let newest = revisions.take(8).collect::<Option<Vec<_>>>()?;
        (newest == (before..=before + 7).rev().collect::<Vec<_>>()).then_some(())
    })
    .await;
    let (_, status) = gate.control("GET", "/v1/status").await;
    assert!(!status["warnings"].to_string().contains("is not kept in"), "{status}");
}

async fn ask(gate: &Gate, path: &str) -> (u16, Value) {
    let body = json!({ "reason": "while the disk hangs" });
    tokio::time::timeout(Duration::from_secs(60), gate.control_with("POST", path, &body)).await.expect("an answer")
}

/// Threads of the gate that wait for the disk.
fn waiting(gate: &Gate) -> Vec<String> {
    states_of_threads(gate.pid()).into_iter().filter(|(_, state)| *state == 'D').map(|(name, _)| name).collect()
}

#[tokio::test]
async fn a_disk_that_does_not_answer_holds_up_no_call_and_everything_is_kept_once_it_does() {
    let mark = format!("hang-{}", std::process::id());
    let (mut gate, disk) = gate_on_disk(&mark).await;
    let mut before = Vec::new();
    for _ in 0..4 {
        let client = Caller::legacy(&gate, "/mcp/counter").await;
        count(&client).await;
        before.push(client);
    }
    disk.freeze();
    let mut during = Vec::new();
    for round in 2..=40 {
        for client in &before {
            assert_eq!(count(client).await["count"], round, "calls are answered");
        }
        // Spares are taken by the first of them, the others start instances.
        if round % 8 == 0 {
            let client = Caller::legacy(&gate, "/mcp/counter").await;
            assert_eq!(count(&client).await["count"], 1, "sessions are opened");
            let web = Caller::legacy(&gate, "/mcp/web").await;
            assert_eq!(count(&web).await["count"], 1);
            during.push((client, web));
        }
    }
    until_in_trouble(&gate, true).await;
    let waiting = waiting(&gate);
    assert!(waiting.iter().any(|name| name == "state"), "{waiting:?}");
    assert!(waiting.iter().all(|name| WRITERS.contains(&name.as_str())), "no core waits for the disk: {waiting:?}");
    assert!(gate.log().contains("the disk is slow, or does not answer"), "{}", tail(&gate));

    disk.thaw();
    until_in_trouble(&gate, false).await;
    assert!(gate.log().contains("is kept across a restart again"), "{}", tail(&gate));
    gate.restart(Signal::KILL).await;
    for client in &before {
        assert_eq!(count(client).await["count"], 41, "{}", tail(&gate));
    }
    for (hosted, web) in &during {
        let (hosted, web) = (count(hosted).await, count(web).await);
        // The instance of a spare that was taken meanwhile is not; see below.
        assert!(hosted["count"] == 2 || hosted["count"] == 1, "{hosted}");
        assert_eq!(web["count"], 2, "{}", tail(&gate));
    }
}

#[tokio::test]
async fn a_gate_that_is_killed_while_its_disk_does_not_answer_mixes_nobody_up() {
    let mark = format!("killed-{}", std::process::id());
    let (mut gate, disk) = gate_on_disk(&mark).await;
    let before = Caller::legacy(&gate, "/mcp/counter").await;
    count(&before).await;
    wait::until("spares", async || (marked_counters(&mark) >= 3).then_some(())).await;
    disk.freeze();
    // What is in the writer's hands when the disk answers is written, although the process is gone.
    let first = Caller::legacy(&gate, "/mcp/web").await;
    let second = Caller::legacy(&gate, "/mcp/counter").await;
    let spare = count(&second).await["pid"].clone();
    gate.signal(Signal::KILL);
    disk.thaw();
    gate.ended().await;
    gate.start_again().await;
    assert_eq!(count(&before).await["count"], 2, "{}", tail(&gate));
    drop(first);
    assert_eq!(second.call("1", "count", json!({})).await.head.status, 404, "it is not kept");
    // As many as there were spares, and more.
    for _ in 0..4 {
        let client = Caller::legacy(&gate, "/mcp/counter").await;
        let counted = count(&client).await;
        assert_eq!(counted["count"], 1, "nobody gets an instance that another has used");
        assert_ne!(counted["pid"], spare);
    }
}

fn marked_counters(mark: &str) -> usize {
    marked(mark).iter().filter(|(_, line)| line.trim_end().ends_with("/counter")).count()
}
