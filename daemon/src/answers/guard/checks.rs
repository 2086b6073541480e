//! Checks of calls: on the core where they are short, on other threads where they would hold it up.
//!
//! A call whose violations are only logged waits for none that is long, and may pass unchecked; that is counted, and said
//! in health. One that is refused for them waits for a bounded time, and is refused after it: neither by their size nor by
//! how many there are at once do callers get arguments past the check.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::warn;

use super::objection::Objection;
use super::schema::{Effort, Violations};
use super::{Guard, Schema};
use crate::clock;
use crate::observe::Shown;

/// Long checks at once of calls that wait for them.
static AWAITED: Semaphore = Semaphore::const_new(2);
/// Long checks at once that only the log waits for. Its own, lest they keep a call from being checked.
static LOGGED: Semaphore = Semaphore::const_new(1);
/// How long a call waits for its check.
const DEADLINE: Duration = Duration::from_secs(2);
/// Between two lines of the log about arguments of one server, in milliseconds.
const LOG_GAP: u64 = 1_000;
/// For how long health says that calls passed unchecked, in milliseconds.
const RECENT: u64 = 600_000;

/// How often what happened at one server.
#[derive(Debug, Default)]
pub(super) struct Counts {
    violations: AtomicU64,
    /// When there was a line in the log last, by our clock in milliseconds; 0 for never.
    logged: AtomicU64,
    unchecked: Lately,
    late: Lately,
}

/// Something that ought not to happen: how often it did, and when last.
#[derive(Debug, Default)]
struct Lately {
    count: AtomicU64,
    at: AtomicU64,
}

/// Whose arguments are checked, for the log.
#[derive(Debug, Clone)]
pub(in crate::answers) struct Asked {
    pub(in crate::answers) server: String,
    pub(in crate::answers) tool: String,
    pub(in crate::answers) client: String,
}

impl Guard {
    /// Checks the arguments of a call that must not pass where they do not fit.
    pub(in crate::answers) async fn check(&self, tool: &str, arguments: &Bytes) -> Result<(), Objection> {
        let Some(schema) = self.schema(tool) else { return Ok(()) };
        if schema.outcome.get().is_none() {
            Box::pin(schema.wait()).await;
            if schema.outcome.get().is_none() {
                // It is the server that has so many of them, no caller.
                self.counts.unchecked.note();
            }
        }
        let Some(compiled) = schema.compiled() else { return Ok(()) };
        let checked = match compiled.effort(arguments.len()) {
            Effort::Small => compiled.check(arguments).map_err(Objection::Violations),
            Effort::Large => {
                let checked = Box::pin(timeout(DEADLINE, elsewhere(&schema, arguments))).await;
                checked.unwrap_or(Err(Objection::NotInTime))
            }
            Effort::TooLarge => Err(Objection::TooLarge(compiled.most())),
        };
        match &checked {
            Ok(()) => {}
            Err(Objection::NotInTime) => self.counts.late.note(),
            Err(Objection::Violations(_) | Objection::TooLarge(_)) => {
                self.counts.violations.fetch_add(1, Ordering::Relaxed);
            }
        }
        checked
    }

    /// Checks the arguments of a call that goes on meanwhile, and logs what does not fit.
    pub(in crate::answers) fn watch(self: &Arc<Self>, asked: impl FnOnce() -> Asked, arguments: &Bytes, tool: &str) {
        let Some(schema) = self.schema(tool) else { return };
        let Some(compiled) = schema.compiled() else { return };
        match compiled.effort(arguments.len()) {
            Effort::Small => {
                if let Err(violations) = compiled.check(arguments) {
                    self.note(&asked(), &violations);
                }
            }
            Effort::Large => match LOGGED.try_acquire() {
                Ok(permit) => {
                    let (guard, asked, arguments) = (Arc::clone(self), asked(), arguments.clone());
                    spawn_blocking(move || {
                        if let Err(violations) = checked(permit, &schema, &arguments) {
                            guard.note(&asked, &violations);
                        }
                    });
                }
                Err(_) => self.counts.unchecked.note(),
            },
            Effort::TooLarge => self.counts.unchecked.note(),
        }
    }

    fn note(&self, asked: &Asked, violations: &Violations) {
        self.counts.violations.fetch_add(1, Ordering::Relaxed);
        self.log(asked, &violations.brief, false);
    }

    /// Writes a line about a call that is refused for its arguments, unless there was one just now.
    pub(in crate::answers) fn log_refused(&self, asked: &Asked, objection: &Objection) {
        self.log(asked, objection.brief(), true);
    }

    fn log(&self, asked: &Asked, place: &str, refused: bool) {
        let (now, last) = (clock::millis(), self.counts.logged.load(Ordering::Relaxed));
        let is_first = last == 0;
        if !is_first && now.saturating_sub(last) < LOG_GAP {
            return;
        }
        self.counts.logged.store(now.max(1), Ordering::Relaxed);
        let (server, place) = (&asked.server, Shown(place));
        let (tool, client) = (Shown(&asked.tool), Shown(&asked.client));
        warn!(server, %tool, %client, %place, refused, "arguments do not fit the tool's inputSchema");
    }
}

impl Counts {
    pub(super) fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }

    /// That calls passed or were refused unchecked, where some were lately: a sentence each.
    pub(super) fn told(&self) -> impl Iterator<Item = String> {
        let passed = self
            .unchecked
            .lately()
            .map(|count| format!("{count} calls passed unchecked: to check their arguments would have taken too long"));
        let late = self.late.lately().map(|count| {
            format!(
                "{count} calls were refused: too many with long arguments came at once for them to be checked in time"
            )
        });
        passed.into_iter().chain(late)
    }

    #[cfg(test)]
    pub(super) fn unchecked(&self) -> u64 {
        self.unchecked.count.load(Ordering::Relaxed)
    }
}

impl Lately {
    fn note(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.at.store(clock::millis(), Ordering::Relaxed);
    }

    /// How often it happened, where it did lately.
    fn lately(&self) -> Option<u64> {
        let count = self.count.load(Ordering::Relaxed);
        (count > 0 && clock::millis_since(self.at.load(Ordering::Relaxed)) < RECENT).then_some(count)
    }
}

async fn elsewhere(schema: &Arc<Schema>, arguments: &Bytes) -> Result<(), Objection> {
    let permit = AWAITED.acquire().await.expect("it is never closed");
    let (schema, arguments) = (Arc::clone(schema), arguments.clone());
    let check: JoinHandle<_> = spawn_blocking(move || checked(permit, &schema, &arguments));
    match check.await {
        Ok(checked) => checked.map_err(Objection::Violations),
        // A validator that panics has found nothing, and nothing is what nobody may rely on.
        Err(_) => Err(Objection::NotInTime),
    }
}

/// The permit is held until the check has ended, also where nobody waits for it any more.
fn checked(_permit: SemaphorePermit<'static>, schema: &Schema, arguments: &[u8]) -> Result<(), Violations> {
    schema.compiled().map_or(Ok(()), |compiled| compiled.check(arguments))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Keeps all long checks of calls that wait for them from beginning.
    pub(in crate::answers::guard) async fn occupied() -> SemaphorePermit<'static> {
        AWAITED.acquire_many(2).await.expect("it is never closed")
    }

    /// The same of those that the log waits for.
    pub(in crate::answers::guard) async fn log_occupied() -> SemaphorePermit<'static> {
        LOGGED.acquire().await.expect("it is never closed")
    }
}
