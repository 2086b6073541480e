//! The running daemon as its operators see it: status, and the reload as a transaction.
//!
//! The admin sockets and SIGHUP both come here; one reload runs at a time, and a refused one
//! leaves everything as it was.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
use toolgate_admin_api as api;
use tracing::{error, info, warn};

use super::endpoints::Placed;
use super::history::History;
use super::steer::LogByHand;
use super::{endpoints, instances, notify, queues, status, units, values};
use crate::admin::{Operations, Peer};
use crate::audit::Event;
use crate::config::{self, Cost, Environment, Report, Scrutiny, Settings, Snapshot};
use crate::cores::Cores;
use crate::gate::Gate;
use crate::listen::listeners::Listeners;
use crate::lock::lock;
use crate::observe::health;
use crate::observe::logging::Logging;
use crate::observe::panics;
use crate::policy::Policy;
use crate::relay::farewell;
use crate::servers::{Server, reading};

/// The daemon, for those who operate it.
pub struct Daemon {
    /// What the cores share.
    pub gate: Arc<Gate>,
    /// Sockets that accept.
    pub listeners: Mutex<Listeners>,
    pub(super) cores: Cores,
    /// Configurations that were accepted.
    pub(super) history: History,
    /// Permits to ask a server for its tools.
    pub(super) asking: Semaphore,
    /// The last day of what the console draws.
    pub(super) graphs: Arc<crate::observe::history::History>,
    pub(super) logging: Logging,
    /// A level of the log that an operator set.
    pub(super) log_by_hand: Mutex<Option<LogByHand>>,
    pub(super) file: PathBuf,
    instance: String,
    started: SystemTime,
    loaded: Mutex<SystemTime>,
    /// Held while what holds is changed, by a reload or by hand; nobody waits for files or the disk with it.
    pub(super) turn: Mutex<()>,
    /// Held for as long as the running revision must stay what it is: by a reload, from when it reads the files until
    /// what they say holds.
    pub(super) revision: RwLock<()>,
}

/// Servers, each as all who met it met it.
fn every_facet(policy: &Policy) -> impl Iterator<Item = Arc<Server>> {
    policy.servers.values().flat_map(Server::each_facet)
}

impl Daemon {
    /// A daemon that has just begun to serve.
    pub(super) fn new(
        gate: Arc<Gate>,
        listeners: Listeners,
        cores: Cores,
        logging: Logging,
        file: PathBuf,
        history: History,
    ) -> Self {
        let now = SystemTime::now();
        Self {
            gate,
            listeners: Mutex::new(listeners),
            cores,
            history,
            asking: Semaphore::new(super::offer::AT_ONCE),
            graphs: Arc::default(),
            logging,
            log_by_hand: Mutex::default(),
            file,
            instance: crate::sessions::SessionId::random().to_string(),
            started: now,
            loaded: Mutex::new(now),
            turn: Mutex::new(()),
            revision: RwLock::new(()),
        }
    }

    /// Takes what waits, then accepts no more.
    pub fn stop_accepting(&self) {
        lock(&self.listeners).stop_accepting();
    }

    /// Waits until what was logged is written.
    pub fn flush_log(&self) {
        self.logging.flush();
    }

    /// Reads the files and takes them over, or says why not and changes nothing.
    pub fn reload_files(&self, who: &str, reason: Option<&str>) -> Result<api::ReloadOutcome, api::ApiError> {
        let request = api::ReloadRequest { reason: reason.map(str::to_owned), ..api::ReloadRequest::default() };
        let outcome = self.transact(who, &request, None);
        // One through the admin sockets is recorded there.
        let event = Event::new("reload").with("who", who).with("reason", reason.unwrap_or_default());
        self.gate.audit.tell(match &outcome {
            Ok(done) => event.with("outcome", "done").count("revision", done.revision),
            Err(problem) => event.with("outcome", &problem.to_string()).count("revision", self.version().revision),
        });
        outcome
    }

    fn transact(
        &self,
        who: &str,
        request: &api::ReloadRequest,
        if_match: Option<u64>,
    ) -> Result<api::ReloadOutcome, api::ApiError> {
        let alone = self.revision.write().unwrap_or_else(PoisonError::into_inner);
        let told = notify::reloading(|| status::line(&self.gate));
        let running = self.gate.settings.load_full();
        let previous = running.revision;
        if if_match.is_some_and(|wanted| wanted != previous) {
            return Err(api::ApiError::stale(previous));
        }
        let (mut settings, report) = self.load().map_err(|report| {
            warn!(who, "a reload was refused: {}; revision {previous} is still serving", sentences(&report));
            api::ApiError::bad_configuration(problems(&report), previous)
        })?;
        let written = Snapshot::of(&report, &self.file);
        let takes_back = request.withdraws == Some(previous) && !request.dry_run;
        let before = takes_back.then(|| self.history.before_try(previous, &written)).flatten();
        let next = self.history.number_of(&written);
        settings.revision = before.as_ref().map_or(next, |before| before.revision);
        let revision = settings.revision;
        let mut outcome = prospect(&running, &settings, &report);
        if request.dry_run {
            outcome.changes.extend(ends(self.gate.would_end(&settings)));
            outcome.needs_restart.extend(self.look_at_units().map(|drift| drift.sentence()));
            return Ok(outcome);
        }
        let (trouble, ended) = self.apply(settings).map_err(|why| refuse(who, &why, previous))?;
        outcome.changes.extend(ends(ended));
        outcome.needs_restart.extend(trouble);
        outcome.needs_restart.extend(self.look_at_units().map(|drift| drift.sentence()));
        outcome.applied = true;
        outcome.revision = revision;
        let reason = request.reason.as_deref();
        if let Some(before) = before {
            self.history.withdraw(before);
        }
        self.keep(written, who, reason);
        *lock(&self.loaded) = SystemTime::now();
        drop((told, alone));
        outcome.problems.extend(self.kept().map(not_kept));
        info!(
            who,
            reason = reason.unwrap_or(""),
            revision = outcome.revision,
            changes = outcome.changes.len(),
            "the configuration was reloaded"
        );
        Ok(outcome)
    }

    fn load(&self) -> Result<(Settings, Report), Report> {
        config::load(&self.file, &Environment::of_process(Scrutiny::Front))
    }

    /// Everything that can fail comes before the swap; what follows it only tidies up.
    /// What could not be done, and how many sessions it has ended.
    fn apply(&self, settings: Settings) -> Result<(Vec<String>, usize), String> {
        let settings = Arc::new(settings);
        let _turn = lock(&self.turn);
        let running = &*self.gate.policy.load_full();
        let policy = Policy::new(Arc::clone(&settings), Some(running))?;
        self.logging.set(&self.log_under(&settings.log)).map_err(|problem| problem.to_string())?;
        let kept: Vec<_> = every_facet(&policy).map(|server| server.generation).collect();
        self.gate.settings.store(Arc::clone(&settings));
        self.gate.audit.configure(&settings.audit);
        let policy = Arc::new(policy);
        // Before anybody can meet a server that is new.
        let switched = self.gate.steering.bear_on(&policy);
        self.gate.policy.store(Arc::clone(&policy));
        self.gate.traces.follow(settings.trace.as_ref());
        policy.connections.set_max(settings.daemon.max_server_connections);
        reading::set_most(settings.daemon.max_answer_memory);
        for server in &switched {
            self.tools_changed(server);
        }
        for server in policy.servers.values() {
            server.allow(self.gate.overload.share(settings.overload.as_ref()));
            server.queue.set_per_client(server.settings.max_calls_per_client);
            server.streams.set_cap(server.settings.max_streams);
            server.streams.set_per_client(server.settings.max_streams_per_client);
            server.endpoints.follow(&server.settings);
            server.follow();
        }
        let trouble = lock(&self.listeners).reload(&settings);
        for problem in &trouble {
            error!("{problem}");
        }
        for server in every_facet(running) {
            if !kept.contains(&server.generation) {
                server.retire();
            }
        }
        self.gate.seal.follow(&settings.seal);
        self.keys_are_gone(&running.settings, &settings);
        self.issuers_are_gone(&running.issuers, &policy.issuers);
        self.end_those(|session| policy.issuers.is_gone(&session.client), false);
        let ended = self.gate.end_stale_sessions();
        let count = ended.len();
        if let Err(problem) = self.cores.try_spawn(0, move |core| async move { farewell::begin(&core, ended) }) {
            warn!("servers are not told which of their sessions have ended: {problem}");
        }
        Ok((trouble.iter().map(ToString::to_string).collect(), count))
    }

    fn warnings(&self, policy: &Policy) -> Vec<String> {
        let unused = policy.settings.from_history();
        let unkept = self.history.trouble();
        let settings = policy.settings.warnings.iter().cloned();
        let units = self.gate.units.load().as_deref().cloned();
        let kept = unkept.into_iter().chain(unwritten(policy));
        let overload = self.gate.overload.told().map(|told| told.sentence());
        unused
            .into_iter()
            .chain(overload)
            .chain(settings)
            .chain(units)
            .chain(left_out(policy))
            .chain(kept)
            .chain(defects())
            .chain(self.gate.audit.trouble())
            .chain(self.gate.seal.trouble())
            .chain(self.gate.steering.unread())
            .chain(self.gate.steering.trouble())
            .chain(self.gate.keys.trouble())
            .chain(policy.grants.trouble())
            .chain(self.gate.keys.told_of_both(&policy.settings))
            .collect()
    }

    fn listener_status(&self, settings: &Settings) -> Vec<api::ListenerStatus> {
        let open = lock(&self.listeners);
        let connections = |name: &str| {
            open.all()
                .find(|(known, _)| *known == name)
                .map_or(0, |(_, listener)| listener.connections.load(Ordering::Relaxed) as u64)
        };
        settings
            .listeners
            .iter()
            .map(|listener| api::ListenerStatus {
                name: listener.name.clone(),
                addresses: open.addresses(&listener.name).iter().map(ToString::to_string).collect(),
                serve: listener.serve.words().into_iter().map(str::to_owned).collect(),
                tls: listener.tls.is_some(),
                connections: connections(&listener.name),
            })
            .collect()
    }

    /// The gate without its servers.
    pub(super) fn glance(&self, policy: &Policy) -> api::Status {
        let not_ready = health::not_ready(&self.gate).map(|reason| reason.full);
        let connections = (0..self.cores.count()).map(|core| self.cores.load(core).connections() as u64).sum();
        api::Status {
            instance: self.instance.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: policy.settings.revision,
            pid: std::process::id(),
            started_at_ms: millis(self.started),
            uptime_seconds: self.gate.started.elapsed().as_secs(),
            draining: self.gate.draining.load(Ordering::Relaxed),
            ready: not_ready.is_none(),
            not_ready,
            connections,
            server_connections: Some(endpoints::pool(policy.connections.seen())),
            sessions: self.gate.sessions.len() as u64,
            calls_in_flight: self.gate.calls.load(Ordering::Relaxed) as u64,
            overload: queues::overload(&self.gate.overload),
            listeners: self.listener_status(&policy.settings),
            servers: Vec::new(),
            warnings: self.warnings(policy),
        }
    }

    /// Every server as it is, in the order of the configuration.
    pub(super) fn server_statuses(&self, policy: &Policy) -> Vec<api::ServerStatus> {
        let placed = Placed::of(&self.gate);
        policy.settings.servers.values().map(|settings| Self::server_status(&placed, policy, settings)).collect()
    }

    pub(super) fn server_status(
        placed: &Placed,
        policy: &Policy,
        settings: &config::settings::Server,
    ) -> api::ServerStatus {
        let running = policy.servers.get(&settings.name);
        let load = running.map(|server| server.queue.snapshot());
        let trouble = running.and_then(|server| server.trouble());
        let state = match (running, &trouble) {
            (None, _) => api::ServerState::Disabled,
            (Some(server), Some(_)) if server.instances().is_some_and(|instances| instances.trouble().is_some()) => {
                api::ServerState::CrashLoop
            }
            (Some(_), Some(_)) => api::ServerState::Down,
            (Some(server), None) if server.endpoints.degradation().is_some() => api::ServerState::Degraded,
            (Some(server), None) if server.was_used() => api::ServerState::Up,
            (Some(_), None) => api::ServerState::Idle,
        };
        api::ServerStatus {
            name: settings.name.clone(),
            state,
            reason: trouble.or_else(|| running.and_then(|server| server.endpoints.degradation())),
            transport: match &settings.transport {
                config::settings::Transport::Http(_) | config::settings::Transport::Sse(_) => api::Transport::Http,
                config::settings::Transport::Stdio(_) => api::Transport::Stdio,
            },
            era: running.and_then(|server| era(server)),
            critical: settings.critical,
            in_flight: load.map_or(0, |load| load.in_flight as u64),
            waiting: load.map_or(0, |load| load.waiting as u64),
            sessions: Some(placed.of_server(&settings.name)),
            connections: running.and_then(|server| endpoints::connections(server)),
            endpoints: running.map(|server| endpoints::status(placed, server)).unwrap_or_default(),
            instances: running.and_then(|server| server.instances()).map(|known| instances::status(known, false)),
        }
    }
}

/// What a reload would do.
fn prospect(running: &Settings, settings: &Settings, report: &Report) -> api::ReloadOutcome {
    let changes = Settings::diff(running, settings);
    let (needs_restart, live): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.cost == Cost::Restart);
    api::ReloadOutcome {
        applied: false,
        revision: running.revision,
        previous: running.revision,
        changes: live.iter().map(ToString::to_string).collect(),
        needs_restart: needs_restart.iter().map(ToString::to_string).collect(),
        problems: problems(report),
    }
}

/// What a reload costs those who are there, where it costs them anything.
fn ends(sessions: usize) -> Option<String> {
    (sessions > 0)
        .then(|| format!("sessions that end, for their server or their path is gone or another one: {sessions}"))
}

fn refuse(who: &str, why: &str, previous: u64) -> api::ApiError {
    warn!(who, "a reload was refused: {why}; revision {previous} is still serving");
    api::ApiError::new(api::ErrorCode::BadConfiguration, why)
        .remedy(format!("Mend the files, then try again; revision {previous} is still serving."))
}

/// What is wrong, on one line per problem.
fn sentences(report: &Report) -> String {
    let sentences = report.problems.iter().map(|problem| report.sentence(problem));
    sentences.collect::<Vec<_>>().join("\n")
}

/// A warning to those who changed the configuration.
fn not_kept(message: String) -> api::ConfigProblem {
    api::ConfigProblem {
        severity: api::Severity::Warning,
        message,
        remedy: Some("See that the daemon may write to its state folder, and that there is room.".into()),
        file: None,
        line: None,
        column: None,
        key: None,
        report: None,
    }
}

/// A warning to those who look at the files, which have what the store has too.
fn two_keys(message: String) -> api::ConfigProblem {
    let remedy = Some("`toolgate key list --filter files` shows them.".into());
    api::ConfigProblem { remedy, ..not_kept(message + ".") }
}

/// Names that merged views leave out and how to mend each, and what is wrong with tools.
fn left_out(policy: &Policy) -> impl Iterator<Item = String> {
    let mut servers: Vec<_> = policy.servers.values().collect();
    servers.sort_by(|one, other| one.settings.name.cmp(&other.settings.name));
    servers.into_iter().flat_map(|server| server.left_out.told().into_iter().chain(server.answers.told()))
}

/// What the operator should know where the state cannot be written.
fn unwritten(policy: &Policy) -> Option<String> {
    policy.state.as_ref().and_then(|state| state.trouble()).map(str::to_owned).or_else(|| policy.pins.trouble())
}

/// What is known of a server's era.
pub fn era(server: &Server) -> Option<api::Era> {
    match server.eras.spoken() {
        (true, true) => Some(api::Era::Both),
        (true, false) => Some(api::Era::Legacy),
        (false, true) => Some(api::Era::Modern),
        (false, false) => None,
    }
}

impl Operations for Daemon {
    fn version(&self) -> api::Version {
        api::Version {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.instance.clone(),
            api: 1,
            api_minimum: 1,
            revision: self.gate.settings.load().revision,
        }
    }

    fn status(&self) -> api::Status {
        let policy = self.gate.policy.load_full();
        api::Status { servers: self.server_statuses(&policy), ..self.glance(&policy) }
    }

    fn queues(&self) -> api::Queues {
        queues::queues(&self.gate.policy.load())
    }

    fn config(&self) -> api::ConfigView {
        let settings = self.gate.settings.load();
        api::ConfigView {
            revision: settings.revision,
            loaded_at_ms: millis(*lock(&self.loaded)),
            files: settings.files.iter().map(|file| file.display().to_string()).collect(),
            warnings: settings.warnings.clone(),
            from_history: settings.from_history(),
            values: settings.effective.iter().map(values::told).collect(),
        }
    }

    fn server(&self, name: &str) -> Result<api::ServerStatus, api::ApiError> {
        self.server_in_full(name)
    }

    fn restart(
        &self,
        peer: &Peer,
        name: &str,
        request: &api::RestartRequest,
    ) -> Result<api::RestartOutcome, api::ApiError> {
        self.restart_server(peer, name, request)
    }

    fn at_revision(
        &self,
        revision: u64,
        change: &mut dyn FnMut() -> Result<Vec<u8>, api::ApiError>,
    ) -> Result<Vec<u8>, api::ApiError> {
        let _same = self.revision.read().unwrap_or_else(PoisonError::into_inner);
        let running = self.gate.settings.load().revision;
        if revision == running { change() } else { Err(api::ApiError::stale(running)) }
    }

    fn check(&self) -> api::CheckOutcome {
        let (ok, report) = match self.load() {
            Ok((_, report)) => (true, report),
            Err(report) => (false, report),
        };
        let files = report.sources.files().iter().map(|file| file.display().to_string()).collect();
        let mut problems = problems(&report);
        problems.extend(self.look_at_units().map(units::problem));
        problems.extend(self.gate.keys.told_of_both(&self.gate.settings.load()).map(two_keys));
        api::CheckOutcome { ok, files, problems }
    }

    fn history(&self) -> api::HistoryView {
        self.accepted()
    }

    fn revision(&self, number: u64) -> Result<api::Revision, api::ApiError> {
        self.accepted_as(number)
    }

    fn tools(&self, server: &str) -> Result<api::ServerTools, api::ApiError> {
        self.offer(server)
    }

    fn reload(
        &self,
        peer: &Peer,
        request: &api::ReloadRequest,
        if_match: Option<u64>,
    ) -> Result<api::ReloadOutcome, api::ApiError> {
        self.transact(&peer.to_string(), request, if_match)
    }
}

/// What the operator should know of panics, if there were any.
fn defects() -> Option<String> {
    let count = panics::count();
    (count > 0).then(|| {
        format!("defects of the gate ended {count} calls or connections since it started: the log says which; please report it")
    })
}

fn problems(report: &Report) -> Vec<api::ConfigProblem> {
    report.to_problems()
}

/// Milliseconds since 1970.
fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
