//! Arguments of calls against their tool's `inputSchema`.
//!
//! Schemas are learned from every list of tools that passes, and compiled off the cores, once each. Calls read them
//! without a lock. Until a schema is compiled, and where it cannot be, calls pass. Names, schemas and what they are
//! compiled into are bounded: a server may mean ill.

mod budget;
mod checks;
mod expand;
mod objection;
mod schema;
mod workshop;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use foldhash::fast::RandomState;
use tokio::sync::Notify;
use tokio::time::timeout;
use toolgate_protocol::json;
use toolgate_protocol::list::Item;
use toolgate_protocol::pins::LONGEST_NAME;
use tracing::{debug, warn};

use self::budget::{OF_ALL, OF_ONE, Room, Taken};
pub(super) use self::checks::Asked;
use self::checks::Counts;
pub use self::objection::Objection;
use self::schema::{Compiled, compile};
use self::workshop::{Job, Jobs};
use super::{first_of, hash};
use crate::lock::lock;
use crate::observe::Shown;

/// Tools of a server that are remembered.
const MOST: usize = 10_000;
/// How long a call waits for a schema that is being compiled, where it must not pass unchecked.
const PATIENCE: Duration = Duration::from_secs(2);
/// Sentences of health about schemas of one server.
const TOLD: usize = 5;

/// What is known of one server's schemas.
#[derive(Debug, Default)]
pub(super) struct Guard {
    known: ArcSwap<Schemas>,
    /// Held by whoever learns, so that no two copies of the table are made from one.
    learning: Mutex<()>,
    jobs: Arc<Jobs>,
    room: Room,
    /// There are more tools, or longer names, than are remembered.
    too_many: AtomicBool,
    counts: Counts,
}

type Schemas = HashMap<String, Arc<Schema>, RandomState>;

/// One tool's schema.
#[derive(Debug)]
struct Schema {
    hash: [u8; 32],
    room: Room,
    /// Set once, off the cores.
    outcome: OnceLock<Outcome>,
    ready: Notify,
}

/// What became of a schema.
#[derive(Debug)]
enum Outcome {
    Fit {
        compiled: Compiled,
        _taken: Taken,
    },
    /// Why it cannot be used, as a clause.
    Unfit(String),
    /// There was no room for this many bytes.
    NoRoom(usize),
    /// Too much waited to be compiled.
    Busy,
}

impl Guard {
    /// Learns the schemas of a list's tools. Those that are new are compiled on another thread.
    pub(super) fn learn(&self, text: &Bytes, tools: &[Item], server: &str) {
        let mut new = Vec::new();
        let _learning = lock(&self.learning);
        let known = self.known.load();
        for tool in tools {
            let (Some(name), Some(span)) = (tool.name, json::get(text, tool.span, "inputSchema")) else { continue };
            if name.of(text).len() > LONGEST_NAME {
                self.too_many.store(true, Ordering::Relaxed);
                continue;
            }
            let name = json::decode_str(name.of(text)).into_owned();
            let hash = hash(span.of(text));
            if known.get(&name).is_none_or(|schema| schema.hash != hash || schema.deserves_another_try()) {
                new.push((name, Arc::new(Schema::new(hash, self.room.clone())), span));
            }
        }
        if new.is_empty() {
            return;
        }
        let mut all = Schemas::clone(&known);
        let server: Arc<str> = server.into();
        for (tool, schema, span) in new {
            if all.len() >= MOST && !all.contains_key(&tool) {
                self.too_many.store(true, Ordering::Relaxed);
                continue;
            }
            // What held before does not hold any more, whatever becomes of this one.
            all.insert(tool.clone(), Arc::clone(&schema));
            let text = Bytes::copy_from_slice(span.of(text));
            if let Err(job) = self.jobs.push(Job { server: Arc::clone(&server), tool, schema, text }) {
                job.schema.set(Outcome::Busy);
            }
        }
        self.known.store(Arc::new(all));
    }

    /// Whether anything is known of a tool.
    pub(super) fn knows(&self, tool: &str) -> bool {
        self.known.load().contains_key(tool)
    }

    fn schema(&self, tool: &str) -> Option<Arc<Schema>> {
        self.known.load().get(tool).map(Arc::clone)
    }

    /// Calls whose arguments did not fit.
    pub(super) fn violations(&self) -> u64 {
        self.counts.violations()
    }

    /// What is not checked, and why, a sentence each.
    pub(super) fn told(&self) -> Vec<String> {
        let known = self.known.load();
        let unchecked =
            known.iter().filter(|(_, schema)| schema.outcome.get().is_some_and(|outcome| !outcome.is_fit()));
        let (names, more) = first_of(unchecked.map(|(name, _)| name.as_str()), TOLD);
        let sentence = |name: &str| {
            let why = known.get(name)?.outcome.get()?.why()?;
            Some(format!("arguments of {} are not checked, for {why}", Shown(name)))
        };
        let mut told: Vec<String> = names.into_iter().filter_map(sentence).collect();
        if more > 0 {
            told.push(format!("nor are those of {more} more of its tools"));
        }
        if self.too_many.load(Ordering::Relaxed) {
            told.push(format!(
                "it has listed more than {MOST} tools or names of more than {LONGEST_NAME} bytes: arguments of those are not checked"
            ));
        }
        told.extend(self.counts.told());
        told
    }
}

impl Schema {
    fn new(hash: [u8; 32], room: Room) -> Self {
        Self { hash, room, outcome: OnceLock::new(), ready: Notify::new() }
    }

    /// Compiles the schema, on the thread for it.
    fn settle(&self, job: &Job) {
        let compiled = catch_unwind(AssertUnwindSafe(|| compile(&job.text)));
        let outcome = match compiled.unwrap_or_else(|_| Err("it cannot be compiled".to_owned())) {
            Ok(compiled) => match self.room.take(compiled.bytes) {
                Some(taken) => Outcome::Fit { compiled, _taken: taken },
                None => Outcome::NoRoom(compiled.bytes),
            },
            Err(why) => Outcome::Unfit(why),
        };
        if let Outcome::Unfit(why) = &outcome {
            let (server, tool) = (&job.server, Shown(&job.tool));
            warn!(%server, %tool, "arguments of a tool are not checked, for its inputSchema cannot be used: {why}");
        }
        self.set(outcome);
    }

    fn set(&self, outcome: Outcome) {
        // Nobody else sets it.
        drop(self.outcome.set(outcome));
        self.ready.notify_waiters();
    }

    /// Whether it was only a matter of room that it was not compiled, and there is room now.
    fn deserves_another_try(&self) -> bool {
        match self.outcome.get() {
            Some(Outcome::NoRoom(bytes)) => self.room.has(*bytes),
            Some(Outcome::Busy) => true,
            Some(Outcome::Fit { .. } | Outcome::Unfit(_)) | None => false,
        }
    }

    fn compiled(&self) -> Option<&Compiled> {
        match self.outcome.get()? {
            Outcome::Fit { compiled, .. } => Some(compiled),
            Outcome::Unfit(_) | Outcome::NoRoom(_) | Outcome::Busy => None,
        }
    }

    async fn wait(&self) {
        let ready = async {
            loop {
                let notified = self.ready.notified();
                if self.outcome.get().is_some() {
                    return;
                }
                notified.await;
            }
        };
        // Whoever compiles has other schemas before this one; a call is not held up for long.
        if timeout(PATIENCE, ready).await.is_err() {
            debug!("a schema is still being compiled; the call passes");
        }
    }
}

impl Outcome {
    /// Why nothing is checked by it, as a clause.
    fn is_fit(&self) -> bool {
        matches!(self, Self::Fit { .. })
    }

    fn why(&self) -> Option<String> {
        match self {
            Self::Fit { .. } => None,
            Self::Unfit(why) => Some(format!("its inputSchema cannot be used: {why}")),
            Self::NoRoom(bytes) => Some(format!(
                "its inputSchema takes about {bytes} bytes and finds no room: one server's may take {OF_ONE}, and all servers' {OF_ALL}"
            )),
            Self::Busy => {
                Some("too many schemas of its server wait to be compiled; the next list tries again".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests;
