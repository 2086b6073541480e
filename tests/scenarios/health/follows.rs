//! Health and readiness follow the truth: a server that dies, a queue that fills, memory, a certificate, a disk, a drain.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::certificates::Certificates;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::faulty::{Fault, Faulty};
use toolgate_tests::gate::Setup;
use toolgate_tests::wait;

use crate::stage::Stage;

/// How soon it is promised to be seen is a second. On a machine that does other things as well it may be more; where it
/// is as much as this, something else has shown it.
const FAR_BEYOND: Duration = Duration::from_secs(8);

/// Said for whoever runs the test: how soon it was seen.
fn seen(what: &str, since: Instant) {
    let took = since.elapsed();
    eprintln!("{what}: seen after {} ms", took.as_millis());
    assert!(took < FAR_BEYOND, "{what} was seen after {took:?}");
}

/// A server in front of which faults are made.
async fn faulty() -> (Http, Faulty) {
    let behind = Http::start(Speaks::Both).await;
    let address = behind.url.trim_start_matches("http://").trim_end_matches("/mcp").parse().expect("an address");
    let faulty = Faulty::before(address).await;
    (behind, faulty)
}

#[tokio::test]
async fn a_server_dies_and_comes_back() {
    let (_behind, faulty) = faulty().await;
    let server = format!(
        "endpoints = \"http://{}/mcp\"\ncritical = true\n\
         health = {{ interval = \"200ms\", timeout = \"500ms\", rise = 1, fall = 1 }}\n",
        faulty.address
    );
    let stage = Stage::start(Setup::default().server("web", &server)).await;
    stage.until("server:web", "healthy").await;
    assert_eq!(stage.public("/ready").await, (200, json!({ "ready": true })));

    let died = Instant::now();
    faulty.set(Fault::Gone);
    let health = stage.until("server:web", "unhealthy").await;
    seen("a dead server", died);
    assert_eq!(health["status"], "unhealthy");
    assert_eq!((stage.page("/health").await.0, stage.public("/health").await.0), (503, 503));
    let (status, ready) = stage.page("/ready").await;
    let reason = ready["reason"].as_str().expect("a reason");
    assert!(status == 503 && reason.starts_with("critical server web: "), "{ready}");
    let told = stage.alert("server_trouble:web").await;
    assert_eq!(told["severity"], "critical", "{told}");
    assert_eq!(stage.toolgate(&["probe", "--ready"]).0, 1);

    faulty.set(Fault::None);
    stage.until("server:web", "healthy").await;
    assert_eq!(stage.public("/ready").await.0, 200);
    assert_eq!(stage.toolgate(&["probe", "--ready"]).0, 0);
}

#[tokio::test]
async fn a_critical_server_dies_of_which_nothing_else_is_written() {
    let (_behind, faulty) = faulty().await;
    let server = format!("endpoints = \"http://{}/mcp\"\ncritical = true\n", faulty.address);
    let stage = Stage::start(Setup::default().server("web", &server)).await;
    stage.until("server:web", "healthy").await;
    for (what, fault) in [("a critical server that hangs", Fault::Hangs), ("a dead critical server", Fault::Gone)] {
        let begun = Instant::now();
        faulty.set(fault);
        stage.until("server:web", "unhealthy").await;
        seen(what, begun);
        assert_eq!(stage.public("/ready").await.0, 503);
        let mended = Instant::now();
        faulty.set(Fault::None);
        stage.until("server:web", "healthy").await;
        seen("that it is back", mended);
        assert_eq!(stage.public("/ready").await.0, 200);
    }
}

#[tokio::test]
async fn a_server_dies_that_nobody_asks() {
    let (_behind, faulty) = faulty().await;
    let server = format!("endpoints = \"http://{}/mcp\"\n", faulty.address);
    let stage = Stage::start(Setup::default().server("web", &server)).await;
    Caller::modern(&stage.gate, "/mcp/web").call("1", "echo", json!({})).await.answer().await;
    stage.until("server:web", "healthy").await;
    let died = Instant::now();
    faulty.set(Fault::Gone);
    stage.until("server:web", "warning").await;
    seen("a dead server that nobody asks", died);
    assert_eq!(stage.public("/ready").await.0, 200, "it is not critical");
    let mended = Instant::now();
    faulty.set(Fault::None);
    stage.until("server:web", "healthy").await;
    seen("that it is back, without a call", mended);
}

#[tokio::test]
async fn a_queue_fills_and_empties() {
    let web = Http::start(Speaks::Both).await;
    let server = format!("{}\nmax_calls = 1\nqueue = {{ max_size = 4, timeout = \"60s\" }}\n", web.endpoints());
    let stage = Stage::start(Setup::default().server("web", &server)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let go = folder.path().join("go");
    let filled = Instant::now();
    let mut held = Vec::new();
    for _ in 0..5 {
        let client = Caller::modern(&stage.gate, "/mcp/web");
        let go = go.clone();
        held.push(tokio::spawn(async move { client.call("1", "hold", json!({ "until": go })).await.answer().await }));
    }
    let health = stage.until("queues", "unhealthy").await;
    seen("a full queue", filled);
    let message = health["checks"]["queues"]["message"].as_str().expect("a message");
    assert_eq!((message, &health["status"]), ("4 of 4 calls wait for web.", &json!("warning")));
    assert_eq!(health["pools"]["web"]["waiting"], 4);
    assert_eq!(stage.public("/ready").await.0, 200, "a queue is not critical unless somebody says so");
    stage.alert("queue_full").await;
    std::fs::write(&go, "").expect("a file");
    for call in held {
        assert!(call.await.expect("a call").get("result").is_some());
    }
    stage.until("queues", "healthy").await;
}

#[tokio::test]
async fn memory_runs_short() {
    let mut stage = Stage::start(Setup::default()).await;
    stage.until("memory", "healthy").await;
    let changed = Instant::now();
    stage.gate.change(|setup| setup.table("[overload]\nmemory_limit = \"1MiB\"\n"));
    stage.gate.reload().await;
    let health = stage.until("memory", "unhealthy").await;
    seen("memory", changed);
    assert_eq!((&health["status"], stage.public("/health").await.0), (&json!("unhealthy"), 503));
    let (status, ready) = stage.public("/ready").await;
    assert_eq!((status, &ready["reason"]), (503, &json!("critical check memory fails")));
    assert_eq!(stage.alert("memory").await["severity"], "critical");
    stage.gate.change(|setup| setup.without_table("[overload]"));
    stage.gate.reload().await;
    stage.until("memory", "healthy").await;
    assert_eq!(stage.public("/ready").await.0, 200);
}

#[tokio::test]
async fn a_certificate_ends_within_a_week_and_a_newer_one_is_refused() {
    let stage = Stage::start(Setup::default()).await;
    stage.until("certificate:test", "healthy").await;
    let folder = tempfile::tempdir().expect("a folder");
    let (files, ending) = (stage.gate.certificates(), Certificates::write_ending(folder.path(), 6));
    // Written as a renewal does, one file after the other.
    let changed = Instant::now();
    std::fs::copy(&ending.key, &files.key).expect("copied");
    std::fs::copy(&ending.chain, &files.chain).expect("copied");
    let health = stage.until("certificate:test", "warning").await;
    seen("a certificate with six days left", changed);
    let message = health["checks"]["certificate:test"]["message"].as_str().expect("a message");
    assert!(message.contains("ends in 5 days"), "{message}");
    let id = format!("certificate:test:{}", files.chain.display());
    let alert = stage.alert(&id).await;
    assert_eq!(alert["severity"], "warning", "{alert}");
    let (public, secret) = (stage.public("/health").await.1, files.chain.display().to_string());
    assert!(!public.to_string().contains(&secret), "{public}");

    let other = tempfile::tempdir().expect("a folder");
    std::fs::copy(Certificates::write(other.path()).chain, &files.chain).expect("copied");
    let refused = format!("certificate_refused:test:{}", files.chain.display());
    stage.alert(&refused).await;
    let (_, certs) = stage.gate.control("GET", "/v1/certs").await;
    let certificate = &certs["certificates"][0];
    assert_eq!((&certificate["listener"], &certificate["names"]), (&json!("test"), &json!(["localhost"])));
    assert!(certificate["refused"].as_str().is_some_and(|why| why.contains("does not go with the key")), "{certs}");
    assert_eq!(certificate["fingerprint"].as_str().map(str::len), Some(64));
    let (code, said) = stage.toolgate(&["certs"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("a newer certificate is not served") && said.contains("does not go with the key"), "{said}");
}

/// A small file system over a folder, until it is dropped. Needs root.
struct Small(PathBuf);

impl Small {
    fn over(folder: &Path) -> Self {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder).status();
        assert!(mounted.expect("mount").success(), "a file system cannot be mounted here");
        Self(folder.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_disk_fills() {
    let setup = Setup::default().table("[health]\ncritical = [\"memory\", \"disk\"]\n");
    let stage = Stage::start(setup).await;
    let kept = stage.gate.folder().join("state");
    let small = Small::over(&kept);
    let filled = Instant::now();
    let _ = std::fs::write(kept.join("filling"), vec![0; 2 << 20]);
    let health = stage.until("disk", "unhealthy").await;
    seen("a full disk", filled);
    assert!(health["checks"]["disk"]["message"].as_str().is_some_and(|said| said.ends_with("100 % full.")), "{health}");
    assert_eq!(stage.public("/ready").await.0, 503);
    stage.alert("disk_full").await;
    std::fs::remove_file(kept.join("filling")).expect("removed");
    stage.until("disk", "healthy").await;
    assert_eq!(stage.public("/ready").await.0, 200);
    drop(small);
}

#[tokio::test]
async fn a_drain_ends_readiness_at_once() {
    let mut stage = Stage::start(Setup::default().daemon("lame_duck = \"5s\"")).await;
    assert_eq!(stage.public("/ready").await.0, 200);
    let told = Instant::now();
    stage.gate.signal(Signal::TERM);
    let ready = wait::until("readiness to end", async || {
        let (status, ready) = stage.public("/ready").await;
        (status == 503).then_some(ready)
    })
    .await;
    seen("a drain", told);
    assert!(ready["reason"].as_str().is_some_and(|reason| reason.starts_with("draining")), "{ready}");
    assert_eq!(stage.public("/health").await.0, 200, "it is well, and leaves");
    stage.gate.ended().await;
}
