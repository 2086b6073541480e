//! Endpoints as operators see and steer them: drains, maintenance, and breakers opened and closed by hand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use toolgate_admin_api as api;
use toolgate_protocol::breaker::State;
use tracing::{info, warn};

use super::daemon::Daemon;
use super::offer::known;
use crate::admin::{EndpointOperations, Peer};
use crate::clock;
use crate::config::settings::Transport;
use crate::gate::Gate;
use crate::lock::lock;
use crate::policy::Policy;
use crate::relay::farewell;
use crate::servers::Server;
use crate::servers::connections::Seen;
use crate::servers::endpoints::{Checked, Endpoint, Mode, weight};
use crate::sessions;

/// How long sessions may go on at an endpoint in maintenance, where nobody says.
const DEADLINE: Duration = Duration::from_secs(60);

/// How many sessions there are of each server, and of them those that only one endpoint knows. Counted once for all of
/// them: there may be many of either.
pub(super) struct Placed {
    /// By the server's name.
    of: HashMap<String, u64>,
    /// By the server as it runs and the endpoint.
    at: HashMap<(u64, usize), u64>,
}

impl Placed {
    /// As it is now.
    pub(super) fn of(gate: &Gate) -> Self {
        Self { of: gate.sessions.by_server(), at: gate.sessions.tally(place) }
    }

    /// Sessions that a server has a part in.
    pub(super) fn of_server(&self, name: &str) -> u64 {
        self.of.get(name).copied().unwrap_or(0)
    }

    fn at(&self, server: &Server, at: usize) -> u64 {
        self.at.get(&(server.generation, at)).copied().unwrap_or(0)
    }
}

/// The endpoints of a server.
pub(super) fn status(placed: &Placed, server: &Server) -> Vec<api::EndpointStatus> {
    (0..server.endpoints.each().len()).map(|at| endpoint(placed, server, at)).collect()
}

/// Some of them.
pub(super) fn these(gate: &Gate, server: &Server, chosen: &[usize]) -> Vec<api::EndpointStatus> {
    let placed = Placed::of(gate);
    chosen.iter().map(|at| endpoint(&placed, server, *at)).collect()
}

fn endpoint(placed: &Placed, server: &Server, at: usize) -> api::EndpointStatus {
    let endpoint = server.endpoints.get(at);
    let over_http = matches!(server.settings.transport, Transport::Http(_));
    api::EndpointStatus {
        url: url(endpoint),
        mode: mode(endpoint.mode()),
        trouble: endpoint.trouble(&server.settings).or_else(|| endpoint.fitness.trouble()),
        weight: weight(endpoint, &server.settings, at),
        in_flight: server.endpoints.are_counted().then(|| endpoint.outstanding() as u64),
        connections: server.http().and_then(|http| http.connections().1.get(at).map(|open| *open as u64)),
        sessions: over_http.then(|| placed.at(server, at)),
        breaker: server.settings.breaker.is_some().then(|| breaker(endpoint)),
        last_check: endpoint.last_check().map(check),
    }
}

/// The connections of a server, where it is reached over Streamable HTTP.
pub(super) fn connections(server: &Server) -> Option<api::PoolStatus> {
    server.http().map(|http| pool(http.connections().0))
}

/// Connections that share a bound.
pub(super) fn pool(seen: Seen) -> api::PoolStatus {
    api::PoolStatus { open: seen.open as u64, max: seen.max as u64, waiting: seen.waiting as u64 }
}

/// A query may hold a credential.
fn url(endpoint: &Endpoint) -> Option<String> {
    let url = endpoint.label.split('?').next().unwrap_or_default();
    (!url.is_empty()).then(|| url.to_owned())
}

fn mode(mode: Mode) -> api::EndpointMode {
    match mode {
        Mode::Ready => api::EndpointMode::Ready,
        Mode::Drain => api::EndpointMode::Drain,
        Mode::Maintenance => api::EndpointMode::Maintenance,
    }
}

fn breaker(endpoint: &Endpoint) -> api::BreakerStatus {
    let glance = endpoint.glance();
    api::BreakerStatus {
        state: state(glance.state),
        retry_in_ms: glance.millis,
        cause: glance.cause.map(|cause| cause.to_string()),
        opened: glance.opened,
    }
}

fn state(state: State) -> api::BreakerState {
    match state {
        State::Closed => api::BreakerState::Closed,
        State::Open => api::BreakerState::Open,
        State::HalfOpen => api::BreakerState::HalfOpen,
        State::ForcedOpen => api::BreakerState::ForcedOpen,
        State::ForcedClosed => api::BreakerState::ForcedClosed,
    }
}

fn check(checked: Checked) -> api::CheckStatus {
    api::CheckStatus {
        age_ms: clock::millis_since(checked.at),
        took_ms: u64::try_from(checked.took.as_millis()).unwrap_or(u64::MAX),
        problem: checked.problem,
    }
}

/// The server and the endpoint that alone know a session.
fn place(session: &sessions::Session) -> Option<(u64, usize)> {
    match &session.kind {
        sessions::Kind::Mirrored(mirrored) => Some((mirrored.server.generation, mirrored.endpoint)),
        sessions::Kind::Hosted(_) => None,
    }
}

/// Whether only this endpoint knows a session.
fn is_at(session: &sessions::Session, server: &Server, at: usize) -> bool {
    place(session) == Some((server.generation, at))
}

impl EndpointOperations for Daemon {
    fn mode(
        &self,
        peer: &Peer,
        name: &str,
        mode: Mode,
        request: &api::ModeRequest,
    ) -> Result<api::ModeOutcome, api::ApiError> {
        // A reload at the same time would miss it.
        let _turn = lock(&self.turn);
        let policy = self.gate.policy.load_full();
        let (server, chosen) = chosen(&policy, name, request.endpoint.as_deref())?;
        let deadline = match (mode, request.deadline_ms) {
            (Mode::Ready, _) | (Mode::Drain, None) => None,
            (Mode::Maintenance, None) => Some(DEADLINE),
            (_, Some(millis)) => Some(Duration::from_millis(millis)),
        };
        let takes = |(at, endpoint): &(usize, &Endpoint)| {
            let wanted = if chosen.contains(at) { mode } else { endpoint.mode() };
            wanted == Mode::Ready && endpoint.is_fit()
        };
        let outcome = api::ModeOutcome {
            server: name.to_owned(),
            applied: !request.dry_run,
            mode: self::mode(mode),
            endpoints: these(&self.gate, server, &chosen),
            left: server.endpoints.each().iter().enumerate().filter(takes).count() as u64,
            deadline_ms: deadline.map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)),
        };
        if request.dry_run {
            return Ok(outcome);
        }
        let reason = request.reason.as_deref().unwrap_or("");
        for at in chosen {
            let endpoint = server.endpoints.get(at);
            info!(who = %peer, reason, server = name, endpoint = endpoint.label, ?mode, "an endpoint's mode is changed");
            let change = endpoint.set_mode(mode);
            if let Some(deadline) = deadline {
                self.close_after(deadline, server, (at, change));
            }
        }
        Ok(outcome)
    }

    fn breaker(
        &self,
        peer: &Peer,
        name: &str,
        wanted: State,
        request: &api::BreakerRequest,
    ) -> Result<api::BreakerOutcome, api::ApiError> {
        // A reload at the same time would miss it.
        let _turn = lock(&self.turn);
        let policy = self.gate.policy.load_full();
        let (server, chosen) = chosen(&policy, name, request.endpoint.as_deref())?;
        if server.settings.breaker.is_none() {
            let message = format!("The server {name} has no breaker.");
            let remedy = format!("Write one into its table, such as `server.{name}.breaker.failures = 5`, and reload.");
            return Err(api::ApiError::new(api::ErrorCode::BadRequest, message).remedy(remedy));
        }
        let outcome = api::BreakerOutcome {
            server: name.to_owned(),
            applied: !request.dry_run,
            state: state(wanted),
            endpoints: these(&self.gate, server, &chosen),
        };
        if request.dry_run {
            return Ok(outcome);
        }
        let reason = request.reason.as_deref().unwrap_or("");
        for at in chosen {
            let endpoint = server.endpoints.get(at);
            info!(who = %peer, reason, server = name, endpoint = endpoint.label, ?wanted, "a breaker is set by hand");
            match wanted {
                State::ForcedOpen => endpoint.force_open(),
                State::ForcedClosed => endpoint.breaker().force_closed(),
                State::Closed | State::Open | State::HalfOpen => endpoint.breaker().reset(),
            }
        }
        Ok(outcome)
    }
}

impl Daemon {
    /// Ends the sessions of an endpoint at a deadline, unless its operator changes his mind before.
    fn close_after(&self, deadline: Duration, server: &Server, (at, change): (usize, u64)) {
        let (name, label) = (server.settings.name.clone(), server.endpoints.get(at).label.clone());
        let closing = self.cores.try_spawn(0, move |core| async move {
            tokio::time::sleep(deadline).await;
            let policy = core.policy();
            // A reload may have begun the server anew.
            let Some(server) = policy.servers.get(&name) else { return };
            let Some(at) = server.endpoints.at(&label) else { return };
            if !server.endpoints.get(at).close(change) {
                return;
            }
            let ended = core.gate.sessions.sweep(Duration::MAX, |session| is_at(session, server, at));
            info!(
                server = name,
                endpoint = server.endpoints.get(at).label,
                ended = ended.len(),
                "sessions end: their deadline has come"
            );
            farewell::begin(&core, ended);
            if let Some(instances) = server.instances() {
                server.restart(instances, false);
            }
        });
        if let Err(problem) = closing {
            warn!("the sessions of an endpoint will not be ended: {problem}");
        }
    }
}

/// A running server, and which of its endpoints a request is about.
pub(super) fn chosen<'p>(
    policy: &'p Policy,
    name: &str,
    url: Option<&str>,
) -> Result<(&'p Arc<Server>, Vec<usize>), api::ApiError> {
    let server = known(policy, name)?;
    let Some(wanted) = url else { return Ok((server, (0..server.endpoints.each().len()).collect())) };
    let each = server.endpoints.each();
    if let Some(at) = each.iter().position(|endpoint| endpoint.label == wanted || url_is(endpoint, wanted)) {
        return Ok((server, vec![at]));
    }
    let known: Vec<_> = each.iter().filter_map(self::url).collect();
    let remedy = match known.as_slice() {
        [] => "Leave the endpoint out: it is reached through instances.".to_owned(),
        _ => format!("It has {}.", known.join(", ")),
    };
    let message = format!("The server {name} has no such endpoint.");
    Err(api::ApiError::new(api::ErrorCode::NotFound, message).remedy(remedy).field("endpoint"))
}

fn url_is(endpoint: &Endpoint, wanted: &str) -> bool {
    url(endpoint).is_some_and(|url| url == wanted)
}
