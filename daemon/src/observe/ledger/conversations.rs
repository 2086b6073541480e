//! Sessions, as the admin sockets show them.

use std::collections::HashMap;
use std::sync::Arc;

use toolgate_admin_api::{ApiError, SessionDetail, SessionEvent, SessionRow, Sessions};

use super::row::Kind;
use crate::admin::query::{Key, TableQuery};
use crate::gate::Gate;
use crate::observe::Shown;
use crate::sessions::story::Event;
use crate::sessions::{Handle, Session};

/// What runs in a session.
#[derive(Debug, Clone, Copy, Default)]
struct Running {
    calls: u64,
    streams: u64,
}

/// All sessions, in no order.
#[must_use]
pub fn sessions(gate: &Gate) -> Vec<SessionRow> {
    let running = running(gate);
    let mut rows = Vec::with_capacity(gate.sessions.len());
    gate.sessions.look(|session| rows.push(row(session, running.get(&session.handle))));
    rows
}

/// Sessions as they are wanted. Rows are made only of those that are shown, unless a filter has to read all.
///
/// # Errors
/// Where there is no such column.
pub fn picked_sessions(gate: &Gate, query: &TableQuery) -> Result<Sessions, ApiError> {
    let running = running(gate);
    let mut all = Vec::with_capacity(gate.sessions.len());
    gate.sessions.look(|session| all.push(Arc::clone(session)));
    if !query.takes_all() {
        all.retain(|session| query.fits_row(&row(session, None)));
    }
    let key = |session: &Arc<Session>, column: &str| key(session, running.get(&session.handle), column);
    let by_handle = |one: &Arc<Session>, other: &Arc<Session>| one.handle.cmp(&other.handle);
    let (total, picked) = query.pick::<SessionRow, _>(all, key, by_handle)?;
    let sessions = picked.iter().map(|session| row(session, running.get(&session.handle))).collect();
    Ok(Sessions { total, sessions })
}

/// What a row of this session has in a column, without the row.
fn key(session: &Session, running: Option<&Running>, column: &str) -> Key {
    let running = running.copied().unwrap_or_default();
    match column {
        "age" => Key::Number(session.age_millis()),
        "idle" => Key::Number(session.idle_millis()),
        "in_flight" => Key::Number(running.calls),
        "streams" => Key::Number(running.streams),
        "bytes" => Key::Number(session.story.count(|totals| totals.bytes_in + totals.bytes_out)),
        "errors" => Key::Number(session.story.count(|totals| totals.errors)),
        "client" => Key::Text(session.client.to_string()),
        "agent" => Key::Text(session.about().agent.clone()),
        "protocol" => Key::Text(session.protocol().to_owned()),
        "view" => Key::Text(session.view.clone()),
        _ => Key::Number(session.story.count(|totals| totals.calls)),
    }
}

/// The session with this handle, and what went on in it.
#[must_use]
pub fn session(gate: &Gate, handle: &str) -> Option<SessionDetail> {
    let mut found = None;
    gate.sessions.look(|session| {
        if session.handle.to_string() == handle {
            let (events, forgotten) = session.story.events();
            found =
                Some(SessionDetail { row: row(session, None), events: events.iter().map(event).collect(), forgotten });
        }
    });
    let mut detail = found?;
    let running = running(gate).into_iter().find(|(known, _)| known.to_string() == handle);
    let running = running.map(|(_, running)| running).unwrap_or_default();
    (detail.row.in_flight, detail.row.streams) = (running.calls, running.streams);
    Some(detail)
}

fn running(gate: &Gate) -> HashMap<Handle, Running> {
    let mut running = HashMap::<Handle, Running>::new();
    for shelf in gate.ledger.shelves() {
        shelf.live.each(|row, _| {
            let Some(session) = row.session else { return };
            let running = running.entry(session).or_default();
            match row.kind {
                Kind::Listening => running.streams += 1,
                kind if kind.is_call() => running.calls += 1,
                _ => {}
            }
        });
    }
    running
}

fn row(session: &Session, running: Option<&Running>) -> SessionRow {
    let running = running.copied().unwrap_or_default();
    let totals = session.story.totals();
    SessionRow {
        id: session.handle.to_string(),
        client: Shown(&session.client).to_string(),
        view: session.view.clone(),
        servers: session.servers(),
        protocol: session.protocol().to_owned(),
        agent: session.about().agent.clone(),
        age_seconds: session.age_millis() / 1000,
        idle_seconds: session.idle_millis() / 1000,
        in_flight: running.calls,
        streams: running.streams,
        bytes_in: totals.bytes_in,
        bytes_out: totals.bytes_out,
        calls: totals.calls,
        errors: totals.errors,
        last: Shown(format!("{} {}", totals.last.method, totals.last.name).trim()).to_string(),
    }
}

fn event(event: &Event) -> SessionEvent {
    SessionEvent {
        at_ms: event.at_ms,
        call: event.call.map(|call| call.to_string()).unwrap_or_default(),
        kind: event.kind.word().to_owned(),
        server: event.what.server.as_deref().unwrap_or_default().to_owned(),
        method: Shown(&event.what.method).to_string(),
        name: Shown(&event.what.name).to_string(),
        detail: Shown(&event.detail).to_string(),
        took_us: event.took_us,
    }
}
