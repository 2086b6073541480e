//! Queues that an operator bounds otherwise for a time, or empties.

use std::sync::Arc;
use std::time::Duration;

use toolgate_admin_api as api;

use super::super::daemon::Daemon;
use super::super::offer::known;
use super::{end_of, length};
use crate::servers::Server;
use crate::steering::Bounds;

/// The longest that calls may wait, in milliseconds.
const LONGEST: u64 = 3_600_000;
/// Calls that may wait for one server.
const LARGEST: u64 = 1_000_000;

impl Daemon {
    /// Bounds a queue otherwise for a time. How long calls may wait holds for those that wait already, too.
    pub(super) fn bound_queue(
        &self,
        name: &str,
        request: &api::QueueOverride,
    ) -> Result<api::QueueOutcome, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let server = known(&policy, name)?;
        let wrong = |field: &str, text: &str| {
            let error = api::ApiError::new(api::ErrorCode::BadRequest, "A queue cannot have this bound.");
            Err(error.remedy(text).field(field))
        };
        let api::QueueOverride { timeout_ms, max_size, seconds, dry_run, .. } = request;
        if timeout_ms.is_some_and(|timeout| timeout == 0 || timeout > LONGEST) {
            return wrong("timeout_ms", "Say from 1 millisecond to an hour.");
        }
        if max_size.is_some_and(|size| size > LARGEST) {
            return wrong("max_size", "Say a million at most.");
        }
        if timeout_ms.is_none() && max_size.is_none() {
            return wrong("body", "Say `timeout_ms`, `max_size` or both.");
        }
        let length = length(Some(*seconds))?.unwrap_or_default();
        let bounds = Bounds { timeout_ms: *timeout_ms, max_size: *max_size, until_ms: end_of(length) };
        let configured = &server.settings.queue;
        let mut outcome = self.queue_outcome(server, *dry_run);
        outcome.timeout_ms = timeout_ms.unwrap_or_else(|| millis(configured.timeout));
        outcome.max_size = max_size.unwrap_or(configured.max_size as u64);
        outcome.expires_in_seconds = Some(*seconds);
        if !dry_run {
            self.gate.steering.change(|book| book.queues.insert(name.to_owned(), bounds));
            self.follow_by_hand();
        }
        Ok(outcome)
    }

    /// Gives a queue its configured bounds back.
    pub(super) fn unbound_queue(&self, name: &str, request: &api::Change) -> Result<api::QueueOutcome, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let server = known(&policy, name)?;
        if !self.gate.steering.book().queues.contains_key(name) {
            return Err(api::ApiError::new(api::ErrorCode::NotFound, format!("The queue of {name} is as configured."))
                .remedy("`toolgate queues list` shows what holds."));
        }
        let configured = &server.settings.queue;
        let mut outcome = self.queue_outcome(server, request.dry_run);
        (outcome.timeout_ms, outcome.max_size) = (millis(configured.timeout), configured.max_size as u64);
        if !request.dry_run {
            self.gate.steering.change(|book| book.queues.remove(name));
            self.follow_by_hand();
        }
        Ok(outcome)
    }

    /// Takes calls out of a queue.
    pub(super) fn empty_queue(
        &self,
        name: &str,
        request: &api::PurgeRequest,
    ) -> Result<api::QueueOutcome, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let server = known(&policy, name)?;
        if let Some(client) = &request.client
            // One whose key was taken away may still wait.
            && server.queue.waiting_of(crate::identity::number(client)) == 0
        {
            self.known_client(client).map_err(|error| error.field("client"))?;
        }
        let client = request.client.as_deref().map(crate::identity::number);
        let mut outcome = self.queue_outcome(server, request.dry_run);
        outcome.before = None;
        let waiting = || {
            let seen = server.queue.snapshot();
            client.map_or(seen.waiting + seen.aside, |client| server.queue.waiting_of(client))
        };
        outcome.purged = if request.dry_run { waiting() } else { server.queue.purge(client) } as u64;
        Ok(outcome)
    }

    fn queue_outcome(&self, server: &Arc<Server>, dry_run: bool) -> api::QueueOutcome {
        let (max_size, timeout) = server.queue.bounds();
        let name = &server.settings.name;
        let by_hand = self.gate.steering.book().queues.remove(name);
        let left = by_hand.map(|bounds| bounds.until_ms.saturating_sub(crate::clock::unix_millis()).div_ceil(1000));
        api::QueueOutcome {
            server: name.clone(),
            applied: !dry_run,
            timeout_ms: millis(timeout),
            max_size: max_size as u64,
            purged: 0,
            expires_in_seconds: left,
            before: Some(api::QueueBounds { timeout_ms: millis(timeout), max_size: max_size as u64 }),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
