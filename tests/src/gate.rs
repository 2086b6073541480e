//! A gate as a process of its own, as an operator would run it: a configuration file and signals.
//!
//! Scenarios describe it with [`Setup`] and start it; it is ended with all its children when it is dropped.
//! Nothing here reaches into the daemon: what cannot be seen from outside cannot be relied upon.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;

use aws_lc_rs::digest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::http::{Connection, Target, request};
use crate::load::Aim;
use crate::mcp::Era;
use crate::processes::end_group;
use crate::systemd::Systemd;
use crate::wait;

const SECRET: &str = "c2VjcmV0LW9mLXNjZW5hcmlvcy1hbmQtbm90aGluZy1lbHNl";

/// What a gate is configured with: servers, and lines for other tables.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    servers: BTreeMap<String, String>,
    limits: Vec<String>,
    daemon: Vec<String>,
    log: Vec<String>,
    listener: Vec<String>,
    tables: Vec<String>,
    hosts: Option<PathBuf>,
}

impl Setup {
    /// Adds an HTTP server.
    #[must_use]
    pub fn http(self, name: &str, url: &str) -> Self {
        self.server(name, &format!("endpoints = [{url:?}]"))
    }

    /// Adds a stdio server.
    #[must_use]
    pub fn stdio(self, name: &str, command: &[&str], instances: &str) -> Self {
        self.server(name, &format!("command = {command:?}\ninstances = {{ {instances} }}"))
    }

    /// Adds a server by the lines of its table.
    #[must_use]
    pub fn server(mut self, name: &str, lines: &str) -> Self {
        self.servers.insert(name.to_owned(), lines.to_owned());
        self
    }

    /// Adds a limit of the only key, as an inline table.
    #[must_use]
    pub fn limit(mut self, table: &str) -> Self {
        self.limits.push(table.to_owned());
        self
    }

    /// Adds a line of `[daemon]`, in the place of one with the same key.
    #[must_use]
    pub fn daemon(mut self, line: &str) -> Self {
        let key = |line: &str| line.split('=').next().map(|key| key.trim().to_owned());
        self.daemon.retain(|old| key(old) != key(line));
        self.daemon.push(line.to_owned());
        self
    }

    /// Adds a line of `[log]`.
    #[must_use]
    pub fn log(mut self, line: &str) -> Self {
        self.log.push(line.to_owned());
        self
    }

    /// Adds a line of the listener's table; one with `auth` stands in the place of that for keys.
    #[must_use]
    pub fn listener(mut self, line: &str) -> Self {
        self.listener.push(line.to_owned());
        self
    }

    /// Adds a table, or several.
    #[must_use]
    pub fn table(mut self, text: &str) -> Self {
        self.tables.push(text.to_owned());
        self
    }

    /// Has the daemon read this file as `/etc/hosts`, in a mount namespace of its own. Needs root.
    #[must_use]
    pub fn hosts(mut self, file: &Path) -> Self {
        self.hosts = Some(file.to_owned());
        self
    }

    /// Adds a key by its id, with further lines of its table.
    #[must_use]
    pub fn key(self, id: &str, lines: &str) -> Self {
        let hash = hash();
        self.table(&format!("[key.{id}]\nhash = \"sha256:{hash}\"\nowner = \"{id}\"\n{lines}\n"))
    }

    /// Takes such a key out again.
    #[must_use]
    pub fn without_key(self, id: &str) -> Self {
        self.without_table(&format!("[key.{id}]"))
    }

    /// Takes tables out again that begin with this.
    #[must_use]
    pub fn without_table(mut self, head: &str) -> Self {
        self.tables.retain(|table| !table.starts_with(head));
        self
    }

    fn has_stdio(&self) -> bool {
        self.started().next().is_some()
    }

    /// Servers that the keeper starts.
    fn started(&self) -> impl Iterator<Item = &str> {
        let by_command = |lines: &str| lines.starts_with("command") && !lines.contains("enabled = false");
        self.servers.iter().filter(move |(_, lines)| by_command(lines)).map(|(name, _)| name.as_str())
    }

    fn text(&self, folder: &Path, port: u16, certificates: &Certificates) -> String {
        let servers: Vec<_> = self.servers.iter().map(|(name, lines)| format!("[server.{name}]\n{lines}\n")).collect();
        let own_auth = self.listener.iter().any(|line| line.starts_with("auth ="));
        format!(
            "version = 1\n\n\
             [daemon]\ncores = 2\nruntime_dir = \"{folder}/run\"\nstate_dir = \"{folder}/state\"\n{daemon}\n\n\
             [log]\nlevel = \"info\"\nformat = \"json\"\n{log}\n\n\
             [listener.test]\naddress = [\"127.0.0.1:{port}\"]\nserve = [\"mcp\", \"health\", \"ready\", \"status\"]\n{auth}\n\
             tls.certificates = [{{ chain = \"file:{chain}\", key = \"file:{key}\" }}]\n{listener}\n\n\
             [key.test]\nhash = \"sha256:{hash}\"\nowner = \"test\"\ntier = \"test\"\n\n\
             [tier.test]\nlimits = [{limits}]\n\n{servers}\n{tables}",
            hash = hash(),
            auth = if own_auth { "" } else { "auth = [\"key\"]" },
            listener = self.listener.join("\n"),
            tables = self.tables.join("\n"),
            folder = folder.display(),
            daemon = self.daemon.join("\n"),
            log = self.log.join("\n"),
            chain = certificates.chain.display(),
            key = certificates.key.display(),
            limits = self.limits.join(", "),
            servers = servers.join("\n"),
        )
    }

    /// Starts the keeper where it is needed, and the gate, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready, with its log.
    pub async fn start(self) -> Gate {
        self.start_by(false).await
    }

    /// The same under a service manager, which passes it its listener and keeps its descriptors, so that it can be
    /// restarted.
    ///
    /// # Panics
    /// As [`Setup::start`].
    pub async fn start_under_systemd(self) -> Gate {
        self.start_by(true).await
    }

    async fn start_by(self, under_systemd: bool) -> Gate {
        let folder = tempfile::Builder::new().prefix("toolgate-scenario-").tempdir().expect("a folder");
        let certificates = Certificates::write(&folder.path().join("tls"));
        for part in ["run", "state"] {
            std::fs::create_dir(folder.path().join(part)).expect("a folder");
        }
        let port = free_port();
        let config = folder.path().join("toolgate.toml");
        std::fs::write(&config, self.text(folder.path(), port, &certificates)).expect("the configuration");
        let keeper = self.has_stdio().then(|| start("keeper", folder.path(), &config));
        let manager = under_systemd.then(|| Manager {
            systemd: Systemd::start(folder.path()),
            listener: TcpListener::bind(("127.0.0.1", port)).expect("the listener's port"),
        });
        let process = match &manager {
            Some(manager) => manager.start(folder.path(), &config),
            None => match &self.hosts {
                Some(hosts) => start_with_hosts(hosts, folder.path(), &config),
                None => start("run", folder.path(), &config),
            },
        };
        let gate = Gate {
            process,
            manager,
            keeper,
            target: Target::tls(port, &certificates.ca),
            setup: self,
            certificates,
            config,
            port,
            folder,
        };
        wait::until("the gate to listen", || async {
            gate.target.connect().await.ok().or_else(|| gate.still_running())
        })
        .await;
        // The gate may be faster than the keeper.
        for name in gate.setup.started() {
            let socket = gate.folder.path().join(format!("run/servers/{name}.sock"));
            wait::until("the keeper's socket", async || socket.exists().then_some(())).await;
        }
        gate
    }
}

/// Who starts the gate.
struct Manager {
    systemd: Systemd,
    listener: TcpListener,
}

impl Manager {
    fn start(&self, folder: &Path, config: &Path) -> Child {
        let mut command = Command::new(program("activated"));
        command.arg(program("toolgated"));
        let mut command = prepared(command, "run", folder, config);
        self.systemd.spawn(command.env("STATE_DIRECTORY", folder.join("state")), &[("test", &self.listener)])
    }
}

/// A running gate.
pub struct Gate {
    process: Child,
    manager: Option<Manager>,
    keeper: Option<Child>,
    target: Target,
    setup: Setup,
    certificates: Certificates,
    config: PathBuf,
    port: u16,
    folder: TempDir,
}

impl Gate {
    /// Where it listens.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same, for a client that speaks HTTP/2.
    #[must_use]
    pub fn h2_target(&self) -> Target {
        Target::h2(self.port, &self.certificates.ca)
    }

    /// The only API key.
    #[must_use]
    pub fn key(&self) -> String {
        format!("tg_test_{SECRET}")
    }

    /// Another API key, added with [`Setup::key`].
    #[must_use]
    pub fn key_of(&self, id: &str) -> String {
        format!("tg_{id}_{SECRET}")
    }

    /// The process id of the daemon.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The process id of the keeper, if there is one.
    #[must_use]
    pub fn keeper_pid(&self) -> Option<u32> {
        self.keeper.as_ref().map(Child::id)
    }

    /// The folder of its admin sockets.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Load on one server.
    #[must_use]
    pub fn aim(&self, path: &str, era: Era) -> Aim {
        Aim { target: self.target.clone(), path: path.to_owned(), key: Some(self.key()), era }
    }

    /// What the daemon logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        read("run.log") + &read("keeper.log")
    }

    /// Writes the configuration anew; it is in force after [`Gate::reload`].
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn change(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.setup = change(std::mem::take(&mut self.setup));
        let text = self.setup.text(self.folder.path(), self.port, &self.certificates);
        std::fs::write(&self.config, text).expect("the configuration");
    }

    /// Reloads over the control socket, which answers when it is done.
    ///
    /// # Panics
    /// When the reload is refused.
    pub async fn reload(&self) {
        let (status, answer) = self.control("POST", "/v1/config/reload").await;
        assert_eq!(status, 200, "the reload was refused: {answer}\n{}", self.log());
    }

    /// One request on the control socket.
    ///
    /// # Panics
    /// When the socket does not answer.
    pub async fn control(&self, method: &str, path: &str) -> (u16, Value) {
        self.control_with(method, path, &serde_json::json!({})).await
    }

    /// The same with a body.
    ///
    /// # Panics
    /// When the socket does not answer.
    pub async fn control_with(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let socket = self.folder.path().join("run/control/control.sock");
        // It is opened after the listeners.
        let mut connection = wait::until("the control socket", async || Connection::unix(&socket).await.ok()).await;
        let headers = [("Content-Type", "application/json")];
        let raw = request(method, path, "localhost", &headers, body.to_string().as_bytes());
        let (head, body) = connection.exchange(&raw).await.expect("an answer");
        (head.status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Sends a signal to the daemon.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, signal).expect("a running gate");
    }

    /// Waits for the daemon's end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        let process = &mut self.process;
        let mut poll = || process.try_wait().expect("a child's status");
        wait::until("the gate to end", || std::future::ready(poll())).await
    }

    /// The service manager of a gate that was started under one.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn systemd(&self) -> &Systemd {
        &self.manager.as_ref().expect("a gate under systemd").systemd
    }

    /// Ends the daemon, in good order by SIGTERM or at once by SIGKILL, and starts it again, by the same manager if any.
    ///
    /// # Panics
    /// When it does not end or does not become ready again.
    pub async fn restart(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        let status = self.ended().await;
        self.start_again().await;
        status
    }

    /// Starts a daemon that has ended, and does not wait for it.
    pub fn begin_again(&mut self) {
        self.process = match &self.manager {
            Some(manager) => manager.start(self.folder.path(), &self.config),
            None => start("run", self.folder.path(), &self.config),
        };
    }

    /// Starts a daemon that has ended.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start_again(&mut self) {
        let ready = self.manager.as_ref().map_or(0, |manager| manager.systemd.ready());
        self.begin_again();
        let Some(manager) = &self.manager else {
            wait::until("the gate to listen", || async {
                self.target.connect().await.ok().map(drop).or_else(|| self.still_running())
            })
            .await;
            return;
        };
        wait::until("the gate to be ready", async || {
            (manager.systemd.ready() > ready).then_some(()).or_else(|| self.still_running())
        })
        .await;
    }

    /// The files of its certificate.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// A folder of its own: `state` is its state's.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Never yields: panics with the log when the daemon has ended.
    fn still_running<T>(&self) -> Option<T> {
        let gone = !Path::new(&format!("/proc/{}/stat", self.process.id())).exists()
            || std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))
                .is_ok_and(|stat| stat.contains(") Z "));
        assert!(!gone, "the gate ended before it was ready:\n{}", self.log());
        None
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        for child in [Some(&mut self.process), self.keeper.as_mut()].into_iter().flatten() {
            end_group(child);
        }
    }
}

/// What the configuration knows of every key's secret.
fn hash() -> String {
    let hash = digest::digest(&digest::SHA256, SECRET.as_bytes());
    let digits: Vec<_> = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

fn start(command: &str, folder: &Path, config: &Path) -> Child {
    prepared(Command::new(program("toolgated")), command, folder, config)
        .stdin(Stdio::null())
        .spawn()
        .expect("toolgated")
}

/// The daemon with another `/etc/hosts`, in a mount namespace.
fn start_with_hosts(hosts: &Path, folder: &Path, config: &Path) -> Child {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]);
    command.arg(hosts).arg(program("toolgated"));
    prepared(command, "run", folder, config).spawn().expect("the daemon in a mount namespace")
}

/// A command of toolgated that logs to the folder, behind what earlier ones logged.
fn prepared(mut toolgated: Command, command: &str, folder: &Path, config: &Path) -> Command {
    let log = std::fs::File::options().create(true).append(true).open(folder.join(format!("{command}.log")));
    let log = log.expect("a log file");
    toolgated
        .arg(command)
        .arg("--config")
        .arg(config)
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .process_group(0);
    toolgated
}

/// A program of this workspace, from the folder that the running test was built into.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this program's path");
    let built = test.ancestors().skip(1).map(|folder| folder.join(name)).find(|path| path.is_file());
    built.unwrap_or_else(|| panic!("{name} is missing: run `cargo build --workspace --bins` first"))
}

/// A port that nobody listens at, and that this function gives to no other test while this process lives.
///
/// It lies below the ports that the kernel gives to connections, which would otherwise take it before the program that
/// it is meant for.
///
/// # Panics
/// When the machine has none left.
#[must_use]
pub fn free_port() -> u16 {
    static RESERVED: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let mut reserved = RESERVED.lock().expect("no test panicked here");
    let (port, reservation) = (12_000..32_000)
        .filter_map(|port| Some((port, reservation(port).ok()?)))
        .find(|(port, _)| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port");
    reserved.push(reservation);
    port
}

/// What one process at a time can hold.
fn reservation(port: u16) -> io::Result<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("toolgate-test-port-{port}"))?;
    UnixListener::bind_addr(&name)
}
