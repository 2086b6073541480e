//! Screen 3: conversations of the legacy era, with what went on in each.

use toolgate_admin_api::{SessionEvent, SessionRow};

use super::super::details::Details;
use super::super::object::Object;
use super::super::table::{Cell, Column, Listing, Row};
use super::super::theme::Role;
use super::super::units::{bytes, clock, count, long, short, span_us, to_float};
use super::{View, words};

pub(super) const COLUMNS: &[Column] = &[
    Column::text("SESSION", 16, 0),
    Column::wide("CLIENT", 16, 0).by("client"),
    Column::wide("SERVERS", 14, 2),
    Column::text("PROTOCOL", 10, 7).by("protocol"),
    Column::number("AGE", 5, 3).by("age"),
    Column::number("IDLE", 5, 0).by("idle"),
    Column::number("IN FL", 5, 1).by("in_flight"),
    Column::number("STREAMS", 7, 6).by("streams"),
    Column::number("CALLS", 6, 2).by("calls"),
    Column::number("ERRORS", 6, 3).by("errors"),
    Column::number("IN", 7, 8),
    Column::number("OUT", 7, 8).by("bytes"),
    Column::wide("LAST", 18, 4),
    Column::wide("AGENT", 14, 5).by("agent"),
];

/// Sessions as the daemon sorted them.
pub(super) fn listing(view: &View<'_>) -> Listing {
    let sessions = view.data.sessions.as_ref();
    let empty = match sessions {
        Some(_) => {
            "There are no sessions. Clients of the legacy era open one with their first request; clients of the modern era have none: press 8 for their calls."
        }
        None => "Waiting for the daemon to tell of sessions.",
    };
    let rows = sessions
        .map(|sessions| sessions.sessions.iter().map(|session| row(session, view)).collect())
        .unwrap_or_default();
    Listing { columns: COLUMNS, rows, total: sessions.map(|sessions| sessions.total), empty }
}

fn row(session: &SessionRow, view: &View<'_>) -> Row {
    let cells = vec![
        Cell::new(session.id.clone()).role(Role::Strong),
        Cell::new(view.data.who(&session.client).to_owned()),
        Cell::new(session.servers.join(" ")),
        Cell::new(session.protocol.clone()).role(Role::Dim),
        Cell::number(short(session.age_seconds), to_float(session.age_seconds)),
        Cell::number(short(session.idle_seconds), to_float(session.idle_seconds)),
        Cell::count(session.in_flight),
        Cell::count(session.streams),
        Cell::count(session.calls),
        Cell::count(session.errors).role(words::problems(to_float(session.errors))),
        Cell::bytes(session.bytes_in),
        Cell::bytes(session.bytes_out),
        Cell::new(session.last.clone()).role(Role::Dim),
        Cell::new(session.agent.clone()).role(Role::Dim),
    ];
    let row = Row::new(Object::Session(session.id.clone()), cells)
        .field("session", &session.id)
        .field("client", &session.client)
        .field("client", view.data.who(&session.client))
        .field("view", &session.view)
        .field("protocol", &session.protocol)
        .field("agent", &session.agent);
    session.servers.iter().fold(row, |row, server| row.field("server", server))
}

/// A session with its activity, where the daemon was asked for it.
pub(super) fn details(id: &str, view: &View<'_>) -> Details {
    let mut details = Details::default();
    let told = view.data.session.as_ref().filter(|told| told.row.id == id);
    let listed = view.data.sessions.as_ref().and_then(|all| all.sessions.iter().find(|session| session.id == id));
    let Some(session) = listed.or(told.map(|told| &told.row)) else { return details };
    details.heading(format!("Session {id}"));
    super::client(&mut details, &session.client, view);
    details.value("agent", session.agent.as_str());
    details.value("path", if session.view.is_empty() { "/mcp".to_owned() } else { format!("/mcp/{}", session.view) });
    details.value("servers", session.servers.join(", "));
    details.value("protocol", session.protocol.as_str());
    details.value("open for", format!("{}, idle for {}", long(session.age_seconds), long(session.idle_seconds)));
    details.value(
        "requests",
        format!(
            "{}, {} failed, {} in flight, {} streams",
            count(session.calls),
            count(session.errors),
            session.in_flight,
            session.streams
        ),
    );
    details.value("bytes", format!("{} in, {} out", bytes(session.bytes_in), bytes(session.bytes_out)));
    details.value("last", session.last.as_str());
    let Some(told) = told else { return details };
    details.heading("Activity, the newest first");
    for event in told.events.iter().rev() {
        activity(&mut details, event, &told.events);
    }
    if told.forgotten > 0 {
        details.text(format!("{} older ones are gone.", count(told.forgotten)), Role::Dim);
    }
    details
}

/// What belongs to a call stands a step to the right of its request.
fn activity(details: &mut Details, event: &SessionEvent, all: &[SessionEvent]) {
    let begun = !event.call.is_empty()
        && event.kind != "request"
        && all.iter().any(|other| other.call == event.call && other.kind == "request");
    let step = if begun { "  " } else { "" };
    let what = [event.server.as_str(), event.method.as_str(), event.name.as_str()];
    let what: Vec<_> = what.into_iter().filter(|part| !part.is_empty()).collect();
    let took = if event.took_us > 0 { format!("  {}", span_us(event.took_us)) } else { String::new() };
    let role = match event.kind.as_str() {
        "error" => Role::Bad,
        "opened" | "ended" => Role::Title,
        _ => Role::Text,
    };
    let text = format!("{} {step}{:<12} {}{took}  {}", clock(event.at_ms), event.kind, what.join(" "), event.detail);
    details.text(text.trim_end(), role);
}
