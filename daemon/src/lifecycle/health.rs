//! Health, alerts and certificates, as operators see and acknowledge them.

use toolgate_admin_api as api;
use toolgate_protocol::alerts::LONGEST_SILENCE_MS;
use tracing::info;

use super::daemon::Daemon;
use crate::admin::{HealthOperations, Peer};
use crate::observe::alerts::Changed;
use crate::observe::{Shown, health};

impl HealthOperations for Daemon {
    fn health(&self) -> api::Health {
        health::status(&self.gate)
    }

    fn certificates(&self) -> api::Certificates {
        api::Certificates { certificates: self.gate.observed.certificates() }
    }

    fn acknowledge(&self, peer: &Peer, id: &str, request: &api::Change) -> Result<api::AlertOutcome, api::ApiError> {
        let changed = self.gate.observed.alarms.acknowledge(id, &peer.to_string(), request.dry_run)?;
        Ok(recorded(peer, "alert.acknowledge", changed, request.dry_run, request.reason.as_deref()))
    }

    fn silence(
        &self,
        peer: &Peer,
        id: &str,
        request: &api::SilenceRequest,
    ) -> Result<api::AlertOutcome, api::ApiError> {
        let length_ms = request.seconds.saturating_mul(1000);
        if length_ms == 0 || length_ms > LONGEST_SILENCE_MS {
            return Err(api::ApiError::new(api::ErrorCode::BadRequest, "A silence needs an end.")
                .remedy("Say how long it holds, from one second to 30 days.")
                .field("seconds"));
        }
        let changed = self.gate.observed.alarms.silence(id, length_ms, request.dry_run)?;
        Ok(recorded(peer, "alert.silence", changed, request.dry_run, request.reason.as_deref()))
    }
}

/// The one place where a change of an alert is written down.
fn recorded(peer: &Peer, action: &str, changed: Changed, dry_run: bool, reason: Option<&str>) -> api::AlertOutcome {
    let Changed { before, after } = changed;
    if !dry_run {
        let (id, reason) = (Shown(&after.id), Shown(reason.unwrap_or("")));
        let (until, was_until) = (after.silenced_until_ms, before.silenced_until_ms);
        info!(who = %peer, %reason, action, alert = %id, silenced_until_ms = until, before_ms = was_until, "an alert was changed");
    }
    api::AlertOutcome { applied: !dry_run, alert: after }
}
