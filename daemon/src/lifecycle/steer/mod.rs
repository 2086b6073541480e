//! What operators do by hand: sessions and calls that end, clients that are suspended, and the record of all changes.

mod calls;
mod clients;
mod endpoints;
mod expiry;
mod keys;
mod limits;
mod log;
mod policy;
mod queues;
mod sessions;
mod tools;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use toolgate_admin_api as api;

use super::daemon::Daemon;
use crate::admin::{AuditOperations, Peer, SteerOperations, audit};
use crate::audit::Query;
use crate::call::CallId;
use crate::core::Core;
use crate::failure::Failure;
use crate::observe::ledger::Stage;
use crate::running::Whom;

/// How long a change waits for cores that are busy.
const PATIENCE: Duration = Duration::from_secs(1);

/// Characters that a client is told.
const MOST_WORDS: usize = 256;

/// The longest that anything by hand may hold: what is to stay belongs into the configuration.
const LONGEST: u64 = 30 * 86_400;

pub(super) use expiry::Expiry;
pub(super) use log::LogByHand;

impl AuditOperations for Daemon {
    fn record(&self, record: api::AuditRecord) {
        self.gate.audit.add(record);
    }

    fn audit(&self, most: usize) -> api::Audit {
        api::Audit { records: self.gate.audit.newest(most) }
    }

    fn search_audit(&self, query: &Query) -> Result<api::AuditLines, api::ApiError> {
        self.gate.audit.search(query).map_err(|problem| audit::unreadable(&problem))
    }

    fn verify_audit(&self) -> Result<api::AuditVerdict, api::ApiError> {
        self.gate.audit.verify().map_err(|problem| audit::unreadable(&problem))
    }
}

impl SteerOperations for Daemon {
    fn end_session(&self, handle: &str, request: &api::Change) -> Result<api::EndOutcome, api::ApiError> {
        self.end_one(handle, request.dry_run)
    }

    fn end_sessions(&self, request: &api::EndMatching) -> Result<api::EndOutcome, api::ApiError> {
        self.end_matching(request)
    }

    fn suspend(
        &self,
        peer: &Peer,
        client: &str,
        request: &api::SuspendRequest,
    ) -> Result<api::ClientOutcome, api::ApiError> {
        self.suspend_client(peer, client, request)
    }

    fn resume_client(&self, client: &str, request: &api::Change) -> Result<api::ClientOutcome, api::ApiError> {
        self.let_call_again(client, request)
    }

    fn cancel(&self, id: &str, request: &api::Change) -> Result<api::CancelOutcome, api::ApiError> {
        self.cancel_call(id, request.dry_run)
    }

    fn disable_tool(
        &self,
        peer: &Peer,
        server: &str,
        request: &api::DisableRequest,
    ) -> Result<api::ToolOutcome, api::ApiError> {
        self.switch_off(peer, server, request)
    }

    fn enable_tool(&self, server: &str, request: &api::EnableRequest) -> Result<api::ToolOutcome, api::ApiError> {
        self.switch_on(server, request)
    }

    fn override_queue(&self, server: &str, request: &api::QueueOverride) -> Result<api::QueueOutcome, api::ApiError> {
        self.bound_queue(server, request)
    }

    fn revert_queue(&self, server: &str, request: &api::Change) -> Result<api::QueueOutcome, api::ApiError> {
        self.unbound_queue(server, request)
    }

    fn purge_queue(&self, server: &str, request: &api::PurgeRequest) -> Result<api::QueueOutcome, api::ApiError> {
        self.empty_queue(server, request)
    }

    fn weigh(
        &self,
        peer: &Peer,
        server: &str,
        request: &api::WeightRequest,
    ) -> Result<api::WeightOutcome, api::ApiError> {
        self.weigh_endpoint(peer, server, request)
    }

    fn check_now(&self, server: &str, request: &api::CheckRequest) -> Result<api::ChecksOutcome, api::ApiError> {
        self.check_endpoints(server, request)
    }

    fn add_limit(&self, peer: &Peer, request: &api::TemporaryLimit) -> Result<api::OverrideOutcome, api::ApiError> {
        self.limit_for_a_time(peer, request)
    }

    fn explain(&self, asked: &api::ExplainQuery) -> Result<api::Explained, api::ApiError> {
        self.explain_limits(asked)
    }

    fn set_log(&self, request: &api::LogRequest) -> Result<api::LogOutcome, api::ApiError> {
        self.set_level(request)
    }
}

impl Daemon {
    /// Does a piece of work on every core; what those say that answer in time.
    pub(super) fn on_each_core<T: Send + 'static>(
        &self,
        work: impl Fn(&Rc<Core>) -> T + Send + Sync + 'static,
    ) -> Vec<T> {
        let (tell, told) = mpsc::channel();
        let work = Arc::new(work);
        for core in 0..self.cores.count() {
            let (work, tell) = (Arc::clone(&work), tell.clone());
            let put = self.cores.try_spawn(core, move |core| async move {
                // Nobody waits any more where sending fails.
                let _ = tell.send(work(&core));
            });
            if let Err(problem) = put {
                tracing::warn!("a core does not take part in a change: {problem}");
            }
        }
        drop(tell);
        let until = Instant::now() + PATIENCE;
        std::iter::from_fn(|| told.recv_timeout(until.saturating_duration_since(Instant::now())).ok()).collect()
    }

    /// The calls that run of those whom it means; one that goes on in a task of its own is one call.
    fn running(&self, whom: &Whom) -> Found {
        let whom = whom.clone();
        self.found(&self.on_each_core(move |core| core.running.find(&whom)))
    }

    /// Ends the calls that run of those whom it means, and says which they were.
    fn stop_calls(&self, whom: &Whom, failure: Failure) -> Found {
        let (whom, failure) = (whom.clone(), Arc::new(failure));
        let stopped = self.on_each_core(move |core| {
            let found = core.running.find(&whom);
            if !found.is_empty() {
                core.running.order(&whom, &failure);
                core.drain.ring();
            }
            found
        });
        self.found(&stopped)
    }

    fn found(&self, said: &[Vec<(CallId, Stage)>]) -> Found {
        let mut calls = said.concat();
        calls.sort_by_key(|(id, _)| id.bytes());
        calls.dedup_by_key(|(id, _)| *id);
        let complete = said.len() == self.cores.count();
        if !complete {
            tracing::warn!("a core did not say in time which calls a change means: there may be more than are told");
        }
        Found { calls, complete }
    }
}

/// Calls that a change means.
struct Found {
    calls: Vec<(CallId, Stage)>,
    /// Whether every core answered in time; one that did not follows as soon as it can.
    complete: bool,
}

/// Checks how long something is to hold, where it ends by itself.
fn length(seconds: Option<u64>) -> Result<Option<Duration>, api::ApiError> {
    match seconds {
        Some(seconds) if seconds == 0 || seconds > LONGEST => {
            Err(api::ApiError::new(api::ErrorCode::BadRequest, "This is no time that a change by hand may hold.")
                .remedy("Say from one second to 30 days; what is to stay belongs into the files.")
                .field("seconds"))
        }
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

/// The operator's words to clients, which are read by models and shown on terminals.
fn words(say: Option<&str>) -> Result<String, api::ApiError> {
    let say = say.unwrap_or_default();
    if say.chars().count() <= MOST_WORDS {
        return Ok(say.to_owned());
    }
    let message = format!("Clients are told {MOST_WORDS} characters at most.");
    Err(api::ApiError::new(api::ErrorCode::BadRequest, message).remedy("Say it in a sentence.").field("say"))
}

/// When something ends that begins now, in milliseconds since 1970.
fn end_of(length: Duration) -> u64 {
    crate::clock::unix_millis().saturating_add(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
}
