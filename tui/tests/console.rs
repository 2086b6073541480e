//! The console on a terminal: it gives back what it took, whatever ends it.

mod common;
#[path = "common/pty.rs"]
mod pty;

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Answer, Request, run, serve, toolgate};
use pty::{Pty, ended};
use rustix::process::{Pid, Signal, kill_process};

const OVERVIEW: &str = r#"{"type":"topic","at_ms":1795788200000,"topic":"overview","data":{"status":{"instance":"i-1",
"version":"0.1.0","revision":7,"pid":42,"started_at_ms":1,"uptime_seconds":65,"draining":false,"ready":true,
"connections":3,"sessions":2,"calls_in_flight":1,"listeners":[],"servers":[]},"traffic":{"calls_per_second":12.5}}}"#;

const SERVERS: &str = r#"{"type":"topic","at_ms":1795788200000,"topic":"servers","data":[{"name":"weather","state":"down",
"transport":"http","critical":false,"in_flight":0,"waiting":0}]}"#;

fn lines() -> String {
    let hello = r#"{"type":"hello","version":"0.1.0","instance":"i-1","host":"gate-1","privilege":"control","interval_ms":1000}"#;
    format!("{hello}\n{}\n{}\n", OVERVIEW.replace('\n', ""), SERVERS.replace('\n', ""))
}

fn recording() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("file");
    file.write_all(lines().as_bytes()).expect("written");
    file
}

fn on_terminal(command: &mut Command) -> &mut Command {
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env_remove("NO_COLOR").env_remove("COLORTERM")
}

/// A console on a recording, once it has drawn.
fn replaying(pty: &Pty, recording: &Path) -> Child {
    let child = pty.spawn(on_terminal(toolgate().arg("replay").arg(recording)));
    pty.wait_for("gate-1");
    assert!(!pty.is_plain());
    child
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_child(child);
    kill_process(pid, signal).expect("signalled");
}

#[test]
fn quitting_gives_the_terminal_back() {
    let recording = recording();
    for keys in ["q", "\u{3}", "2m/x\u{3}"] {
        let mut pty = Pty::new();
        let mut child = replaying(&pty, recording.path());
        pty.press(keys);
        assert_eq!(ended(&mut child).code(), Some(0), "{keys:?}");
        pty.assert_restored();
    }
}

#[test]
fn signals_give_the_terminal_back() {
    let recording = recording();
    for wanted in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut pty = Pty::new();
        let mut child = replaying(&pty, recording.path());
        pty.press("m");
        pty.wait_for("The mouse selects");
        signal(&child, wanted);
        assert!(ended(&mut child).success(), "{wanted:?}");
        pty.assert_restored();
    }
}

#[test]
fn a_stop_gives_the_terminal_back_and_takes_it_again() {
    let recording = recording();
    let mut pty = Pty::new();
    let mut child = replaying(&pty, recording.path());
    let before = pty.written().len();
    signal(&child, Signal::TSTP);
    pty.wait_after(before, "\u{1b}[?1049l");
    assert!(pty.is_plain());
    let stopped = pty.written().len();
    signal(&child, Signal::CONT);
    pty.wait_after(stopped, "\u{1b}[?1049h");
    pty.wait_after(stopped, "gate-1");
    pty.press("q");
    assert!(ended(&mut child).success());
    pty.assert_restored();
}

#[test]
fn a_terminal_that_is_gone_ends_it() {
    let recording = recording();
    let pty = Pty::new();
    let mut child = replaying(&pty, recording.path());
    drop(pty);
    // A terminal that hangs up sends this to whoever it controls.
    signal(&child, Signal::HUP);
    ended(&mut child);
}

/// A daemon that says something once, then hangs up for as long as it is told to.
fn daemon(base: &Path, there: &Arc<AtomicBool>) {
    for socket in ["view", "control"] {
        let folder = base.join(socket);
        std::fs::create_dir(&folder).expect("folder");
        let listener = UnixListener::bind(folder.join(format!("{socket}.sock"))).expect("binds");
        let there = Arc::clone(there);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let there = Arc::clone(&there);
                std::thread::spawn(move || {
                    let reader = stream.try_clone().expect("clones");
                    serve(reader, stream, |request, answer| reply(&there, request, answer));
                });
            }
        });
    }
}

fn reply(there: &AtomicBool, request: &Request, answer: &mut Answer<'_>) {
    if !there.load(Ordering::SeqCst) {
        return answer.hang_up();
    }
    match request.path.split('?').next() {
        Some("/v1/version") => {
            answer.json(&[], r#"{"version":"0.1.0","instance":"i-1","api":1,"api_minimum":1,"revision":7}"#);
        }
        Some("/v1/watch") => {
            answer.events();
            answer.piece(&lines());
            while there.load(Ordering::SeqCst) && answer.piece("{\"type\":\"heartbeat\",\"at_ms\":1795788200000}\n") {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            answer.hang_up();
        }
        _ => answer.send("404 Not Found", &[], br#"{"code":"not_found","message":"Nothing."}"#),
    }
}

#[test]
fn a_lost_daemon_is_told_and_found_again_and_the_terminal_is_given_back() {
    let base = tempfile::tempdir().expect("folder");
    let there = Arc::new(AtomicBool::new(true));
    daemon(base.path(), &there);
    let mut pty = Pty::new();
    let mut child = pty.spawn(on_terminal(toolgate().arg("--socket-dir").arg(base.path())));
    pty.wait_for("CONTROL");
    there.store(false, Ordering::SeqCst);
    pty.wait_for("lost");
    let lost = pty.written().len();
    there.store(true, Ordering::SeqCst);
    pty.wait_after(lost, "live");
    there.store(false, Ordering::SeqCst);
    pty.press("q");
    assert!(ended(&mut child).success());
    pty.assert_restored();
}

#[test]
fn what_is_redirected_is_printed_once_without_escapes() {
    let recording = recording();
    let (code, out, _) = run(toolgate().arg("replay").arg(recording.path()).env("TERM", "xterm-256color"));
    assert_eq!(code, 3, "a server is down");
    assert!(out.contains("12.5 calls/s") && out.contains("weather") && !out.contains('\u{1b}'), "{out}");
    let base = tempfile::tempdir().expect("folder");
    daemon(base.path(), &Arc::new(AtomicBool::new(true)));
    let (code, out, _) = run(toolgate().arg("--socket-dir").arg(base.path()).args(["top", "--json"]));
    let document: serde_json::Value = serde_json::from_str(&out).expect("one document");
    assert_eq!((code, &document["hello"]["host"]), (3, &serde_json::json!("gate-1")));
}

#[test]
fn a_daemon_that_is_not_there_is_said_before_the_screen_is_taken() {
    let pty = Pty::new();
    let base = tempfile::tempdir().expect("folder");
    let mut child = pty.spawn(on_terminal(toolgate().arg("--socket-dir").arg(base.path()).arg("top")));
    assert_eq!(ended(&mut child).code(), Some(69));
    pty.wait_for("No daemon is at");
    assert!(!pty.written().contains("\u{1b}[?1049h"));
}
