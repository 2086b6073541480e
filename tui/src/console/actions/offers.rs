//! Which changes the state of a thing allows.

use toolgate_admin_api::{BreakerState, EndpointMode, EndpointStatus, ServerRow, Transport};

use super::super::data::Data;
use super::super::object::Object;
use super::Verb;

/// What can be done with a thing as it is now, the likeliest first.
pub(crate) fn offers(object: &Object, data: &Data) -> Vec<Verb> {
    match object {
        object if object.is_others() => Vec::new(),
        Object::Server(name) => data.server(name).map(|row| server(row, data)).unwrap_or_default(),
        Object::Endpoint(name, url) => {
            let Some(row) = data.server(name) else { return Vec::new() };
            let found = row.status.endpoints.iter().find(|endpoint| endpoint.url == *url);
            found.map(|found| endpoint(row, found)).unwrap_or_default()
        }
        Object::Instance(..) => vec![Verb::Recycle, Verb::Restart],
        Object::Session(_) => vec![Verb::EndSession],
        Object::Tool(server, name) => tool(server, name, data),
        Object::Limit(name) => limit(name, data),
        Object::Client(id) => client(id, data),
        Object::Alert(id) => alert(id, data),
        Object::Call(id) => {
            let calls = data.calls.as_ref().map(|calls| calls.calls.as_slice()).unwrap_or_default();
            if calls.iter().any(|call| call.id == *id) { vec![Verb::CancelCall] } else { Vec::new() }
        }
        Object::Check(_) | Object::Certificate(..) => Vec::new(),
        Object::Value(_) | Object::Problem(_) | Object::Record(_) => {
            vec![Verb::ConfigCheck, Verb::ConfigDiff, Verb::ConfigReload]
        }
    }
}

/// Whether a change may be made to all of these now.
pub(crate) fn allowed(verb: Verb, objects: &[Object], data: &Data) -> bool {
    verb.is_global() || (!objects.is_empty() && objects.iter().all(|object| offers(object, data).contains(&verb)))
}

fn server(row: &ServerRow, data: &Data) -> Vec<Verb> {
    let status = &row.status;
    let mut verbs = modes(&status.endpoints);
    if status.transport == Transport::Http {
        verbs.push(Verb::CheckNow);
    }
    verbs.extend(breakers(&status.endpoints));
    if status.instances.as_ref().is_some_and(|instances| instances.running > 0) {
        verbs.extend([Verb::Recycle, Verb::Restart]);
    }
    if status.waiting > 0 {
        verbs.push(Verb::Purge);
    }
    if row.max_waiting > 0 {
        verbs.push(Verb::QueueDeadline);
    }
    let mut queues = data.queues.iter().flat_map(|queues| &queues.servers);
    if queues.any(|queue| queue.server == status.name && queue.by_hand) {
        verbs.push(Verb::QueueRevert);
    }
    if row.cache.as_ref().is_some_and(|cache| cache.entries > 0) {
        verbs.push(Verb::CacheClear);
    }
    verbs
}

fn endpoint(row: &ServerRow, found: &EndpointStatus) -> Vec<Verb> {
    let one = std::slice::from_ref(found);
    let mut verbs = modes(one);
    if row.status.endpoints.len() > 1 {
        verbs.push(Verb::Weight);
    }
    if found.url.is_some() {
        verbs.push(Verb::CheckNow);
    }
    verbs.extend(breakers(one));
    if found.url.is_none() && row.status.instances.as_ref().is_some_and(|instances| instances.running > 0) {
        verbs.extend([Verb::Recycle, Verb::Restart]);
    }
    verbs
}

fn modes(endpoints: &[EndpointStatus]) -> Vec<Verb> {
    let any = |wanted: EndpointMode| endpoints.iter().any(|endpoint| endpoint.mode == wanted);
    let mut verbs = Vec::new();
    if any(EndpointMode::Ready) {
        verbs.push(Verb::Drain);
    }
    if any(EndpointMode::Ready) || any(EndpointMode::Drain) {
        verbs.push(Verb::Maintenance);
    }
    if any(EndpointMode::Drain) || any(EndpointMode::Maintenance) {
        verbs.push(Verb::Resume);
    }
    verbs
}

fn breakers(endpoints: &[EndpointStatus]) -> Vec<Verb> {
    let states: Vec<_> = endpoints.iter().filter_map(|endpoint| endpoint.breaker.as_ref()).map(|it| it.state).collect();
    let other = |than: BreakerState| states.iter().any(|state| *state != than);
    let without = states.len() < endpoints.len();
    let mut verbs = Vec::new();
    if other(BreakerState::Closed) {
        verbs.push(Verb::BreakerReset);
    }
    // One that is not configured can be held open all the same.
    if without || other(BreakerState::ForcedOpen) {
        verbs.push(Verb::BreakerOpen);
    }
    if other(BreakerState::ForcedClosed) {
        verbs.push(Verb::BreakerClose);
    }
    verbs
}

fn tool(server: &str, name: &str, data: &Data) -> Vec<Verb> {
    let rows = data.tools.as_ref().map(|tools| tools.tools.as_slice()).unwrap_or_default();
    let worst = data.overview.as_ref().map(|overview| overview.worst_tools.as_slice()).unwrap_or_default();
    let Some(row) = rows.iter().chain(worst).find(|row| row.server == server && row.tool == name) else {
        return Vec::new();
    };
    let mut verbs = vec![Verb::LimitFor, if row.disabled.is_some() { Verb::Enable } else { Verb::Disable }];
    if row.withheld || row.changed_ms.is_some() {
        verbs.push(Verb::Approve);
    }
    verbs
}

fn limit(name: &str, data: &Data) -> Vec<Verb> {
    let limits = data.limits.as_ref().map(|view| view.limits.as_slice()).unwrap_or_default();
    match limits.iter().find(|limit| limit.name == name) {
        Some(limit) if limit.set.is_some() => vec![Verb::Revert, Verb::Override],
        Some(_) => vec![Verb::Override],
        None => Vec::new(),
    }
}

fn client(id: &str, data: &Data) -> Vec<Verb> {
    let rows = data.clients.as_ref().map(|clients| clients.clients.as_slice()).unwrap_or_default();
    let Some(row) = rows.iter().find(|row| row.id == id) else { return Vec::new() };
    let mut verbs = vec![Verb::LimitFor, if row.suspended.is_some() { Verb::ResumeClient } else { Verb::Suspend }];
    if row.sessions > 0 {
        verbs.push(Verb::EndMatching);
    }
    verbs
}

fn alert(id: &str, data: &Data) -> Vec<Verb> {
    let health = data.health.as_ref().map(|health| health.alerts.as_slice()).unwrap_or_default();
    let glance = data.overview.as_ref().map(|overview| overview.alerts.as_slice()).unwrap_or_default();
    match health.iter().chain(glance).find(|alert| alert.id == id) {
        Some(alert) if alert.recovered_ms.is_some() => Vec::new(),
        Some(alert) if alert.acknowledged.is_some() => vec![Verb::Silence],
        Some(_) => vec![Verb::Acknowledge, Verb::Silence],
        None => Vec::new(),
    }
}
