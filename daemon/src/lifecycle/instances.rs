//! Instances of stdio servers, as operators see and replace them.

use toolgate_admin_api as api;
use tracing::info;

use super::daemon::Daemon;
use super::endpoints::Placed;
use super::offer::{known, unknown};
use crate::admin::Peer;
use crate::servers::Server;
use crate::servers::stdio::glance::Glance;
use crate::servers::stdio::instances::{Ended, Instances, Role};

/// The instances of a server; what they wrote to stderr may hold secrets, and is not for all.
pub(super) fn status(instances: &Instances, stderr: bool) -> api::Instances {
    let last_end = instances.last_end().map(end);
    api::Instances {
        running: instances.count() as u64,
        spares: instances.spares().map(|spares| spares as u64),
        max: instances.max() as u64,
        failures: Some(instances.failures()),
        each: instances.glance().iter().map(instance).collect(),
        last_end: last_end.map(|end| if stderr { end } else { api::InstanceEnd { stderr: Vec::new(), ..end } }),
    }
}

fn instance(glance: &Glance) -> api::Instance {
    api::Instance {
        pid: glance.pid,
        role: match glance.role {
            Role::Spare => api::InstanceRole::Spare,
            Role::Dedicated => api::InstanceRole::Session,
            Role::Shared { .. } => api::InstanceRole::Shared,
        },
        age_seconds: glance.age / 1000,
        idle_seconds: glance.idle / 1000,
        in_flight: glance.in_flight as u64,
        answered: glance.answered,
        leaving: glance.leaving,
        memory: glance.usage.memory,
        memory_peak: glance.usage.memory_peak,
        tasks: glance.usage.tasks,
        oom_kills: glance.usage.oom_kills,
    }
}

fn end(ended: Ended) -> api::InstanceEnd {
    api::InstanceEnd {
        pid: ended.pid,
        at_ms: ended.at,
        how: ended.how(),
        status: ended.exit.status,
        signal: ended.exit.signal,
        oom_kills: ended.exit.oom_kills,
        memory_peak: ended.exit.memory_peak,
        stderr: ended.exit.stderr,
    }
}

impl Daemon {
    /// One server with all that is known of its instances.
    pub(super) fn server_in_full(&self, name: &str) -> Result<api::ServerStatus, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let settings = policy.settings.servers.get(name).ok_or_else(|| unknown(name, false))?;
        let mut status = Self::server_status(&Placed::of(&self.gate), &policy, settings);
        let instances = policy.servers.get(name).and_then(|server| server.instances());
        status.instances = instances.map(|instances| self::status(instances, true));
        Ok(status)
    }

    /// Replaces the instances of a server.
    pub(super) fn restart_server(
        &self,
        peer: &Peer,
        name: &str,
        request: &api::RestartRequest,
    ) -> Result<api::RestartOutcome, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let server = known(&policy, name)?;
        let instances = commands(server).ok_or_else(|| {
            api::ApiError::new(api::ErrorCode::BadRequest, format!("The gate does not start the server {name}."))
                .remedy("Restart it where it runs; the gate opens its connections anew by itself.")
        })?;
        let mut outcome =
            api::RestartOutcome { server: name.to_owned(), applied: !request.dry_run, ended: 0, leaving: 0 };
        if request.dry_run {
            let running = instances.count() as u64;
            let spares = if request.rolling { instances.spares().unwrap_or(0) as u64 } else { running };
            (outcome.ended, outcome.leaving) = (spares, running - spares.min(running));
            return Ok(outcome);
        }
        let reason = request.reason.as_deref().unwrap_or("");
        info!(who = %peer, reason, server = name, rolling = request.rolling, "a server is restarted");
        let renewed = server.restart(instances, request.rolling);
        (outcome.ended, outcome.leaving) = (renewed.ended as u64, renewed.leaving as u64);
        Ok(outcome)
    }
}

/// Instances that are processes of this machine.
fn commands(server: &Server) -> Option<&Instances> {
    server.instances().filter(|instances| instances.are_processes()).map(AsRef::as_ref)
}
