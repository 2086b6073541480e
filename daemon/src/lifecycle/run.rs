//! `toolgated run`: from reading the configuration to the last answered call.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::boot::{Boot, boot};
use super::daemon::Daemon;
use super::pulse::Pulse;
use super::revocation::Revocation;
use super::sampled::Samples;
use super::signals::{self, Request};
use super::steer::Expiry;
use super::watchdog::Watchdog;
use super::{notify, refused, shutdown, status, sweep};
use crate::admin::Admin;
use crate::config::check::{EX_CONFIG, STANDARD_PATH};
use crate::cores::Cores;
use crate::gate::Gate;
use crate::limits::quotas;
use crate::listen::bind::Passed;
use crate::listen::listeners::Listeners;
use crate::lock::lock;
use crate::observe::history;
use crate::observe::logging::Logging;
use crate::observe::watch::Watch;
use crate::policy::Policy;
use crate::private;
use crate::servers::credentials::watch as secrets;
use crate::servers::endpoints::{checks, warm};
use crate::servers::{lookout, reading};
use crate::state::{self, State, restore};

/// Exit code where the machine refuses what the daemon needs (`sysexits.h`, `EX_OSERR`).
const EX_OSERR: u8 = 71;
/// How long critical servers may take before the daemon is ready all the same.
const FIRST_PASS: Duration = Duration::from_millis(500);
/// How often `systemctl status` is told new numbers.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

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
    private::keep_memory();
    // Whoever is told of the files may stand in another folder.
    let file = std::path::absolute(&args.config).unwrap_or_else(|_| args.config.clone());
    let boot = match boot(&file) {
        Ok(boot) => boot,
        Err(problem) => {
            refused::refuse(&file, &problem);
            return ExitCode::from(EX_CONFIG);
        }
    };
    match serve(file, boot) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("toolgated: {problem}");
            notify::status(&problem);
            ExitCode::from(EX_OSERR)
        }
    }
}

fn serve(file: PathBuf, boot: Boot) -> Result<(), String> {
    let requests = signals::listen().map_err(|problem| format!("signals cannot be received: {problem}"))?;
    let logging = Logging::start(&boot.settings.log).map_err(|problem| problem.to_string())?;
    boot.complain();
    let Boot { settings, history, accepted, .. } = boot;
    let settings = Arc::new(settings);
    let (state, left) = State::open(&settings.daemon).unzip();
    reading::set_most(settings.daemon.max_answer_memory);
    let gate = Gate::new(Policy::first(Arc::clone(&settings), state)?);
    gate.traces.follow(gate.settings.load().trace.as_ref());
    let cores = Cores::start(settings.daemon.cores, &gate)
        .map_err(|problem| format!("the cores cannot be started: {problem}"))?;
    let mut passed =
        Passed::from_systemd().map_err(|problem| format!("systemd's sockets cannot be taken over: {problem}"))?;
    let quotas = quotas::Keeper::start(&gate, &settings.daemon.state_dir);
    restore::restore(&gate, &cores, left.unwrap_or_default(), passed.take(state::is_ours));
    let listeners = Listeners::open(&gate.settings, &cores, &mut passed)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let daemon = Arc::new(Daemon::new(Arc::clone(&gate), listeners, cores.clone(), logging, file, history));
    let admin = Admin::start(&settings.daemon.runtime_dir, Arc::clone(&daemon) as Arc<_>)
        .map_err(|problem| format!("the admin sockets cannot be opened: {problem}"))?;
    // Now that its listeners are bound: what cannot be served is not what a later start should go back to.
    if let Some(accepted) = accepted {
        daemon.keep(accepted, "start", None);
        daemon.kept();
    }
    daemon.look_at_units();
    gate.observed.follow(lock(&daemon.listeners).followed());
    sweep::start(&cores);
    let _past = history::Keeper::start(&daemon.graphs, Samples::of(&daemon), &settings.daemon.state_dir)
        .map_err(|problem| format!("the history cannot be kept: {problem}"))?;
    let _pulse = Pulse::start(&gate, &cores).map_err(|problem| format!("the load cannot be watched: {problem}"))?;
    let watch = Watch::start(&gate).map_err(|problem| format!("nobody can watch: {problem}"))?;
    let _expiry =
        Expiry::start(&daemon).map_err(|problem| format!("no end of a change by hand would be noticed: {problem}"))?;
    let _secrets =
        secrets::Watch::start(&gate).map_err(|problem| format!("no secret would be read again: {problem}"))?;
    let _revocation =
        Revocation::start(&daemon).map_err(|problem| format!("no revoked certificate would be noticed: {problem}"))?;
    checks::start(&cores);
    warm::start(&cores);
    lookout::start(&cores);
    greet_critical(&gate, &cores);
    let _watchdog = Watchdog::start(cores.clone(), progresses(admin.heartbeat()))
        .map_err(|problem| format!("the watchdog cannot be fed: {problem}"))?;
    notify::ready(&status::line(&gate));
    refused::forget(&settings.daemon.state_dir);
    info!(revision = settings.revision, version = env!("CARGO_PKG_VERSION"), "serving");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|problem| format!("the main thread cannot wait: {problem}"))?;
    runtime.block_on(until_the_end(requests, &daemon, &cores));
    // Whoever still reads files there keeps nobody from ending.
    runtime.shutdown_background();
    drop(admin);
    cores.stop();
    gate.settle();
    gate.traces.settle();
    // Its last write has what the last calls counted.
    drop(quotas);
    drop(watch);
    gate.audit.end();
    info!("ended");
    daemon.flush_log();
    Ok(())
}

/// One bounded pass over critical servers, so that readiness is known from the first probe on.
fn greet_critical(gate: &Arc<Gate>, cores: &Cores) {
    if !gate.policy.load().servers.values().any(|server| server.settings.critical) {
        return;
    }
    let (done, waited) = std::sync::mpsc::channel::<()>();
    let greeted = cores.try_spawn(0, move |core| async move {
        sweep::greet_critical(&core).await;
        drop(done);
    });
    if greeted.is_ok() {
        // Disconnected is what says that the pass is over.
        let _ = waited.recv_timeout(FIRST_PASS);
    }
}

/// Whether the admin thread has moved since the last question.
fn progresses(heartbeat: Arc<AtomicU64>) -> impl Fn() -> bool {
    let last = AtomicU64::new(u64::MAX);
    move || {
        let now = heartbeat.load(Ordering::Relaxed);
        last.swap(now, Ordering::Relaxed) != now
    }
}

/// Serves, reloads at SIGHUP, drains at the first signal to stop, and ends at the second.
async fn until_the_end(mut requests: Receiver<Request>, daemon: &Arc<Daemon>, cores: &Cores) {
    let mut looking: Option<JoinHandle<()>> = None;
    loop {
        match timeout(STATUS_INTERVAL, requests.recv()).await {
            Err(_) => {
                // Files may be slow, and signals are taken here.
                if looking.as_ref().is_none_or(JoinHandle::is_finished) {
                    let looks = Arc::clone(daemon);
                    looking = Some(spawn_blocking(move || drop(looks.look_at_units())));
                }
                notify::status(&status::line(&daemon.gate));
            }
            Ok(Some(Request::Reload)) => reload(daemon).await,
            Ok(Some(Request::Drain | Request::EndNow) | None) => break,
        }
    }
    let settings = daemon.gate.settings.load_full();
    daemon.gate.draining.store(true, Ordering::Relaxed);
    let policy = daemon.gate.policy.load_full();
    if !policy.keeps_connections() {
        policy.servers.values().filter_map(|server| server.instances()).for_each(|instances| instances.end_spares());
    }
    notify::stopping(settings.daemon.drain_timeout + Duration::from_secs(2));
    info!(calls = daemon.gate.calls.load(Ordering::Relaxed), "draining");
    let drained = shutdown::drain(|| daemon.stop_accepting(), cores, &settings.daemon);
    let told_to_end = async { while !matches!(requests.recv().await, Some(Request::EndNow) | None) {} };
    tokio::select! {
        left = drained => if left > 0 { warn!(connections = left, "calls were cut off") },
        () = told_to_end => warn!("a second signal: ending at once"),
    }
}

/// The files are read on a thread of their own, so that a second signal is not kept waiting.
async fn reload(daemon: &Arc<Daemon>) {
    let turn = Arc::clone(daemon);
    match spawn_blocking(move || turn.reload_files("SIGHUP", None)).await {
        // The log was told already what came of it.
        Ok(_) => {}
        Err(problem) => error!(%problem, "the reload ended by panic; the running configuration is kept"),
    }
}
