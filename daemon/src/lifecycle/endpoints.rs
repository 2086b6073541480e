//! Endpoints as operators see and steer them: drains, maintenance, and breakers opened and closed by hand.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use toolgate_admin_api as api;
use toolgate_protocol::breaker::State;
use tracing::{info, warn};

use super::daemon::Daemon;
use super::offer::known;
use crate::admin::{EndpointOperations, Peer, audit};
use crate::clock;
use crate::config::settings::Transport;
use crate::core::Core;
use crate::gate::Gate;
use crate::lock::lock;
use crate::policy::Policy;
use crate::relay::farewell;
use crate::servers::Server;
use crate::servers::connections::Seen;
use crate::servers::endpoints::{Checked, Endpoint, Mode, weight};
use crate::sessions;
use crate::steering::endpoints::{Away, ByHand, Held, Said, name_of};

/// How long sessions may go on at an endpoint in maintenance, where nobody says.
const DEADLINE: Duration = Duration::from_secs(60);

/// How many sessions there are of each server, and of them those that only one endpoint knows, and what was said of
/// endpoints by hand. Counted once for all of them: there may be many of either.
pub(super) struct Placed {
    /// By the server's name.
    of: HashMap<String, u64>,
    /// By the server as it runs and the endpoint.
    at: HashMap<(u64, usize), u64>,
    said: BTreeMap<String, BTreeMap<String, ByHand>>,
}

impl Placed {
    /// As it is now.
    pub(super) fn of(gate: &Gate) -> Self {
        let said = gate.steering.of_endpoints();
        Self { of: gate.sessions.by_server(), at: gate.sessions.tally(place), said }
    }

    /// Sessions that a server has a part in.
    pub(super) fn of_server(&self, name: &str) -> u64 {
        self.of.get(name).copied().unwrap_or(0)
    }

    fn at(&self, server: &Server, at: usize) -> u64 {
        self.at.get(&(server.generation, at)).copied().unwrap_or(0)
    }

    fn said(&self, server: &Server, endpoint: &Endpoint) -> Vec<api::HeldByHand> {
        let said = self.said.get(&server.settings.name).and_then(|kept| kept.get(&name_of(&endpoint.label)));
        said.map(told).unwrap_or_default()
    }
}

/// What was said by hand, for those who look.
fn told(said: &ByHand) -> Vec<api::HeldByHand> {
    fn held<T>(what: &str, said: &Said<T>) -> api::HeldByHand {
        let (who, reason) = (said.who.clone(), said.reason.clone());
        api::HeldByHand { what: what.to_owned(), who, reason, since_ms: said.since_ms, until_ms: said.until_ms }
    }
    let mode = said.mode.as_ref().map(|mode| match mode.is {
        Away::Drain => held("drain", mode),
        Away::Maintenance => held("maintenance", mode),
    });
    let breaker = said.breaker.as_ref().map(|breaker| match breaker.is {
        Held::Open => held("breaker open", breaker),
        Held::Closed => held("breaker closed", breaker),
    });
    let weight = said.weight.as_ref().map(|weight| held("weight", weight));
    mode.into_iter().chain(breaker).chain(weight).collect()
}

/// Something that is said now.
pub(super) fn said<T>(is: T, peer: &Peer, reason: Option<&String>) -> Said<T> {
    Said { is, since_ms: clock::unix_millis(), until_ms: None, who: audit::who(peer), reason: reason.cloned() }
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
        breaker: endpoint.has_breaker(&server.settings).then(|| breaker(endpoint)),
        by_hand: placed.said(server, endpoint),
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
        let until_ms = outcome.deadline_ms.map(|millis| clock::unix_millis().saturating_add(millis));
        let away = Away::of(mode).map(|away| Said { until_ms, ..said(away, peer, request.reason.as_ref()) });
        let gone = away.is_none() && request.endpoint.is_none();
        self.gate.steering.say_of(&policy, server, (&chosen, gone), |said| said.mode.clone_from(&away));
        let reason = request.reason.as_deref().unwrap_or("");
        for at in chosen {
            let endpoint = server.endpoints.get(at);
            info!(who = %peer, reason, server = name, endpoint = endpoint.label, ?mode, "an endpoint's mode is changed");
            endpoint.set_mode(mode);
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
        let outcome = api::BreakerOutcome {
            server: name.to_owned(),
            applied: !request.dry_run,
            state: state(wanted),
            endpoints: these(&self.gate, server, &chosen),
        };
        if request.dry_run {
            return Ok(outcome);
        }
        let held = Held::of(wanted).map(|held| said(held, peer, request.reason.as_ref()));
        let gone = held.is_none() && request.endpoint.is_none();
        self.gate.steering.say_of(&policy, server, (&chosen, gone), |said| said.breaker.clone_from(&held));
        let reason = request.reason.as_deref().unwrap_or("");
        for at in chosen {
            let endpoint = server.endpoints.get(at);
            info!(who = %peer, reason, server = name, endpoint = endpoint.label, ?wanted, "a breaker is set by hand");
            endpoint.force(wanted);
        }
        Ok(outcome)
    }
}

impl Daemon {
    /// Ends the sessions of endpoints whose deadline has come.
    pub(super) fn end_at_deadlines(&self) {
        if self.gate.steering.due(&self.gate.policy.load()).is_empty() {
            return;
        }
        // Whoever changes an endpoint's mode has the turn until all know it.
        let _turn = lock(&self.turn);
        let policy = self.gate.policy.load_full();
        for (server, at) in self.gate.steering.due(&policy) {
            let closing = Arc::clone(server);
            let put = self.cores.try_spawn(0, move |core| async move { close(&core, &closing, at) });
            if let Err(problem) = put {
                warn!("the sessions of an endpoint are not ended yet: {problem}");
                continue;
            }
            server.endpoints.get(at).close();
        }
    }
}

/// Ends the sessions of an endpoint.
fn close(core: &Rc<Core>, server: &Arc<Server>, at: usize) {
    let ended = core.gate.sessions.sweep(Duration::MAX, |session| is_at(session, server, at));
    info!(
        server = server.settings.name,
        endpoint = server.endpoints.get(at).label,
        ended = ended.len(),
        "sessions end: their deadline has come"
    );
    farewell::begin(core, ended);
    if let Some(instances) = server.instances() {
        server.restart(instances, false);
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
