//! The wrapper alone, as systemd starts it: standard input and output are the connection.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

/// A wrapper and the front's end of its connection.
struct Started {
    process: Child,
    connection: UnixStream,
}

fn start(flags: &[&str], command: &[&str], credentials: Option<&std::path::Path>) -> Started {
    let (connection, theirs) = UnixStream::pair().unwrap();
    let mut wrapper = Command::new(env!("CARGO_BIN_EXE_toolgated"));
    wrapper.arg("instance").args(flags).args(["files", "--"]).args(command).env("SECRET_OF_THE_WRAPPER", "x");
    if let Some(folder) = credentials {
        wrapper.env("CREDENTIALS_DIRECTORY", folder);
    }
    wrapper.stdin(OwnedFd::from(theirs.try_clone().unwrap())).stdout(OwnedFd::from(theirs)).stderr(Stdio::null());
    let process = wrapper.spawn().unwrap();
    Started { process, connection }
}

impl Started {
    /// Everything that it sends until its end, which must be clean.
    fn finish(mut self) -> String {
        let mut text = String::new();
        self.connection.shutdown(Shutdown::Write).unwrap();
        self.connection.read_to_string(&mut text).unwrap();
        assert!(self.process.wait().unwrap().success());
        text
    }
}

#[test]
fn the_first_and_the_last_line_begin_with_nul() {
    let mut started = start(&[], &["cat"], None);
    started.connection.write_all(b"{\"id\":1}\n").unwrap();
    let text = started.finish();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("\0{\"server\":\"files\",\"pid\":"));
    assert_eq!(lines[1], "{\"id\":1}");
    assert!(lines[2].starts_with("\0{\"cause\":\"hangup\",\"status\":0"));
}

#[test]
fn the_environment_is_only_what_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api"), "s3cret=\n").unwrap();
    let text = start(&["--secret", "KEY=api"], &["/usr/bin/env"], Some(folder.path())).finish();
    let mut names: Vec<&str> =
        text.lines().filter(|line| !line.starts_with('\0')).filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "KEY", "LANG", "PATH"]);
    assert!(text.contains("KEY=s3cret=\n"));
}

#[test]
fn a_missing_secret_is_named() {
    let text = start(&["--secret", "KEY=api"], &["/usr/bin/env"], None).finish();
    assert!(text.contains("\"cause\":\"failed\"") && text.contains("LoadCredential="), "{text}");
}

#[test]
fn files_outside_the_configured_folders_are_out_of_reach() {
    let inside = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("private"), "private").unwrap();
    let script = format!(
        "echo x > {0}/new && echo written; cat {1}/private; echo x > {1}/new; echo done",
        inside.path().display(),
        outside.path().display()
    );
    let text = start(&["--write", inside.path().to_str().unwrap()], &["sh", "-c", &script], None).finish();
    if text.contains("there is no Landlock here") {
        return eprintln!("skipped: this kernel has no Landlock");
    }
    assert!(text.contains("\nwritten\n") || text.contains("written\ndone"), "{text}");
    assert!(!text.contains("\nprivate") && text.contains("ermission denied"), "{text}");
    assert!(!outside.path().join("new").exists());
}

#[test]
fn a_command_cannot_signal_other_processes_of_its_user() {
    let mut victim = Command::new("sleep").arg("600").spawn().unwrap();
    let script = format!("kill -9 {} && echo killed || echo refused", victim.id());
    let text = start(&[], &["sh", "-c", &script], None).finish();
    let alive = victim.try_wait().unwrap().is_none();
    victim.kill().unwrap();
    victim.wait().unwrap();
    if !std::fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|names| names.contains("landlock"))
        && text.contains("killed")
    {
        return eprintln!("skipped: this kernel has no Landlock");
    }
    assert!(alive && text.contains("refused"), "{text}");
}

#[test]
fn memory_is_bounded() {
    let script = "x = bytearray(512 * 1024 * 1024)";
    let text = start(&["--memory", "100000000"], &["python3", "-c", script], None).finish();
    assert!(text.contains("MemoryError") || text.contains("no such program"), "{text}");
}
