//! The thread that writes the log, and what others see of it.
//!
//! Cores and the admin thread only ever hand over: nobody but this thread waits for a disk, save a change by hand, which
//! waits a second at most. One turn of the thread seals what waits, writes it, and commits it where a second has passed
//! since the last commit, a thousand lines are there, or a change is among them.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use toolgate_admin_api::AuditRecord;
use tracing::{error, info};

use super::REMEMBERED;
use super::redact::Redactor;
use super::ring::{self, Intake, Ring};
use super::work::{Haste, Work};
use crate::clock;
use crate::config::settings::{AuditRules, OnFull};
use crate::lock::lock;

/// How long a change waits for its line, and the end for the last lines.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two turns while nobody asks for one.
const TICK: Duration = Duration::from_millis(200);
/// What waits for a disk beside calls; beyond, the oldest is given up: it is in the journal, and counted as lost.
const MOST_WAITING: usize = 1000;
/// A disk that has been at one turn for as long does not answer.
const SILENT_MS: u64 = 2_000;

/// What the thread and all others share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// There is something to do.
    woken: Condvar,
    /// Something was done.
    done: Condvar,
    /// The other ends of the cores' rings.
    intakes: Mutex<Vec<Intake>>,
    rules: ArcSwap<Rules>,
    /// Held while files are renamed, and by whoever opens all of them.
    pub(super) renaming: Mutex<()>,
    /// When the turn began that the thread is at, by our clock; 0 between turns.
    busy: AtomicU64,
    refuses: AtomicBool,
    lines: AtomicU64,
    lost: AtomicU64,
}

/// A configuration, as the thread needs it.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) settings: AuditRules,
    pub(super) redactor: Redactor,
}

impl Rules {
    fn new(settings: &AuditRules) -> Self {
        Self { settings: settings.clone(), redactor: Redactor::new(settings) }
    }
}

/// Something that is written at once.
#[derive(Debug)]
pub(super) enum Said {
    /// A change by hand.
    Change(AuditRecord),
    /// Members of a line.
    Event(Vec<u8>),
}

#[derive(Debug, Default)]
struct State {
    /// What was said, by tickets that grow by one.
    last: u64,
    /// Everything up to this ticket is on the disk.
    committed: u64,
    waiting: VecDeque<(u64, Said)>,
    /// Changes, with their tickets.
    recent: VecDeque<(u64, AuditRecord)>,
    /// Turns that were asked for, and the newest of them that was done.
    asked: u64,
    turned: u64,
    /// Whether there is a thread.
    writes: bool,
    over: bool,
    ended: bool,
    /// Why nothing is written, or only changes are.
    trouble: Option<Trouble>,
    /// What was given up before it was written.
    given_up: u64,
}

/// Why lines are not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The disk takes nothing.
    Failing(String),
    /// What is left of it is left to changes.
    Short(String),
}

impl Shared {
    pub(super) fn new(rules: &AuditRules) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            woken: Condvar::new(),
            done: Condvar::new(),
            intakes: Mutex::default(),
            rules: ArcSwap::from_pointee(Rules::new(rules)),
            renaming: Mutex::default(),
            busy: AtomicU64::new(0),
            refuses: AtomicBool::new(false),
            lines: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        })
    }

    /// Starts the thread, which opens the files itself.
    pub(super) fn start(self: &Arc<Self>, folder: &Path) -> Option<JoinHandle<()>> {
        lock(&self.state).writes = true;
        let (shared, folder) = (Arc::clone(self), folder.to_owned());
        match Builder::new().name("audit".to_owned()).spawn(move || shared.run(Work::new(&folder))) {
            Ok(thread) => Some(thread),
            Err(problem) => {
                let mut state = lock(&self.state);
                (state.writes, state.ended) = (false, true);
                error!("the audit log is not written: {problem}");
                state.trouble = Some(Trouble::Failing(problem.to_string()));
                None
            }
        }
    }

    fn run(&self, mut work: Work) {
        loop {
            let (over, asked) = self.wait();
            // Never 0, which says that it is at none.
            self.busy.store(clock::millis() + 1, Ordering::Relaxed);
            let haste = match (over, asked) {
                (true, _) => Haste::Last,
                (false, 0) => Haste::Usual,
                (false, _) => Haste::Now,
            };
            work.turn(self, haste);
            self.busy.store(0, Ordering::Relaxed);
            let mut state = lock(&self.state);
            state.turned = state.turned.max(asked);
            state.ended = over;
            self.done.notify_all();
            if over {
                return;
            }
        }
    }

    /// Waits until there is something to do, or for a while; whether it is over, and which turn was asked for.
    fn wait(&self) -> (bool, u64) {
        let mut state = lock(&self.state);
        let has_work = !state.waiting.is_empty() || state.over || state.asked > state.turned;
        if state.trouble.is_some() {
            // What fails is tried again each tick, not faster.
            let goes_on = |state: &mut State| !state.over;
            state = self.woken.wait_timeout_while(state, TICK, goes_on).unwrap_or_else(PoisonError::into_inner).0;
        } else if !has_work {
            // A core that wakes it changes nothing here.
            state = self.woken.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
        (state.over, if state.asked > state.turned { state.asked } else { 0 })
    }

    /// Has the thread look now.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// The rings of one more core.
    pub(super) fn ring(self: &Arc<Self>) -> Option<Ring> {
        lock(&self.state).writes.then(|| {
            let (ring, intake) = ring::ring(self);
            lock(&self.intakes).push(intake);
            ring
        })
    }

    pub(super) fn intakes(&self) -> MutexGuard<'_, Vec<Intake>> {
        lock(&self.intakes)
    }

    pub(super) fn rules(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    pub(super) fn configure(&self, rules: &AuditRules) {
        if self.rules.load().settings != *rules {
            self.rules.store(Arc::new(Rules::new(rules)));
        }
    }

    /// Takes something to be written at once; its ticket.
    pub(super) fn say(&self, said: Said) -> u64 {
        let mut state = lock(&self.state);
        state.last += 1;
        let ticket = state.last;
        if let Said::Change(record) = &said {
            let mut record = record.clone();
            // Without a folder it is in memory alone, and numbered there.
            record.number = if state.writes { 0 } else { ticket };
            if state.recent.len() >= REMEMBERED {
                state.recent.pop_front();
            }
            state.recent.push_back((ticket, record));
        }
        if state.writes {
            if state.waiting.len() >= MOST_WAITING {
                state.waiting.pop_front();
                state.given_up += 1;
            }
            state.waiting.push_back((ticket, said));
            self.woken.notify_one();
        }
        ticket
    }

    /// Waits until what has this ticket is on the disk; no longer than a moment, and not at all while the disk is known
    /// not to take it. The number of its line, where it has one.
    pub(super) fn written(&self, ticket: u64) -> u64 {
        let until = Instant::now() + PATIENCE;
        let mut state = lock(&self.state);
        while state.writes && state.committed < ticket && !matches!(state.trouble, Some(Trouble::Failing(_))) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (state, _) = self.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        state.recent.iter().rev().find(|(known, _)| *known == ticket).map_or(0, |(_, record)| record.number)
    }

    /// Has what waits written now; waits for that, but not for long.
    pub(super) fn flush(&self) {
        let until = Instant::now() + PATIENCE;
        let mut state = lock(&self.state);
        if !state.writes || state.ended {
            return;
        }
        state.asked += 1;
        let asked = state.asked;
        self.woken.notify_one();
        while state.turned < asked && !state.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (state, _) = self.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has the thread write what waits and end; whether it has.
    pub(super) fn end(&self) -> bool {
        let mut state = lock(&self.state);
        state.over = true;
        self.woken.notify_one();
        let waits = |state: &mut State| state.writes && !state.ended;
        state = self.done.wait_timeout_while(state, 2 * PATIENCE, waits).unwrap_or_else(PoisonError::into_inner).0;
        state.ended
    }

    pub(super) fn newest(&self, most: usize) -> Vec<AuditRecord> {
        let state = lock(&self.state);
        let skipped = state.recent.len().saturating_sub(most);
        state.recent.iter().skip(skipped).map(|(_, record)| record.clone()).collect()
    }

    /// What earlier processes wrote comes before what was said meanwhile.
    pub(super) fn remember(&self, before: Vec<AuditRecord>) {
        let mut state = lock(&self.state);
        let room = REMEMBERED.saturating_sub(state.recent.len());
        for record in before.into_iter().rev().take(room) {
            state.recent.push_front((0, record));
        }
    }

    /// What was said and is to be sealed, with what was given up before it.
    pub(super) fn said(&self) -> (Vec<(u64, Said)>, u64) {
        let mut state = lock(&self.state);
        (state.waiting.drain(..).collect(), std::mem::take(&mut state.given_up))
    }

    /// What was said has a number.
    pub(super) fn numbered(&self, ticket: u64, number: u64) {
        let mut state = lock(&self.state);
        if let Some((_, record)) = state.recent.iter_mut().rev().find(|(known, _)| *known == ticket) {
            record.number = number;
        }
    }

    /// So many more lines are on the disk, and everything up to a ticket.
    pub(super) fn committed(&self, lines: u64, ticket: u64) {
        self.lines.fetch_add(lines, Ordering::Relaxed);
        let mut state = lock(&self.state);
        state.committed = state.committed.max(ticket);
        self.done.notify_all();
    }

    /// So many lines are lost.
    pub(super) fn lose(&self, count: u64) {
        self.lost.fetch_add(count, Ordering::Relaxed);
    }

    /// Where matters stand after a turn.
    pub(super) fn stands(&self, trouble: Option<Trouble>) {
        let denies = self.rules.load().settings.on_full == OnFull::Deny;
        self.refuses.store(denies && trouble.is_some(), Ordering::Relaxed);
        let mut state = lock(&self.state);
        match (&state.trouble, &trouble) {
            (None, Some(trouble)) => error!("{}", self.sentence(trouble)),
            (Some(_), None) => info!("the audit log is written again"),
            _ => {}
        }
        state.trouble = trouble;
        self.done.notify_all();
    }

    /// Whether new calls are to be refused, where the configuration wants that.
    pub(super) fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    /// Whether the thread has waited too long for a disk; to be asked now and then by somebody who does not.
    pub(super) fn look(&self) {
        if self.is_silent() && self.rules.load().settings.on_full == OnFull::Deny {
            self.refuses.store(true, Ordering::Relaxed);
        }
    }

    fn is_silent(&self) -> bool {
        let busy = self.busy.load(Ordering::Relaxed);
        busy > 0 && clock::millis() + 1 > busy + SILENT_MS
    }

    /// What is wrong, as a sentence.
    pub(super) fn trouble(&self) -> Option<String> {
        let silent = self.is_silent().then(|| Trouble::Failing("the disk is slow, or does not answer".to_owned()));
        let trouble = lock(&self.state).trouble.clone().or(silent)?;
        Some(self.sentence(&trouble))
    }

    fn sentence(&self, trouble: &Trouble) -> String {
        let rules = self.rules.load();
        let calls = match rules.settings.on_full {
            OnFull::Deny => "new calls are refused",
            OnFull::DropAndAlert => "lines of calls are lost",
        };
        match trouble {
            Trouble::Failing(why) => {
                format!("the audit log is not written: {why}; changes by hand are in the journal only, {calls}")
            }
            Trouble::Short(why) => format!("the audit log takes changes by hand only: {why}; {calls}"),
        }
    }

    /// Lines on the disk, and lines that were lost, since the start.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.lines.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }
}
