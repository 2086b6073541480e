//! Thousands of callers that call as soon as they were answered, and come back when they were told to.
//!
//! The binary `callers` runs them. Each has a connection of its own; what counts is who was answered how often, and
//! that nothing went wrong but refusals of the queue.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::load::Aim;
use crate::mcp::Client;

/// Connections that are being opened at once.
const OPENING: usize = 32;

/// What callers are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing.
    Pause,
    /// Those of tiers below this number call at this server, of those given to [`Callers::connect`].
    Call {
        /// How many tiers, from the first on.
        tiers: usize,
        /// Which server.
        server: usize,
    },
}

/// What one tier's callers saw.
#[derive(Debug, Default)]
pub struct Tally {
    answered: AtomicU64,
    /// Refusals by their reason.
    refused: Mutex<BTreeMap<String, u64>>,
    /// Everything else.
    errors: Mutex<Vec<String>>,
}

impl Tally {
    /// Calls that succeeded.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Refusals by their reason.
    ///
    /// # Panics
    /// When a caller panicked.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<String, u64> {
        self.refused.lock().expect("no caller panics").clone()
    }

    /// What else went wrong.
    ///
    /// # Panics
    /// When a caller panicked.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().expect("no caller panics").clone()
    }

    fn wrong(&self, what: impl Into<String>) {
        self.errors.lock().expect("no caller panics").push(what.into());
    }
}

/// Connected callers.
pub struct Callers {
    phase: watch::Sender<Phase>,
    /// What each tier saw.
    pub tallies: Vec<Arc<Tally>>,
    /// Ended with this.
    _tasks: JoinSet<()>,
}

/// Callers of one tier.
pub struct Tier {
    /// Their keys; callers take turns at them.
    pub keys: Vec<String>,
    /// How many there are.
    pub callers: usize,
}

impl Callers {
    /// Connects them, and returns when all are connected. `aims` are the servers; their keys are replaced.
    ///
    /// # Panics
    /// When a caller panicked.
    pub async fn connect(aims: &[Aim], tool: &str, tiers: &[Tier]) -> Self {
        let (phase, follow) = watch::channel(Phase::Pause);
        let (opening, mut tasks) = (Arc::new(Semaphore::new(OPENING)), JoinSet::new());
        let tallies: Vec<Arc<Tally>> = tiers.iter().map(|_| Arc::default()).collect();
        let mut opened = Vec::new();
        for (number, tier) in tiers.iter().enumerate() {
            for caller in 0..tier.callers {
                let key = tier.keys[caller % tier.keys.len()].clone();
                let aims: Vec<_> = aims.iter().map(|aim| Aim { key: Some(key.clone()), ..aim.clone() }).collect();
                let (ready, is_ready) = tokio::sync::oneshot::channel();
                opened.push(is_ready);
                let mut caller = Caller {
                    number,
                    tool: tool.to_owned(),
                    follow: follow.clone(),
                    tally: Arc::clone(&tallies[number]),
                };
                let opening = Arc::clone(&opening);
                tasks.spawn(async move {
                    let turn = opening.acquire().await.expect("it is never closed");
                    let connected = aims[0].client().await;
                    drop(turn);
                    let _ = ready.send(());
                    match connected {
                        Ok(client) => caller.call(client, &aims).await,
                        Err(error) => caller.tally.wrong(format!("connect: {error}")),
                    }
                });
            }
        }
        for is_ready in opened {
            is_ready.await.expect("every caller says so");
        }
        Self { phase, tallies, _tasks: tasks }
    }

    /// Has them do something else; calls in flight are finished first.
    pub fn now(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }
}

struct Caller {
    number: usize,
    tool: String,
    follow: watch::Receiver<Phase>,
    tally: Arc<Tally>,
}

/// How a call ended that went wrong in no way.
enum Outcome {
    Answered,
    /// With when to come back.
    Refused(String, Duration),
}

impl Caller {
    async fn call(&mut self, mut client: Client, aims: &[Aim]) {
        let mut raw = Vec::new();
        for aim in aims {
            client.go_to(&aim.path);
            raw.push(client.raw_call(&self.tool, 100));
        }
        loop {
            let phase = *self.follow.borrow_and_update();
            let server = match phase {
                Phase::Call { tiers, server } if self.number < tiers => server,
                _ => {
                    if self.follow.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            match exchange(&mut client, &raw[server]).await {
                Ok(Outcome::Answered) => drop(self.tally.answered.fetch_add(1, Ordering::Relaxed)),
                Ok(Outcome::Refused(reason, wait)) => {
                    *self.tally.refused.lock().expect("no caller panics").entry(reason).or_default() += 1;
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        _ = self.follow.changed() => {}
                    }
                }
                Err(what) => return self.tally.wrong(what),
            }
            if self.follow.has_changed().is_err() {
                return;
            }
        }
    }
}

async fn exchange(client: &mut Client, raw: &[u8]) -> Result<Outcome, String> {
    let (head, body) = client.connection().exchange(raw).await.map_err(|error| error.to_string())?;
    let answer: Value = serde_json::from_slice(&body).map_err(|error| format!("{}: {error}", head.status))?;
    if head.status == 200 && answer.get("result").is_some() {
        return Ok(Outcome::Answered);
    }
    let data = &answer["error"]["data"];
    match (data["reason"].as_str(), data["retryAfterMs"].as_u64()) {
        (Some(reason @ ("queue-full" | "queue-timeout")), Some(ms)) if head.header("retry-after").is_some() => {
            Ok(Outcome::Refused(reason.to_owned(), Duration::from_millis(ms)))
        }
        _ => Err(format!("{} {answer}", head.status)),
    }
}
