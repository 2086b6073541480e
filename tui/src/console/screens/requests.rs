//! Screen 8: calls as they end, and those in flight.

use toolgate_admin_api::{CallRow, RequestLine};

use super::super::data::Data;
use super::super::details::Details;
use super::super::object::Object;
use super::super::table::{Cell, Column, Listing, Row};
use super::super::theme::Role;
use super::super::units::{bytes, clock, span_ms, span_us, to_float};
use super::{Screen, View, words};

pub(super) const VIEWS: &[&str] = &["all", "ended", "in flight"];

pub(super) const COLUMNS: &[Column] = &[
    Column::text("TIME", 8, 1),
    Column::text("OUTCOME", 10, 0),
    Column::number("TOTAL", 8, 0).by("age"),
    Column::wide("CLIENT", 14, 1).by("client"),
    Column::text("SERVER", 10, 2).by("server"),
    Column::wide("CALL", 22, 0),
    Column::number("QUEUE", 8, 3),
    Column::number("CONNECT", 8, 6),
    Column::number("FIRST", 8, 3),
    Column::number("STREAM", 8, 5),
    Column::number("OUT", 7, 7),
    Column::text("SESSION", 16, 8).by("session"),
    Column::text("ID", 20, 9),
    Column::wide("CAUSE", 16, 4),
];

/// Calls in flight, the oldest first, then those that ended, the newest first.
pub(super) fn listing(view: &View<'_>) -> Listing {
    let mut rows = Vec::new();
    if let Some(calls) = view.data.calls.as_ref().filter(|_| view.part != 1) {
        rows.extend(calls.calls.iter().map(|call| going(call, view)));
    }
    if view.part != 2 {
        rows.extend(view.data.requests.iter().map(|line| ended(line, view)));
    }
    let total = view.data.calls.as_ref().filter(|_| view.part == 2).map(|calls| calls.total);
    let empty = "No call in sight. They are shown as they end; `toolgate tail` prints them.";
    Listing { columns: COLUMNS, rows, total, empty }
}

fn name(server: &str, method: &str, name: &str) -> String {
    match (method, name) {
        ("tools/call", name) if !name.is_empty() => name.to_owned(),
        ("", _) => server.to_owned(),
        (method, "") => method.to_owned(),
        (method, name) => format!("{method} {name}"),
    }
}

/// Where a call in flight is, in the room of an outcome.
fn stage(stage: &str) -> String {
    match stage {
        "read" => "reading",
        "limit" => "at limits",
        "queue" => "in queue",
        "connect" => "connecting",
        "server" => "at server",
        "stream" => "streaming",
        other => other,
    }
    .to_owned()
}

fn going(call: &CallRow, view: &View<'_>) -> Row {
    let role = if call.age_ms > 5_000 { Role::Warn } else { Role::Info };
    let mut cells = vec![
        Cell::new(clock(view.now_ms.saturating_sub(call.age_ms))).role(Role::Dim),
        Cell::new(stage(&call.stage)).role(role),
        Cell::number(span_ms(call.age_ms), to_float(call.age_ms * 1000)).role(role),
        Cell::new(view.data.who(&call.client).to_owned()),
        Cell::new(call.server.clone()),
        Cell::new(name(&call.server, &call.method, &call.name)),
    ];
    cells.extend((6..11).map(|_| Cell::none()));
    cells.extend([
        Cell::new(call.session.clone()).role(Role::Dim),
        Cell::new(call.id.clone()).role(Role::Dim),
        Cell::new(""),
    ]);
    fields(
        Row::new(Object::Call(call.id.clone()), cells),
        &call.client,
        &call.session,
        &call.server,
        &call.method,
        &call.name,
    )
    .field("client", view.data.who(&call.client))
    .field("outcome", "in-flight")
    .field("stage", &call.stage)
}

fn ended(line: &RequestLine, view: &View<'_>) -> Row {
    let cells = vec![
        Cell::new(clock(line.at_ms)).role(Role::Dim),
        Cell::new(line.outcome.clone()).role(words::outcome(&line.outcome)),
        Cell::span_us(line.total_us),
        Cell::new(view.data.who(&line.client).to_owned()),
        Cell::new(line.server.clone()),
        Cell::new(name(&line.server, &line.method, &line.name)),
        Cell::span_us(line.queue_us),
        Cell::span_us(line.connect_us),
        Cell::span_us(line.first_byte_us),
        Cell::span_us(line.stream_us),
        Cell::bytes(line.bytes_out),
        Cell::new(line.session.clone()).role(Role::Dim),
        Cell::new(line.id.clone()).role(Role::Dim),
        Cell::new(cause(line)).role(Role::Dim),
    ];
    fields(
        Row::new(Object::Call(line.id.clone()), cells),
        &line.client,
        &line.session,
        &line.server,
        &line.method,
        &line.name,
    )
    .field("client", view.data.who(&line.client))
    .field("outcome", &line.outcome)
    .field("failure", &line.failure)
    .field("listener", &line.listener)
    .field("status", line.status.to_string())
}

fn cause(line: &RequestLine) -> String {
    match (line.failure.as_str(), line.cause.as_str()) {
        ("", cause) => cause.to_owned(),
        (failure, "") => failure.to_owned(),
        (failure, cause) => format!("{failure}: {cause}"),
    }
}

fn fields(row: Row, client: &str, session: &str, server: &str, method: &str, name: &str) -> Row {
    let row = row.field("client", client).field("session", session).field("server", server).field("method", method);
    if name.is_empty() {
        row
    } else {
        row.field("tool", format!("{server}/{name}")).field("tool", name).field("name", name)
    }
}

/// The life of a call.
pub(super) fn details(id: &str, view: &View<'_>) -> Details {
    let mut details = Details::default();
    if let Some(line) = view.data.requests.iter().find(|line| line.id == id) {
        life(&mut details, line, view);
        return details;
    }
    let calls = view.data.calls.as_ref().map(|calls| calls.calls.as_slice()).unwrap_or_default();
    let Some(call) = calls.iter().find(|call| call.id == id) else { return details };
    details.heading(format!("Call {id}"));
    details.pair("stage", format!("{}, begun {} ago", stage(&call.stage), span_ms(call.age_ms)), Role::Info);
    super::client(&mut details, &call.client, view);
    details.value("session", call.session.as_str());
    details.value("server", call.server.as_str());
    details.value("method", call.method.as_str());
    details.value("name", call.name.as_str());
    details
}

fn life(details: &mut Details, line: &RequestLine, view: &View<'_>) {
    details.heading(format!("Call {}", line.id));
    let status = format!("  HTTP {} at {} UTC", line.status, clock(line.at_ms));
    details.pieces("outcome", vec![(line.outcome.clone(), words::outcome(&line.outcome)), (status, Role::Text)]);
    if !line.failure.is_empty() || !line.cause.is_empty() {
        details.pair("cause", cause(line), Role::Bad);
    }
    super::client(details, &line.client, view);
    details.value("session", line.session.as_str());
    details.value("listener", line.listener.as_str());
    details.value("server", line.server.as_str());
    details.value("method", line.method.as_str());
    details.value("name", line.name.as_str());
    details.value("bytes", format!("{} in, {} out", bytes(line.bytes_in), bytes(line.bytes_out)));
    details.heading(format!("Time: {}", span_us(line.total_us)));
    let stages = [
        ("read", line.read_us, Role::Dim),
        ("queue", line.queue_us, Role::PhaseQueue),
        ("connect", line.connect_us, Role::PhaseConnect),
        ("first byte", line.first_byte_us, Role::PhaseFirst),
        ("stream", line.stream_us, Role::PhaseStream),
    ];
    for (name, us, role) in stages {
        details.pieces(name, vec![(format!("{:>9}", span_us(us)), role)]);
    }
    details.phases([line.queue_us, line.connect_us, line.first_byte_us, line.stream_us]);
    details.text(format!("`toolgate why {}` tells the same on the command line.", line.id), Role::Dim);
}

/// Whose call it is, and what else belongs to it.
pub(super) fn relations(id: &str, data: &Data) -> Vec<(&'static str, Screen, String)> {
    let ended = data.requests.iter().find(|line| line.id == id);
    let ended = ended.map(|line| [&line.client, &line.session, &line.server]);
    let going = data.calls.iter().flat_map(|calls| &calls.calls).find(|call| call.id == id);
    let going = going.map(|call| [&call.client, &call.session, &call.server]);
    let Some([client, session, server]) = ended.or(going) else { return Vec::new() };
    let mut relations = Vec::new();
    if !session.is_empty() {
        relations.push(("Calls of its session", Screen::Requests, format!("session={session}")));
        relations.push(("Session", Screen::Sessions, format!("session={session}")));
    }
    if !client.is_empty() {
        relations.push(("Client", Screen::Clients, format!("client={client}")));
    }
    if !server.is_empty() {
        relations.push(("Server", Screen::Servers, format!("server={server}")));
    }
    relations
}
