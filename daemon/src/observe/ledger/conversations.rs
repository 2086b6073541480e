//! Sessions, as the admin sockets show them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use toolgate_admin_api::{ApiError, SessionDetail, SessionEvent, SessionRow, Sessions};

use super::row::{Kind, Row};
use super::what::What;
use crate::admin::query::{Key, TableQuery};
use crate::clock;
use crate::gate::Gate;
use crate::observe::Shown;
use crate::sessions::story::Event;
use crate::sessions::{Handle, Session};

/// What runs in a session.
#[derive(Debug, Default)]
struct Running {
    calls: u64,
    streams: u64,
    /// The request that came last.
    last: Option<(Instant, Arc<What>)>,
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
    let (calls, streams) = running.map_or((0, 0), |running| (running.calls, running.streams));
    match column {
        "age" => Key::Number(session.age_millis()),
        "idle" => Key::Number(session.idle_millis()),
        "in_flight" => Key::Number(calls),
        "streams" => Key::Number(streams),
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
    // A call has no place in the story before it ends.
    let (mut running, mut asked) = (Running::default(), Vec::new());
    for shelf in gate.ledger.shelves() {
        shelf.live.each(|row, _| {
            if row.session.is_some_and(|session| session.to_string() == handle) {
                running.count(row);
                asked.extend(row.kind.is_call().then(|| row.asked()));
            }
        });
    }
    detail.events.extend(asked.iter().map(event));
    detail.events.sort_by_key(|event| event.at_ms);
    running.show(&mut detail.row);
    Some(detail)
}

impl Running {
    fn count(&mut self, row: &Row) {
        match row.kind {
            Kind::Listening => self.streams += 1,
            kind if kind.is_call() => {
                self.calls += 1;
                if self.last.as_ref().is_none_or(|(started, _)| *started <= row.started) {
                    self.last = Some((row.started, Arc::clone(&row.what)));
                }
            }
            _ => {}
        }
    }

    fn show(&self, row: &mut SessionRow) {
        (row.in_flight, row.streams) = (self.calls, self.streams);
        if let Some((_, what)) = &self.last {
            row.last = last(what);
        }
    }
}

impl Row {
    fn asked(&self) -> Event {
        let age = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Event::asked(clock::unix_micros().saturating_sub(age), self.id, Arc::clone(&self.what))
    }
}

fn running(gate: &Gate) -> HashMap<Handle, Running> {
    let mut running = HashMap::<Handle, Running>::new();
    for shelf in gate.ledger.shelves() {
        shelf.live.each(|row, _| {
            if let Some(session) = row.session {
                running.entry(session).or_default().count(row);
            }
        });
    }
    running
}

fn row(session: &Session, running: Option<&Running>) -> SessionRow {
    let totals = session.story.totals();
    let mut row = SessionRow {
        id: session.handle.to_string(),
        client: Shown(&session.client).to_string(),
        view: session.view.clone(),
        servers: session.servers(),
        protocol: session.protocol().to_owned(),
        agent: session.about().agent.clone(),
        age_seconds: session.age_millis() / 1000,
        idle_seconds: session.idle_millis() / 1000,
        in_flight: 0,
        streams: 0,
        bytes_in: totals.bytes_in,
        bytes_out: totals.bytes_out,
        calls: totals.calls,
        errors: totals.errors,
        last: last(&totals.last),
    };
    if let Some(running) = running {
        running.show(&mut row);
    }
    row
}

fn last(what: &What) -> String {
    Shown(format!("{} {}", what.method, what.name).trim()).to_string()
}

fn event(event: &Event) -> SessionEvent {
    SessionEvent {
        at_ms: event.at_us / 1000,
        call: event.call.map(|call| call.to_string()).unwrap_or_default(),
        kind: event.kind.word().to_owned(),
        server: event.what.server.as_deref().unwrap_or_default().to_owned(),
        method: Shown(&event.what.method).to_string(),
        name: Shown(&event.what.name).to_string(),
        detail: Shown(&event.detail).to_string(),
        took_us: event.took_us,
    }
}
