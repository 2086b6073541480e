//! `toolgated run`: from reading the configuration to the last answered call.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use tracing::{error, info, warn};

use super::daemon::Daemon;
use super::signals::{Signal, Signals};
use super::{notify, sweep};
use crate::admin::Admin;
use crate::config::check::{EX_CONFIG, STANDARD_PATH};
use crate::config::{self, Environment, Scrutiny, Settings};
use crate::cores::Cores;
use crate::gate::Gate;
use crate::listen::bind::Passed;
use crate::listen::drain::Phase;
use crate::listen::listeners::Listeners;
use crate::observe::logging::Logging;
use crate::policy::Policy;

/// Exit code where the machine refuses what the daemon needs (`sysexits.h`, `EX_OSERR`).
const EX_OSERR: u8 = 71;
/// After the time for a drain is up, calls get this long to be answered with an error.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Serves until it is told to stop.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The main file; conf.d/*.toml beside it is read too
    #[arg(long, value_name = "FILE", default_value = STANDARD_PATH)]
    pub config: PathBuf,
}

/// Runs the daemon to its orderly end.
#[must_use]
pub fn run(args: &RunArgs) -> ExitCode {
    let settings = match config::load(&args.config, &Environment::of_process(Scrutiny::Daemon)) {
        Ok((settings, report)) => {
            eprint!("{}", report.render(false));
            settings
        }
        Err(report) => {
            eprint!("{}", report.render(false));
            notify::status("the configuration cannot be used; `toolgated check` says why");
            return ExitCode::from(EX_CONFIG);
        }
    };
    match serve(args, settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("toolgated: {problem}");
            notify::status(&problem);
            ExitCode::from(EX_OSERR)
        }
    }
}

fn serve(args: &RunArgs, settings: Settings) -> Result<(), String> {
    let signals = Signals::register().map_err(|problem| format!("signals cannot be received: {problem}"))?;
    let logging = Logging::start(&settings.log).map_err(|problem| problem.to_string())?;
    let settings = Arc::new(settings);
    let gate = Gate::new(Policy::new(Arc::clone(&settings), None)?);
    let cores = Cores::start(settings.daemon.cores, &gate).map_err(|problem| format!("the cores cannot be started: {problem}"))?;
    let mut passed = Passed::from_systemd().map_err(|problem| format!("systemd's sockets cannot be taken over: {problem}"))?;
    let listeners = Listeners::open(&gate.settings, &cores, &mut passed).map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    })?;
    let daemon = Arc::new(Daemon::new(Arc::clone(&gate), listeners, cores.clone(), logging, args.config.clone()));
    let admin = Admin::start(&settings.daemon.runtime_dir, Arc::clone(&daemon) as Arc<_>)
        .map_err(|problem| format!("the admin sockets cannot be opened: {problem}"))?;
    sweep::start(&cores);
    greet_critical(&gate, &cores);
    let _watchdog = super::watchdog::start(&cores, admin.heartbeat());
    notify::ready();
    info!(revision = settings.revision, version = env!("CARGO_PKG_VERSION"), "serving");
    until_told(&signals, &daemon);
    drain(&signals, &daemon, &cores, settings.daemon.lame_duck);
    drop(admin);
    daemon.flush_log();
    Ok(())
}

/// One bounded pass over critical servers, so that readiness is known from the first probe on.
fn greet_critical(gate: &Arc<Gate>, cores: &Cores) {
    let (done, waited) = std::sync::mpsc::channel::<()>();
    let critical = gate.policy.load().servers.values().any(|server| server.settings.critical);
    if !critical {
        return;
    }
    let greeted = cores.try_spawn(0, move |core| async move {
        sweep::greet_critical(&core).await;
        drop(done);
    });
    if greeted.is_ok() {
        let _ = waited.recv_timeout(Duration::from_millis(500));
    }
}

/// Serves until the first signal to stop; SIGHUP reloads.
fn until_told(signals: &Signals, daemon: &Daemon) {
    loop {
        match signals.next(Some(Duration::from_secs(5))) {
            Some(Signal::Stop) => return,
            Some(Signal::Reload) => {
                notify::reloading();
                if let Err(problem) = daemon.reload_files("SIGHUP", None) {
                    error!("{problem}");
                }
                notify::ready();
            }
            None => notify::status(&summary(&daemon.gate)),
        }
    }
}

fn summary(gate: &Gate) -> String {
    format!(
        "revision {}: {} calls in flight, {} sessions",
        gate.settings.load().revision,
        gate.calls.load(Ordering::Relaxed),
        gate.sessions.len(),
    )
}

/// Answers what comes and ends what runs, within the time that the configuration gives.
fn drain(signals: &Signals, daemon: &Daemon, cores: &Cores, lame_duck: Duration) {
    let gate = &daemon.gate;
    let timeout = gate.settings.load().daemon.drain_timeout;
    gate.draining.store(true, Ordering::Relaxed);
    notify::stopping(lame_duck + timeout);
    info!(calls = gate.calls.load(Ordering::Relaxed), "draining");
    advance(cores, Phase::LameDuck);
    if wait(signals, lame_duck, || false) {
        return;
    }
    daemon.listeners.lock().unwrap_or_else(std::sync::PoisonError::into_inner).stop_accepting();
    advance(cores, Phase::Finishing);
    let open = || (0..cores.count()).map(|core| cores.load(core).connections()).sum::<usize>();
    if wait(signals, timeout, || open() == 0) {
        return;
    }
    if open() > 0 {
        warn!(connections = open(), calls = gate.calls.load(Ordering::Relaxed), "the time to drain is up");
        advance(cores, Phase::Ending);
        wait(signals, LAST_WORDS, || open() == 0);
    }
    cores.stop();
    info!("ended");
}

fn advance(cores: &Cores, phase: Phase) {
    for core in 0..cores.count() {
        if let Err(problem) = cores.try_spawn(core, move |core| async move { core.drain.advance(phase) }) {
            error!("{problem}");
        }
    }
}

/// Waits until `done` or the time is up; true where a second signal demands the end at once.
fn wait(signals: &Signals, time: Duration, done: impl Fn() -> bool) -> bool {
    let end = Instant::now() + time;
    while !done() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        match signals.next(Some(left.min(Duration::from_millis(20)))) {
            Some(Signal::Stop) => {
                warn!("a second signal: ending at once");
                return true;
            }
            Some(Signal::Reload) => warn!("no reload while draining"),
            None => {}
        }
    }
    false
}
