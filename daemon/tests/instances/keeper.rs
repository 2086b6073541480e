//! A keeper of its own for each test.

use std::fmt::Write as _;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::task::LocalSet;
use toolgated::instance::notice::Hello;
use toolgated::servers::stdio::connection::{self, OpenError, Reader, Writer};

use super::census::{self, VARIABLE, eventually, kill};

/// How long anything may take before the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A running keeper with its folder.
pub(crate) struct Keeper {
    pub(crate) process: Child,
    pub(crate) mark: String,
    folder: TempDir,
}

/// Server names with their commands.
pub(crate) type Servers<'a> = &'a [(&'a str, &'a [&'a str])];

impl Keeper {
    pub(crate) fn start(servers: Servers<'_>) -> Self {
        Self::start_by(&[], servers)
    }

    /// Starts it by a program that ends with executing its arguments.
    pub(crate) fn start_by(prefix: &[&str], servers: Servers<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mark = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        write_config(folder.path(), &mark, servers);
        let process = launch(prefix, folder.path(), &mark);
        let keeper = Self { process, mark, folder };
        keeper.wait_for(servers);
        keeper
    }

    /// Starts another one on the folder, after this one has ended.
    pub(crate) fn start_again_by(&mut self, prefix: &[&str]) {
        self.process = launch(prefix, self.folder.path(), &self.mark);
        eventually("the keeper says which means it has", || self.log().contains("instances end"));
    }

    /// Writes another configuration and lets the keeper read it.
    pub(crate) fn reload(&self, servers: Servers<'_>) {
        write_config(self.folder.path(), &self.mark, servers);
        self.signal(Signal::HUP);
    }

    pub(crate) fn wait_for(&self, servers: Servers<'_>) {
        for (name, _) in servers {
            eventually("the socket exists", || self.socket(name).exists());
        }
    }

    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("run/servers/{name}.sock"))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    pub(crate) async fn open(&self, name: &str) -> Result<(Hello, Reader, Writer), OpenError> {
        let (hello, connection) = connection::open(&self.socket(name), PATIENCE, 64 * 1024).await?;
        let (reader, writer) = connection.begin(None, Bytes::new());
        Ok((hello, reader, writer))
    }

    /// Processes of this keeper's instances, wrappers and zombies included.
    pub(crate) fn left(&self) -> Vec<u32> {
        let mut left = census::children(self.pid());
        left.extend(census::marked(&self.mark).into_iter().filter(|&pid| pid != self.pid()));
        left.sort_unstable();
        left.dedup();
        left
    }

    pub(crate) fn eventually_nothing_is_left(&self) {
        eventually("no process is left", || census::nobody(|| self.left()));
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        eventually("the keeper ends", || self.process.try_wait().unwrap().is_some());
        assert!(self.process.wait().unwrap().success());
        assert!(census::nobody(|| self.left()), "{}", self.log());
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Also after a failed test nothing may be left to disturb the next.
        let _ = self.process.kill();
        let _ = self.process.wait();
        census::end(&self.mark);
    }
}

fn launch(prefix: &[&str], folder: &Path, mark: &str) -> Child {
    let config = folder.join("toolgate.toml");
    let line = [prefix, &[env!("CARGO_BIN_EXE_toolgated"), "keeper", "--config", config.to_str().unwrap()]].concat();
    let log = fs::File::create(folder.join("log")).unwrap();
    Command::new(line[0])
        .args(&line[1..])
        .env(VARIABLE, mark)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn write_config(folder: &Path, mark: &str, servers: Servers<'_>) {
    let mut text = format!(
        "version = 1\n[daemon]\nruntime_dir = \"{}\"\n[listener.local]\naddress = [\"127.0.0.1:9\"]\nserve = [\"health\"]\n",
        folder.join("run").display()
    );
    for (name, command) in servers {
        let max = if *name == "one" { 1 } else { 100 };
        write!(
            text,
            "[server.{name}]\ncommand = {command:?}\nenv = {{ {VARIABLE} = {mark:?} }}\ninstances = {{ max = {max} }}\n"
        )
        .unwrap();
    }
    fs::write(folder.join("toolgate.toml"), text).unwrap();
}

/// Runs what uses connections.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new()
        .block_on(&runtime, async { tokio::time::timeout(2 * PATIENCE, test).await.expect("the test hangs") })
}
