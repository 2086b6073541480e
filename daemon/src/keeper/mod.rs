//! `toolgated keeper`: starts an instance for each connection to a stdio server's socket.
//!
//! It stands where systemd does not: in the demo, in a container, on a laptop. It guarantees that
//! no process of an instance outlives it, by a delegated control group, else as a subreaper. (A PID
//! namespace in between is not used: to enter one needs an `unsafe` call, and an init in it.)

mod cgroup;
mod instances;
mod plan;
mod sockets;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, getpid, getppid, set_child_subreaper, set_parent_process_death_signal};

use crate::config::{self, Environment, Scrutiny};
use crate::instance::signals::Signals;
use crate::instance::timespec;
use crate::private;
use cgroup::Means;
use instances::Instances;
use sockets::{Lock, Sockets};

pub use plan::{Plan, Service, connections};

/// How long instances may take to end by themselves: their own grace and a little more.
const STOP_TIME: Duration = Duration::from_secs(4);

/// Pause after the machine refused a descriptor or a process.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(200);

/// Pause between attempts to remove what is left of ended instances.
const TIDY_PAUSE: Duration = Duration::from_millis(20);

/// Arguments of `toolgated keeper`.
#[derive(Debug, Clone, clap::Args)]
pub struct KeeperArgs {
    /// The gate's configuration; its stdio servers are kept
    #[arg(long, value_name = "FILE", default_value = "/etc/toolgate/toolgate.toml")]
    pub config: PathBuf,
    /// End when the process that started this one ends
    #[arg(long, hide = true)]
    pub end_with_parent: bool,
}

/// Keeps the stdio servers of a configuration until it is told to stop.
///
/// Exits with 0 after that, with 78 where the configuration cannot be used, and with 71 where the
/// machine refuses what a keeper needs.
#[must_use]
pub fn run(args: &KeeperArgs) -> ExitCode {
    private::keep_memory();
    let mut load = || match config::load(&args.config, &Environment::of_process(Scrutiny::Keeper)) {
        Ok((settings, _)) => Ok(Plan::from_settings(&settings)),
        Err(_) => Err(format!("{} cannot be used: `toolgated check` says why", args.config.display())),
    };
    let parent = if args.end_with_parent { end_with_parent() } else { Ok(()) };
    let Err(e) = parent.and_then(|()| serve(&mut load)) else { return ExitCode::SUCCESS };
    tracing::error!("{e}");
    ExitCode::from(if matches!(e, KeeperError::Plan(_)) { 78 } else { 71 })
}

/// What the keeper is to do, asked at its start and at each SIGHUP; an error is a sentence.
pub type Load<'a> = dyn FnMut() -> Result<Plan, String> + 'a;

/// Serves until SIGTERM or SIGINT, and returns when the last process of the last instance is gone.
///
/// Must be called on the process's main thread before any other thread runs: instances end with
/// the thread that started them, and signals, orphans and children are the whole process's.
pub fn serve(load: &mut Load<'_>) -> Result<(), KeeperError> {
    let signals = Signals::register().map_err(KeeperError::Prepare)?;
    set_child_subreaper(Some(getpid())).map_err(|e| KeeperError::Prepare(e.into()))?;
    let plan = load().map_err(KeeperError::Plan)?;
    let lock = Lock::take(&plan.directory)?;
    let means = Means::find();
    tracing::info!(%means, "instances end with all their processes");
    say_what_is_missing(&means, &plan);
    let mut keeper = Keeper {
        sockets: Sockets::new(plan.directory.clone()),
        instances: Instances::new(means),
        signals,
        paused: None,
    };
    for problem in keeper.sockets.apply(plan) {
        tracing::error!("{problem}");
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    keeper.run(load);
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    keeper.stop();
    drop(lock);
    Ok(())
}

/// What a configuration asks for and only systemd's units, or a control group, can give.
fn say_what_is_missing(means: &Means, plan: &Plan) {
    let asked = |wants: fn(&Service) -> bool| plan.services.iter().any(|service| wants(service));
    if !means.limits("pids") && asked(|service| service.tasks.is_some()) {
        tracing::warn!("`tasks` is not enforced here: only a control group with the pids controller can");
    }
    if !means.limits("cpu") && asked(|service| service.cpu.is_some()) {
        tracing::warn!("`cpu` is not enforced here: only a control group with the cpu controller can");
    }
    if asked(|service| !service.access.groups.is_empty()) {
        tracing::warn!("`groups` has no effect here: commands have the keeper's user and groups");
    }
    if asked(|service| !service.access.network || !service.access.networks.is_empty()) {
        tracing::info!("commands have the keeper's network, whatever `network` and `network_allow` say");
    }
}

/// Asks for SIGTERM when the process that started this one ends. Call on the main thread.
fn end_with_parent() -> Result<(), KeeperError> {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(|e| KeeperError::Prepare(e.into()))?;
    // A parent that ended before is never announced.
    if getppid() == parent { Ok(()) } else { Err(KeeperError::Prepare(io::Error::other("the parent has ended"))) }
}

struct Keeper {
    sockets: Sockets,
    instances: Instances,
    signals: Signals,
    /// Nothing is accepted before this.
    paused: Option<Instant>,
}

impl Keeper {
    fn run(&mut self, load: &mut Load<'_>) {
        loop {
            self.signals.clear();
            self.instances.reap();
            if self.signals.take_stop() {
                return;
            }
            if self.signals.take_hangup() {
                self.reload(load);
            }
            self.paused = self.paused.filter(|until| *until > Instant::now());
            for name in self.wait() {
                self.accept(&name);
            }
        }
    }

    fn reload(&mut self, load: &mut Load<'_>) {
        let plan = match load() {
            Ok(plan) if plan.directory == self.sockets.directory() => plan,
            Ok(plan) => {
                return tracing::error!(directory = %plan.directory.display(), "the folder of sockets changes at a restart only; nothing was changed");
            }
            Err(e) => return tracing::error!("nothing was changed: {e}"),
        };
        for problem in self.sockets.apply(plan) {
            tracing::error!("{problem}");
        }
        tracing::info!(servers = self.sockets.iter().count(), "reloaded");
    }

    /// Names of the servers with a connection to accept.
    fn wait(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut watched = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if self.paused.is_none() {
            for (name, socket) in self.sockets.iter() {
                names.push(name);
                watched.push(PollFd::new(&socket.listener, PollFlags::IN));
            }
        }
        let pause = self.paused.map(|until| until.saturating_duration_since(Instant::now()));
        let tidy = self.instances.is_untidy().then_some(TIDY_PAUSE);
        let timeout = [pause, tidy].into_iter().flatten().min().map(timespec);
        if poll(&mut watched, timeout.as_ref()).is_err() {
            return Vec::new();
        }
        let ready = watched[1..].iter().map(|watched| !watched.revents().is_empty());
        names.into_iter().zip(ready).filter(|(_, ready)| *ready).map(|(name, _)| name.to_owned()).collect()
    }

    fn accept(&mut self, name: &str) {
        let Some(socket) = self.sockets.get(name) else { return };
        let result = match socket.listener.accept() {
            Ok((connection, _)) => self.instances.start(&socket.service, connection),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                ) =>
            {
                Ok(())
            }
            Err(e) => Err(e),
        };
        if let Err(e) = result {
            tracing::warn!(server = name, "no instance could be started: {e}");
            self.paused = Some(Instant::now() + EXHAUSTED_PAUSE);
        }
    }

    fn stop(&mut self) {
        self.sockets.close();
        self.instances.signal(Signal::TERM);
        let deadline = Instant::now() + STOP_TIME;
        while !self.instances.all_ended() {
            self.signals.clear();
            self.instances.reap();
            let late = Instant::now() >= deadline;
            if late || self.signals.take_stop() {
                self.instances.end_now();
                return;
            }
            let fd: BorrowedFd<'_> = self.signals.as_fd();
            let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timespec(TIDY_PAUSE)));
        }
    }
}

/// Why the keeper cannot serve.
#[derive(Debug)]
pub enum KeeperError {
    /// The kernel refused what every keeper needs.
    Prepare(io::Error),
    /// What to serve could not be read; a sentence.
    Plan(String),
    /// The folder of sockets cannot be used.
    Directory(PathBuf, io::Error),
    /// Another keeper serves this folder.
    Taken(PathBuf),
}

impl fmt::Display for KeeperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare(e) => write!(f, "cannot keep instances here: {e}"),
            Self::Plan(e) => f.write_str(e),
            Self::Directory(path, e) => {
                write!(f, "cannot use {}: {e}; it must be a folder that this user can write to", path.display())
            }
            Self::Taken(path) => {
                write!(f, "another keeper serves {}: stop it first, or set another `runtime_dir`", path.display())
            }
        }
    }
}

impl std::error::Error for KeeperError {}
