//! Health, alerts and certificates, as operators see and acknowledge them. What changes is recorded by whoever calls.

use toolgate_admin_api as api;
use toolgate_protocol::alerts::LONGEST_SILENCE_MS;

use super::daemon::Daemon;
use crate::admin::{HealthOperations, Peer};
use crate::observe::health;

impl HealthOperations for Daemon {
    fn health(&self) -> api::Health {
        health::status(&self.gate)
    }

    fn certificates(&self) -> api::Certificates {
        api::Certificates { certificates: self.gate.observed.certificates() }
    }

    fn acknowledge(&self, peer: &Peer, id: &str, request: &api::Change) -> Result<api::AlertOutcome, api::ApiError> {
        let alert = self.gate.observed.alarms.acknowledge(id, &peer.to_string(), request.dry_run)?;
        Ok(api::AlertOutcome { applied: !request.dry_run, alert })
    }

    fn silence(&self, id: &str, request: &api::SilenceRequest) -> Result<api::AlertOutcome, api::ApiError> {
        let length_ms = request.seconds.saturating_mul(1000);
        if length_ms == 0 || length_ms > LONGEST_SILENCE_MS {
            return Err(api::ApiError::new(api::ErrorCode::BadRequest, "A silence needs an end.")
                .remedy("Say how long it holds, from one second to 30 days.")
                .field("seconds"));
        }
        let alert = self.gate.observed.alarms.silence(id, length_ms, request.dry_run)?;
        Ok(api::AlertOutcome { applied: !request.dry_run, alert })
    }
}
