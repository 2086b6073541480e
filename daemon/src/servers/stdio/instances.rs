//! When instances of a stdio server start and end.
//!
//! An instance is started by the first call that needs one, at most `max` run at once, and one
//! that idles ends. What happens at the maximum stands in [`room`].

mod room;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use toolgate_protocol::backoff::{Backoff, Verdict};
use tracing::{info, warn};

use super::again::Keeping;
use super::connection::{self, Incoming, OpenError};
use super::events::Events;
use super::link::{Begun, Link, Serves, epitaph};
use super::spares::Spares;
use crate::cgroup;
use crate::clock;
use crate::config::settings::{Pool, Queue, Stdio, Wear};
use crate::failure::{Failure, Kind};
use crate::instance::notice::Exit;
use crate::lock::lock;
use crate::observe::Shown;
use crate::servers::credentials::Credential;
use crate::servers::queue::nanos;
use crate::state::entry;
use room::Room;

/// How long the wrapper may take until its first line.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// A session at a server over SSE ends after this without call or stream.
const IDLE_SESSION: Duration = Duration::from_secs(15 * 60);
/// An instance that lived for less counts as a crash when it ends by itself.
const STABLE: Duration = Duration::from_secs(10);

/// Starts, counts and ends the instances of one server.
#[derive(Debug)]
pub struct Instances {
    pub(super) server: String,
    pub(super) means: Means,
    idle: Duration,
    max: usize,
    pub(super) places: Arc<Semaphore>,
    room: Room,
    /// How long a caller waits for a place, in nanoseconds.
    wait: AtomicU64,
    pub(super) spares: Spares,
    running: Mutex<HashMap<u64, Slot>>,
    /// By owner: one starts the instance, the others wait for what comes of it.
    starting: Mutex<HashMap<String, Arc<Start>>>,
    pub(super) backoff: Mutex<Backoff>,
    pub(super) wear: Wear,
    last_end: Mutex<Option<Ended>>,
    /// Those that ended by themselves.
    failures: AtomicU64,
    retired: AtomicBool,
    next: AtomicU64,
    pub(super) keeping: Option<Keeping>,
}

/// How an instance is started.
#[derive(Debug)]
pub(super) enum Means {
    /// By connecting to its server's socket.
    Socket { path: PathBuf, line_bytes: usize },
    /// It is a session at a server over SSE.
    Events(Events),
}

/// How the last start for an owner failed, for those who waited for it.
type Start = tokio::sync::Mutex<Option<Failure>>;

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) link: Link,
    /// By our clock; see [`clock::millis_since`] for one of an earlier process.
    pub(super) started: u64,
    /// Since when nothing new begins with it.
    pub(super) left_at: Option<u64>,
    pub(super) role: Role,
}

/// How an instance ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its wrapper's process id.
    pub pid: u32,
    /// When that was noticed, in milliseconds since 1970.
    pub at: u64,
    /// What the wrapper said.
    pub exit: Exit,
}

impl Ended {
    /// As a clause.
    pub fn how(&self) -> String {
        epitaph(Some(&self.exit)).to_string()
    }

    fn warn(&self, server: &str) {
        let Exit { status, signal, oom_kills, memory_peak, stderr, .. } = &self.exit;
        let how = self.how();
        let last = stderr.last().map(String::as_str).unwrap_or_default();
        warn!(server, pid = self.pid, status, signal, oom_kills, memory_peak, stderr = %Shown(last), "an instance ended by itself: {how}");
    }
}

/// What an instance is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Nobody yet.
    Spare,
    /// One session.
    Dedicated,
    /// All calls of this owner find it again.
    Shared {
        /// By whom calls find it again.
        owner: String,
        /// Sessions of clients live in it, which would miss it with all that they told it.
        lasting: bool,
    },
}

impl Instances {
    /// The instances behind a server's socket.
    pub fn new(server: &str, socket: PathBuf, stdio: &Stdio, queue: &Queue) -> Self {
        Self {
            spares: Spares::new(stdio.instances.spares),
            wear: stdio.instances.wear,
            ..Self::by(
                server,
                Means::Socket { path: socket, line_bytes: stdio.line_bytes },
                stdio.instances.idle,
                stdio.instances.max,
                queue,
            )
        }
    }

    /// What a server over SSE is shown, where that may change while it runs.
    pub fn credential(&self) -> Option<&Credential> {
        match &self.means {
            Means::Events(events) => events.credential(),
            Means::Socket { .. } => None,
        }
    }

    /// Has connections of a server over SSE go on as they are configured now.
    pub fn follow(&self, bounds: &Pool) {
        match &self.means {
            Means::Events(events) => events.follow(bounds),
            Means::Socket { .. } => {}
        }
    }

    /// The sessions at a server over SSE, at most `max`.
    pub fn of_events(server: &str, events: Events, max: usize, queue: &Queue) -> Self {
        Self::by(server, Means::Events(events), IDLE_SESSION, max, queue)
    }

    fn by(server: &str, means: Means, idle: Duration, max: usize, queue: &Queue) -> Self {
        Self {
            server: server.to_owned(),
            means,
            idle,
            max,
            places: Arc::new(Semaphore::new(max)),
            room: Room::default(),
            wait: AtomicU64::new(nanos(queue.timeout)),
            spares: Spares::new(0),
            running: Mutex::default(),
            starting: Mutex::default(),
            backoff: Mutex::new(Backoff::new(seed())),
            wear: Wear::default(),
            last_end: Mutex::default(),
            failures: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            next: AtomicU64::new(0),
            keeping: None,
        }
    }

    /// An instance of its own for one session; what it says outside of calls goes to `unasked`.
    pub async fn dedicated(self: &Arc<Self>, unasked: mpsc::Sender<Bytes>) -> Result<Link, Failure> {
        self.start(Serves::Session(unasked), Role::Dedicated).await
    }

    /// The instance that all calls with the same `owner` share: of one client, or of several, as
    /// `serves` says. Another one is as good for them, so it gives way whenever it idles. Of callers
    /// at once the first starts it; the others wait, and fail as it does.
    pub async fn shared(self: &Arc<Self>, owner: &str, serves: Serves) -> Result<Link, Failure> {
        self.find_or_start(owner, serves, false).await
    }

    /// The same for legacy sessions of one client.
    pub async fn shared_by_sessions(self: &Arc<Self>, owner: &str) -> Result<Link, Failure> {
        self.find_or_start(owner, Serves::Client, true).await
    }

    /// The instance that a modern client's calls share which declare the same. A client that varies what it declares has
    /// [`room::PER_CLIENT`] at most.
    pub async fn shared_as_declared(self: &Arc<Self>, client: &str, capabilities: &[u8]) -> Result<Link, Failure> {
        let all = format!("modern {client} ");
        let owner = format!("{all}{}", String::from_utf8_lossy(capabilities));
        if let Some(link) = self.running_for(&owner) {
            return Ok(link);
        }
        let start = self.start_of(&owner, &all)?;
        self.start_once(&owner, &start, Serves::Client, false).await
    }

    async fn find_or_start(self: &Arc<Self>, owner: &str, serves: Serves, lasting: bool) -> Result<Link, Failure> {
        if let Some(link) = self.running_for(owner) {
            return Ok(link);
        }
        let start = self.start_for(owner);
        self.start_once(owner, &start, serves, lasting).await
    }

    async fn start_once(
        self: &Arc<Self>,
        owner: &str,
        start: &Start,
        serves: Serves,
        lasting: bool,
    ) -> Result<Link, Failure> {
        let (mut failed, waited) = match start.try_lock() {
            Ok(failed) => (failed, false),
            Err(_) => (start.lock().await, true),
        };
        if let Some(link) = self.running_for(owner) {
            return Ok(link);
        }
        if let Some(failure) = failed.as_ref().filter(|_| waited) {
            return Err(failure.clone());
        }
        *failed = None;
        let started = self.start(serves, Role::Shared { owner: owner.to_owned(), lasting }).await;
        *failed = started.as_ref().err().cloned();
        started
    }

    fn running_for(&self, owner: &str) -> Option<Link> {
        self.lock().values().find_map(|slot| {
            let shared = matches!(&slot.role, Role::Shared { owner: other, .. } if other == owner);
            (shared && slot.link.is_open()).then(|| slot.link.clone())
        })
    }

    /// Starts that nobody waits for any more are forgotten.
    fn start_for(&self, owner: &str) -> Arc<Start> {
        let mut starting = lock(&self.starting);
        starting.retain(|_, start| Arc::strong_count(start) > 1);
        Arc::clone(starting.entry(owner.to_owned()).or_default())
    }

    /// Instances that may run.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Whether they are processes, and not sessions at a server over SSE.
    pub fn are_processes(&self) -> bool {
        matches!(self.means, Means::Socket { .. })
    }

    /// Instances that were started, or taken over, since the server is there.
    pub fn started(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Instances that run.
    pub fn count(&self) -> usize {
        self.lock().values().filter(|slot| !slot.link.is_ended()).count()
    }

    /// Why no instance starts at the moment.
    pub fn trouble(&self) -> Option<String> {
        match lock(&self.backoff).verdict(clock::millis()) {
            Verdict::Start => None,
            Verdict::Wait { millis } => {
                let how = self.how_it_ended();
                Some(format!("it ended right after its start{how}; next try in {} s", millis.div_ceil(1000)))
            }
            Verdict::Quarantined => {
                let how = self.how_it_ended();
                let command = format!("toolgate server restart {}", self.server);
                Some(format!("it keeps ending right after its start{how}; mend it, then run `{command}`"))
            }
        }
    }

    fn how_it_ended(&self) -> String {
        lock(&self.last_end).as_ref().map_or_else(String::new, |end| format!(" ({})", end.how()))
    }

    /// How many ended by themselves.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How the instance ended that ended last; none where no wrapper told.
    pub fn last_end(&self) -> Option<Ended> {
        self.sweep();
        lock(&self.last_end).clone()
    }

    /// Ends instances that idle, and forgets ended ones. Called every few seconds.
    pub fn sweep(&self) {
        let idle = u64::try_from(self.idle.as_millis()).unwrap_or(u64::MAX);
        self.lock().retain(|_, slot| {
            if slot.link.is_ended() {
                self.note_end(slot);
                return false;
            }
            if !self.goes_on(slot) {
                return false;
            }
            // Whoever waits for what it announces uses it as a stream.
            let idles = slot.link.idle_millis() > idle && !slot.link.news().is_heard();
            if idles && slot.role != Role::Spare {
                slot.link.end();
                return false;
            }
            true
        });
    }

    /// Ends all of them, also those that are being started, for a server that is removed or changed.
    pub fn retire(&self) {
        let mut running = self.lock();
        self.retired.store(true, Ordering::Relaxed);
        running.drain().for_each(|(_, slot)| slot.link.end());
    }

    /// How long a caller waits for a place.
    fn wait(&self) -> Duration {
        Duration::from_nanos(self.wait.load(Ordering::Relaxed))
    }

    /// Has callers wait for as long, also those that wait already.
    pub fn set_wait(&self, wait: Duration) {
        self.wait.store(nanos(wait), Ordering::Relaxed);
    }

    async fn start(self: &Arc<Self>, serves: Serves, role: Role) -> Result<Link, Failure> {
        self.sweep();
        self.admit()?;
        let since = Instant::now();
        let place = loop {
            let ready = self.spares.ready();
            if let Some(link) = self.take_spare(&serves, &role) {
                if let Some(keep) = link.keep() {
                    keep.serves_for_sure().await;
                }
                return Ok(link);
            }
            tokio::select! {
                place = self.place(since) => break place?,
                () = ready => {}
            }
        };
        // It may come from an instance that crashed.
        self.sweep();
        self.admit()?;
        let link = self.open(place, role, Some(serves)).await?;
        info!(server = self.server, pid = link.pid(), "an instance started");
        Ok(link)
    }

    /// Starts an instance; without `serves` for nobody yet.
    pub(super) async fn open(
        &self,
        place: OwnedSemaphorePermit,
        role: Role,
        serves: Option<Serves>,
    ) -> Result<Link, Failure> {
        let kept = serves.as_ref().map_or(entry::Role::Spare, |serves| role.kept(serves));
        let begun = self.connect(kept).await.map_err(|problem| self.not_opened(&problem))?;
        self.add(Link::start(begun, place), role, serves)
    }

    pub(super) fn add(&self, link: Link, role: Role, serves: Option<Serves>) -> Result<Link, Failure> {
        // Before anybody finds it: what it answers must have a reader.
        if let Some(serves) = serves {
            link.serve(serves);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let started = clock::millis().wrapping_sub(link.keep().map_or(0, |keep| keep.age()));
        let slot = Slot { link: link.clone(), started, left_at: None, role };
        let mut running = self.lock();
        // Under the lock, so that a server which is retired now ends this one with the others.
        if self.retired.load(Ordering::Relaxed) {
            link.end();
            return Err(self.gone());
        }
        running.insert(number, slot);
        Ok(link)
    }

    async fn connect(&self, role: entry::Role) -> Result<Begun, OpenError> {
        match &self.means {
            Means::Socket { path, line_bytes } => {
                let (hello, connection) = connection::open(path, START_TIMEOUT, *line_bytes).await?;
                let keep = self.keep(hello.pid, role, &connection).await;
                let (reader, writer) = connection.begin(keep.as_ref(), Bytes::new());
                let group = hello.cgroup.as_deref().and_then(cgroup::named);
                Ok(Begun { pid: hello.pid, group, reader: Incoming::Instance(reader), writer, keep })
            }
            Means::Events(events) => {
                let (reader, writer) = events.open(START_TIMEOUT).await?;
                // No process of this machine.
                Ok(Begun { pid: 0, group: None, reader, writer, keep: None })
            }
        }
    }

    fn gone(&self) -> Failure {
        Failure::new(
            Kind::ServerUnavailable,
            format!("The server {} was changed or removed by its operator. Try again.", self.server),
        )
    }

    pub(super) fn admit(&self) -> Result<(), Failure> {
        if self.retired.load(Ordering::Relaxed) {
            return Err(self.gone());
        }
        match lock(&self.backoff).verdict(clock::millis()) {
            Verdict::Start => Ok(()),
            Verdict::Wait { millis } => Err(Failure::new(
                Kind::ServerUnavailable,
                format!("The server {} ended right after its start. Try again later.", self.server),
            )
            .retry_after(Duration::from_millis(millis))),
            Verdict::Quarantined => Err(Failure::new(
                Kind::ServerUnavailable,
                format!("The server {} keeps ending right after its start. Its operator has to mend it.", self.server),
            )),
        }
    }

    fn not_opened(&self, problem: &OpenError) -> Failure {
        warn!(server = self.server, %problem, "no instance could be started");
        let text = match self.means {
            Means::Socket { .. } => {
                format!("The server {} could not be started. Its operator has to mend it.", self.server)
            }
            Means::Events(_) => {
                format!("The server {} cannot be reached. Nothing was done; try again later.", self.server)
            }
        };
        Failure::new(Kind::ServerUnavailable, text).because(problem)
    }

    /// An end soon after the start that nobody asked for counts as a crash, unless it had worked: then
    /// something else ended it, and the next one will start.
    fn note_end(&self, slot: &Slot) {
        if !slot.link.was_told_to_end() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(exit) = slot.link.exit() {
            let end = Ended { pid: slot.link.pid(), at: clock::unix_millis(), exit: exit.clone() };
            if !slot.link.was_told_to_end() {
                end.warn(&self.server);
            }
            *lock(&self.last_end) = Some(end);
        }
        let lived = Duration::from_millis(clock::millis_since(slot.started));
        if slot.role == Role::Spare && (slot.link.was_told_to_end() || lived >= STABLE) {
            // Nobody used it: that it ran says nothing of how calls would fare.
            if !slot.link.was_told_to_end() {
                warn!(server = self.server, pid = slot.link.pid(), "a spare instance ended by itself");
                self.spares.failed();
            }
            return;
        }
        let mut backoff = lock(&self.backoff);
        if slot.link.was_told_to_end() || slot.link.has_worked() || lived >= STABLE {
            backoff.succeeded();
        } else {
            warn!(server = self.server, pid = slot.link.pid(), ?lived, "an instance ended right after its start");
            backoff.failed(clock::millis());
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<u64, Slot>> {
        lock(&self.running)
    }
}

pub(super) fn seed() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has a random source");
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests;
