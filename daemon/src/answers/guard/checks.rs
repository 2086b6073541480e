//! Checks of calls: on the core where they are short, on other threads where they would hold it up.
//!
//! A call whose violations are only logged waits for none that is long; one that is refused for them waits for a bounded
//! time, and passes after it. What passes unchecked is counted, and said in health.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::warn;

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
    unchecked: AtomicU64,
    /// When a call passed unchecked last.
    unchecked_at: AtomicU64,
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
    pub(in crate::answers) async fn check(&self, tool: &str, arguments: &Bytes) -> Result<(), Violations> {
        let Some(schema) = self.schema(tool) else { return Ok(()) };
        if schema.outcome.get().is_none() {
            Box::pin(schema.wait()).await;
            if schema.outcome.get().is_none() {
                self.counts.pass_unchecked();
            }
        }
        let Some(compiled) = schema.compiled() else { return Ok(()) };
        let checked = match compiled.effort(arguments.len()) {
            Effort::Small => compiled.check(arguments),
            Effort::Large => {
                let checked = Box::pin(timeout(DEADLINE, elsewhere(&schema, arguments))).await;
                checked.unwrap_or_else(|_| {
                    self.counts.pass_unchecked();
                    Ok(())
                })
            }
            Effort::TooLarge => {
                self.counts.pass_unchecked();
                Ok(())
            }
        };
        if checked.is_err() {
            self.counts.violations.fetch_add(1, Ordering::Relaxed);
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
                Err(_) => self.counts.pass_unchecked(),
            },
            Effort::TooLarge => self.counts.pass_unchecked(),
        }
    }

    fn note(&self, asked: &Asked, violations: &Violations) {
        self.counts.violations.fetch_add(1, Ordering::Relaxed);
        self.log(asked, violations, false);
    }

    /// Writes a line about arguments that do not fit, unless there was one just now.
    pub(in crate::answers) fn log(&self, asked: &Asked, violations: &Violations, refused: bool) {
        let (now, last) = (clock::millis(), self.counts.logged.load(Ordering::Relaxed));
        let is_first = last == 0;
        if !is_first && now.saturating_sub(last) < LOG_GAP {
            return;
        }
        self.counts.logged.store(now.max(1), Ordering::Relaxed);
        let (server, place) = (&asked.server, Shown(&violations.brief));
        let (tool, client) = (Shown(&asked.tool), Shown(&asked.client));
        warn!(server, %tool, %client, %place, refused, "arguments do not fit the tool's inputSchema");
    }
}

impl Counts {
    pub(super) fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }

    /// Counts a call that passes although nobody has looked at its arguments.
    fn pass_unchecked(&self) {
        self.unchecked.fetch_add(1, Ordering::Relaxed);
        self.unchecked_at.store(clock::millis(), Ordering::Relaxed);
    }

    /// That calls passed unchecked, where some did lately.
    pub(super) fn told(&self) -> Option<String> {
        let unchecked = self.unchecked.load(Ordering::Relaxed);
        let recent = clock::millis_since(self.unchecked_at.load(Ordering::Relaxed)) < RECENT;
        (unchecked > 0 && recent)
            .then(|| format!("{unchecked} calls passed unchecked: to check their arguments would have taken too long"))
    }

    #[cfg(test)]
    pub(super) fn unchecked(&self) -> u64 {
        self.unchecked.load(Ordering::Relaxed)
    }
}

async fn elsewhere(schema: &Arc<Schema>, arguments: &Bytes) -> Result<(), Violations> {
    let Ok(permit) = AWAITED.acquire().await else { return Ok(()) };
    let (schema, arguments) = (Arc::clone(schema), arguments.clone());
    let check: JoinHandle<_> = spawn_blocking(move || checked(permit, &schema, &arguments));
    // A validator that panics has found nothing.
    check.await.unwrap_or(Ok(()))
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
