//! A program as a child of this process: lines to its standard input, lines from its standard output.
//!
//! It is ended with all that it started in its process group; what it wrote to standard error is
//! kept for whoever asks why.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Peer;

/// Bytes of one message.
const LINE_LIMIT: u64 = 64 << 20;
/// Lines of standard error that are kept, and bytes of each.
const KEPT_LINES: usize = 50;
const KEPT_BYTES: u64 = 2048;
/// From the end of its input to a kill, as the gate allows.
const GRACE: Duration = Duration::from_secs(2);
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(10);
/// For the last lines of its standard error, once it has ended.
const LAST_LINES: Duration = Duration::from_millis(500);

/// How a program is started.
#[derive(Debug)]
pub(crate) struct Program {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// Added to this process's own environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Working directory.
    pub(crate) directory: Option<PathBuf>,
}

/// It could not be started.
#[derive(Debug)]
pub(crate) struct StartError {
    program: String,
    error: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, error } = self;
        if error.kind() == io::ErrorKind::NotFound {
            return write!(f, "{program} cannot be started: there is no such program, or no such working directory.");
        }
        write!(f, "{program} cannot be started: {error}.")
    }
}

/// A program that runs.
pub(super) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: mpsc::Receiver<Vec<u8>>,
    errors: Arc<Mutex<VecDeque<String>>>,
    errors_ended: Receiver<()>,
    /// Its output has ended, or it reads its input no more.
    closed: bool,
    status: Option<ExitStatus>,
}

impl Program {
    pub(super) fn start(&self) -> Result<Running, StartError> {
        let refuse = |error| StartError { program: self.command[0].clone(), error };
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(refuse)?;
        let input = child.stdin.take();
        let (lines, output) = mpsc::channel(16);
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || read_lines(stdout, &lines));
        }
        let errors = Arc::<Mutex<VecDeque<String>>>::default();
        let (ended, errors_ended) = sync_channel(1);
        if let Some(stderr) = child.stderr.take() {
            let errors = Arc::clone(&errors);
            thread::spawn(move || {
                read_errors(stderr, &errors);
                let _ = ended.send(());
            });
        }
        Ok(Running { child, input, output, errors, errors_ended, closed: false, status: None })
    }
}

fn read_lines(stdout: impl Read, lines: &mpsc::Sender<Vec<u8>>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match stdout.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if lines.blocking_send(line).is_err() => return,
            Ok(_) => {}
        }
    }
}

fn read_errors(stderr: impl Read, kept: &Mutex<VecDeque<String>>) {
    let mut stderr = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match stderr.by_ref().take(KEPT_BYTES).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
    }
}

impl Running {
    /// How it ended, where that is why it said no more; a program that has just closed its output gets a moment.
    pub(super) fn epitaph(&mut self) -> Option<String> {
        if !self.closed {
            return None;
        }
        self.wait(GRACE);
        let status = self.status?;
        Some(match (status.code(), status.signal()) {
            (Some(code), _) => format!("It ended with status {code} before it had answered."),
            (None, Some(signal)) => format!("It was ended by signal {signal} before it had answered."),
            (None, None) => "It ended before it had answered.".into(),
        })
    }

    /// Ends it, and everything in its group; what it wrote last to standard error is the answer.
    pub(super) fn end(mut self) -> Vec<String> {
        self.finish();
        let _ = self.errors_ended.recv_timeout(LAST_LINES);
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    /// Waits for its end. It is not reaped before its group was killed, so that its id stays its own.
    fn wait(&mut self, patience: Duration) {
        drop(self.input.take());
        let deadline = Instant::now() + patience;
        let id = WaitId::Pid(Pid::from_child(&self.child));
        let look = || waitid(id.clone(), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
        while self.status.is_none() && matches!(look(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        if self.status.is_none() && matches!(look(), Ok(Some(_))) {
            self.reap();
        }
    }

    fn reap(&mut self) {
        // It fails only where nothing of the group is left.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        self.status = self.child.wait().ok();
    }

    fn finish(&mut self) {
        self.wait(GRACE);
        if self.status.is_none() {
            self.reap();
        }
    }

    fn write(&mut self, message: &Value) -> Result<(), String> {
        let mut line = message.to_string();
        line.push('\n');
        let input = self.input.as_mut().ok_or("Its input is closed.")?;
        input.write_all(line.as_bytes()).map_err(|error| format!("It does not read its input: {error}."))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Peer for Running {
    async fn ask(&mut self, request: &Value) -> Result<Value, String> {
        // What it has written tells more than that it reads no more.
        let written = self.write(request);
        while let Some(line) = self.output.recv().await {
            let Ok(message) = serde_json::from_slice::<Value>(&line) else {
                let shown = String::from_utf8_lossy(line.trim_ascii()).into_owned();
                if shown.is_empty() {
                    continue;
                }
                return Err(format!("It writes other things than messages to standard output: {shown}"));
            };
            if message.get("method").is_some() {
                self.answer(&message).inspect_err(|_| self.closed = true)?;
            } else if message["id"] == request["id"] {
                return Ok(message);
            }
        }
        self.closed = true;
        written?;
        Err("It closed its output before it had answered.".into())
    }

    async fn tell(&mut self, notification: &Value) -> Result<(), String> {
        self.write(notification).inspect_err(|_| self.closed = true)
    }

    fn agreed(&mut self, _revision: &str) {}
}

impl Running {
    /// A request of the server's own: this client has no capabilities, but it lives.
    fn answer(&mut self, message: &Value) -> Result<(), String> {
        let Some(id) = message.get("id") else { return Ok(()) };
        if message["method"] == "ping" {
            return self.write(&json!({ "jsonrpc": "2.0", "id": id, "result": {} }));
        }
        let error = json!({ "code": -32601, "message": "This client only looks around." });
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "error": error }))
    }
}
