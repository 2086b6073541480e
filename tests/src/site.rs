//! A configuration as its operator has it: a main file, `conf.d`, a daemon, a keeper, and `toolgate` at a prompt.
//!
//! Scenarios write files here and type commands; what is seen is what the commands print, and what the daemon answers.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::gate::{free_port, program};
use crate::http::{Connection, Target, request};
use crate::processes::end_group;
use crate::wait;

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Exit status.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same where the command succeeded.
    ///
    /// # Panics
    /// When it did not.
    #[expect(clippy::return_self_not_must_use, reason = "that it succeeded is often all that is wanted")]
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }
}

/// A folder with a configuration, and the processes that read it.
pub struct Site {
    folder: TempDir,
    port: u16,
    processes: Vec<(&'static str, Child)>,
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// A configuration with one listener and no server. Nothing runs yet.
    ///
    /// # Panics
    /// When its folder cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("toolgate-site-").tempdir().expect("a folder");
        for part in ["conf.d", "run", "state"] {
            std::fs::create_dir(folder.path().join(part)).expect("a folder");
        }
        let site = Self { folder, port: free_port(), processes: Vec::new() };
        site.write("toolgate.toml", &site.main_text());
        site
    }

    /// The main file's first text.
    #[must_use]
    pub fn main_text(&self) -> String {
        let (folder, port) = (self.folder.path().display(), self.port);
        format!(
            "version = 1\n\n[daemon]\ncores = 1\nruntime_dir = \"{folder}/run\"\nstate_dir = \"{folder}/state\"\n\
             lame_duck = \"0s\"\n\n[log]\nformat = \"json\"\n\n[listener.test]\naddress = \"127.0.0.1:{port}\"\n\
             serve = [\"mcp\", \"health\", \"ready\", \"status\"]\nauth = \"none\"\n"
        )
    }

    /// A path in the configuration's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the configuration.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file of the configuration");
    }

    /// Reads a file of the configuration; none where it is not there.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    /// Names in `conf.d`, in order.
    ///
    /// # Panics
    /// When the folder cannot be read.
    #[must_use]
    pub fn drop_ins(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("conf.d")).expect("conf.d");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Starts the daemon and waits until it answers.
    ///
    /// # Panics
    /// When it ends instead, with its log.
    pub async fn start(&mut self) {
        self.begin("run");
        let control = self.path("run/control/control.sock");
        wait::until("the daemon", || {
            assert!(self.runs(), "the daemon has ended:\n{}", self.log());
            let control = control.clone();
            async move { Connection::unix(&control).await.ok() }
        })
        .await;
    }

    /// Starts a daemon that ends by itself.
    pub async fn start_in_vain(&mut self) -> ExitStatus {
        self.begin("run");
        wait::until("the daemon's end", || std::future::ready(self.ended("run"))).await
    }

    /// Starts a keeper and waits until it has told who it is.
    pub async fn start_keeper(&mut self) {
        self.begin("keeper");
        let lock = self.path("run/servers/.keeper");
        wait::until("the keeper", async || std::fs::read_to_string(&lock).ok().filter(|pid| !pid.is_empty())).await;
    }

    /// Ends the daemon in good order.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        wait::until("the daemon's end", || std::future::ready(self.ended("run"))).await;
        self.forget_daemon();
    }

    /// Forgets a daemon that has ended.
    pub(crate) fn forget_daemon(&mut self) {
        self.processes.retain(|(command, _)| *command != "run");
    }

    /// Sends a signal to the daemon.
    ///
    /// # Panics
    /// When none runs.
    pub fn signal(&self, signal: Signal) {
        let (_, daemon) = self.processes.iter().rfind(|(command, _)| *command == "run").expect("a daemon");
        kill_process(Pid::from_child(daemon), signal).expect("a running daemon");
    }

    /// Whether the daemon runs.
    pub fn runs(&mut self) -> bool {
        self.ended("run").is_none()
    }

    /// What the daemon and the keeper logged.
    #[must_use]
    pub fn log(&self) -> String {
        ["run.log", "keeper.log"].map(|name| self.read(name).unwrap_or_default()).concat()
    }

    /// Types a command: `toolgate` with these words. One that writes gets `--config`: root is not led
    /// by a daemon to files that are not the packaged ones.
    ///
    /// # Panics
    /// When it cannot be started, or is ended by a signal.
    #[must_use]
    pub fn toolgate(&self, words: &[&str]) -> Said {
        let output = self.command(words).output().expect("toolgate");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Said { code: output.status.code().expect("no signal"), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Types a command and does not wait for its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn begin_toolgate(&self, words: &[&str]) -> Child {
        self.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("toolgate")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program("toolgate"));
        command.arg("--socket-dir").arg(self.path("run")).stdin(Stdio::null());
        match words {
            ["server", "add" | "import" | "remove", rest @ ..]
            | ["key", "create", rest @ ..]
            | ["config", "rollback", rest @ ..]
                if !rest.contains(&"--config") =>
            {
                command.args(&words[..2]).arg("--config").arg(self.path("toolgate.toml")).args(rest);
            }
            _ => drop(command.args(words)),
        }
        command.env_remove("TOOLGATE_RUNTIME_DIR");
        command
    }

    /// The listener.
    #[must_use]
    pub fn target(&self) -> Target {
        Target::plain(self.port)
    }

    /// A page of the listener.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn page(&self, path: &str) -> (u16, Value) {
        let mut connection = self.target().connect().await.expect("a connection");
        let raw = request("GET", path, &format!("127.0.0.1:{}", self.port), &[], b"");
        let (head, body) = connection.exchange(&raw).await.expect("an answer");
        (head.status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// One request on the control socket.
    ///
    /// # Panics
    /// When the socket does not answer.
    pub async fn control(&self, method: &str, path: &str) -> (u16, Value) {
        let mut connection =
            Connection::unix(&self.path("run/control/control.sock")).await.expect("the control socket");
        let raw = request(method, path, "localhost", &[("Content-Type", "application/json")], b"{}");
        let (head, body) = connection.exchange(&raw).await.expect("an answer");
        (head.status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    fn begin(&mut self, command: &'static str) {
        let file = std::fs::File::options().create(true).append(true).open(self.path(&format!("{command}.log")));
        let log = file.expect("a log file");
        let child = Command::new(program("toolgated"))
            .arg(command)
            .arg("--config")
            .arg(self.path("toolgate.toml"))
            .env_remove("STATE_DIRECTORY")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("toolgated");
        self.processes.push((command, child));
    }

    fn ended(&mut self, command: &str) -> Option<ExitStatus> {
        let (_, process) = self.processes.iter_mut().rfind(|(known, _)| *known == command)?;
        process.try_wait().expect("a child's status")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for (_, child) in &mut self.processes {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                continue;
            }
            end_group(child);
        }
    }
}
