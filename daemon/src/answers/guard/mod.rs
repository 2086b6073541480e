//! Arguments of calls against their tool's `inputSchema`.
//!
//! Schemas are learned from every list of tools that passes, and compiled off the cores, once each. Calls read them
//! without a lock. Until a schema is compiled, and where it cannot be, calls pass.

mod expand;
mod schema;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use foldhash::fast::RandomState;
use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use toolgate_protocol::json;
use toolgate_protocol::list::Item;
use tracing::{debug, warn};

pub use self::schema::Violations;
use self::schema::{Compiled, Effort, compile};
use super::hash;
use crate::clock;
use crate::lock::lock;
use crate::observe::Shown;

/// Tools of a server that are remembered.
const MOST: usize = 10_000;
/// How long a call waits for a schema that is being compiled, where it must not pass unchecked.
const PATIENCE: Duration = Duration::from_secs(2);
/// Checks that run off the cores at once.
static LARGE: Semaphore = Semaphore::const_new(2);
/// Between two lines of the log about arguments of one server, in milliseconds.
const LOG_GAP: u64 = 1_000;
/// Sentences of health about schemas of one server.
const TOLD: usize = 5;

/// What is known of one server's schemas.
#[derive(Debug, Default)]
pub(super) struct Guard {
    known: ArcSwap<Schemas>,
    /// Held by whoever learns, so that no two copies of the table are made from one.
    learning: Mutex<()>,
    violations: AtomicU64,
    logged: AtomicU64,
}

type Schemas = HashMap<String, Arc<Schema>, RandomState>;

/// One tool's schema.
#[derive(Debug)]
struct Schema {
    hash: [u8; 32],
    /// Set once, off the cores; an error is a clause.
    outcome: OnceLock<Result<Compiled, String>>,
    ready: Notify,
}

impl Guard {
    /// Learns the schemas of a list's tools. Those that are new are compiled on another thread.
    pub(super) fn learn(&self, text: &Bytes, tools: &[Item], server: &str) {
        let mut new = Vec::new();
        let _learning = lock(&self.learning);
        let known = self.known.load();
        for tool in tools {
            let (Some(name), Some(span)) = (tool.name, json::get(text, tool.span, "inputSchema")) else { continue };
            let name = json::decode_str(name.of(text)).into_owned();
            let hash = hash(span.of(text));
            if known.get(&name).is_none_or(|schema| schema.hash != hash) {
                let schema = Schema { hash, outcome: OnceLock::new(), ready: Notify::new() };
                new.push((name, Arc::new(schema), text.slice(span.range())));
            }
        }
        if new.is_empty() {
            return;
        }
        let mut all = Schemas::clone(&known);
        for (name, schema, _) in &new {
            if all.len() < MOST || all.contains_key(name) {
                all.insert(name.clone(), Arc::clone(schema));
            }
        }
        self.known.store(Arc::new(all));
        let server = server.to_owned();
        spawn_blocking(move || {
            for (name, schema, text) in new {
                let outcome = compile(&text);
                if let Err(why) = &outcome {
                    let tool = Shown(&name);
                    warn!(server, %tool, "arguments of a tool are not checked, for its inputSchema cannot be used: {why}");
                }
                // Nobody else sets it.
                drop(schema.outcome.set(outcome));
                schema.ready.notify_waiters();
            }
        });
    }

    /// Whether anything is known of a tool.
    pub(super) fn knows(&self, tool: &str) -> bool {
        self.known.load().contains_key(tool)
    }

    /// Checks the arguments of a call. `wait`: it must not pass only because its schema is not compiled yet.
    pub(super) async fn check(&self, tool: &str, arguments: &Bytes, wait: bool) -> Result<(), Violations> {
        let Some(schema) = self.known.load().get(tool).map(Arc::clone) else { return Ok(()) };
        if wait && schema.outcome.get().is_none() {
            Box::pin(schema.wait()).await;
        }
        let Some(Ok(compiled)) = schema.outcome.get() else { return Ok(()) };
        let checked = match compiled.effort(arguments.len()) {
            Effort::Small => compiled.check(arguments),
            Effort::Large => Box::pin(off_core(Arc::clone(&schema), arguments.clone())).await,
            Effort::TooLarge => {
                debug!(tool = %Shown(tool), bytes = arguments.len(), "arguments are too long to be checked");
                Ok(())
            }
        };
        if checked.is_err() {
            self.violations.fetch_add(1, Ordering::Relaxed);
        }
        checked
    }

    /// Writes a line about arguments that do not fit, unless there was one just now.
    pub(super) fn log(&self, server: &str, tool: &str, client: &str, violations: &Violations, refused: bool) {
        let (now, last) = (clock::millis(), self.logged.load(Ordering::Relaxed));
        let is_first = last == 0;
        if !is_first && now.saturating_sub(last) < LOG_GAP {
            return;
        }
        self.logged.store(now.max(1), Ordering::Relaxed);
        let (tool, client, place) = (Shown(tool), Shown(client), Shown(&violations.brief));
        warn!(server, %tool, %client, %place, refused, "arguments do not fit the tool's inputSchema");
    }

    /// Calls whose arguments did not fit.
    pub(super) fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }

    /// Which schemas cannot be used, and why, a sentence each.
    pub(super) fn told(&self) -> Vec<String> {
        let known = self.known.load();
        let mut unfit: Vec<String> = known
            .iter()
            .filter_map(|(name, schema)| {
                let why = schema.outcome.get()?.as_ref().err()?;
                Some(format!("arguments of {} are not checked, for its inputSchema cannot be used: {why}", Shown(name)))
            })
            .collect();
        unfit.sort();
        unfit.truncate(TOLD);
        unfit
    }
}

impl Schema {
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

async fn off_core(schema: Arc<Schema>, arguments: Bytes) -> Result<(), Violations> {
    let Ok(_permit) = LARGE.acquire().await else { return Ok(()) };
    let checked = spawn_blocking(move || match schema.outcome.get() {
        Some(Ok(compiled)) => compiled.check(&arguments),
        _ => Ok(()),
    });
    // A validator that panics has found nothing.
    checked.await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::list;

    use super::*;

    fn learn(guard: &Guard, schema: &str) {
        let text = Bytes::from(format!(r#"{{"tools":[{{"name":"t","inputSchema":{schema}}},{{"name":"u"}}]}}"#));
        let tools = list::items(&text, json::Span::new(0, text.len()), "tools");
        guard.learn(&text, &tools, "s");
    }

    async fn fits(guard: &Guard, arguments: &'static str) -> bool {
        guard.check("t", &Bytes::from_static(arguments.as_bytes()), true).await.is_ok()
    }

    #[tokio::test]
    async fn a_schema_holds_until_it_changes() {
        let guard = Guard::default();
        assert!(fits(&guard, "7").await && !guard.knows("t"));
        learn(&guard, r#"{"type":"object"}"#);
        assert!(guard.knows("t") && !guard.knows("u"));
        assert!(!fits(&guard, "7").await && fits(&guard, "{}").await);
        let first = Arc::clone(&guard.known.load()["t"]);
        learn(&guard, r#"{"type":"object"}"#);
        assert!(Arc::ptr_eq(&first, &guard.known.load()["t"]), "compiled once");
        learn(&guard, r#"{"type":"integer"}"#);
        assert!(fits(&guard, "7").await);
        assert_eq!(guard.violations(), 1);
        assert!(guard.told().is_empty());
    }

    #[tokio::test]
    async fn a_schema_that_cannot_be_used_is_told_and_calls_pass() {
        let guard = Guard::default();
        learn(&guard, r#"{"$ref":"http://127.0.0.1:1/schema"}"#);
        assert!(fits(&guard, "7").await);
        assert_eq!(guard.told().len(), 1);
        assert!(guard.told()[0].starts_with("arguments of t are not checked"), "{:?}", guard.told());
    }

    #[tokio::test]
    async fn what_takes_long_is_checked_elsewhere() {
        let guard = Guard::default();
        learn(&guard, r#"{"items":{"type":"integer","pattern":"^a+$"}}"#);
        let long = Bytes::from(format!("[{}\"x\"]", "1,".repeat(20_000)));
        let violations = guard.check("t", &long, true).await.expect_err("a violation");
        assert!(violations.brief.starts_with("/20000: "), "{violations:?}");
    }
}
