//! Screen 6: who calls, what they call most, and who is suspended.

use toolgate_admin_api::ClientRow;

use super::super::details::Details;
use super::super::filter::Filter;
use super::super::object::{Object, shown};
use super::super::table::{Cell, Column, Listing, Row};
use super::super::theme::Role;
use super::super::units::{bytes, count, date, since, span_ms, to_float, until};
use super::{Screen, View, words};

pub(super) const COLUMNS: &[Column] = &[
    Column::wide("CLIENT", 16, 0).by("id"),
    Column::wide("OWNER", 12, 1).by("owner"),
    Column::text("TIER", 8, 5),
    Column::text("STATE", 9, 1),
    Column::number("CALL/S", 6, 0).by("rate"),
    Column::number("ERR/S", 6, 1).by("error_rate"),
    Column::number("REF/S", 6, 0).by("refused_rate"),
    Column::number("IN FL", 5, 2).by("in_flight"),
    Column::number("WAITS", 5, 2).by("waiting"),
    Column::number("SESS", 5, 3).by("sessions"),
    Column::number("P99", 8, 6).by("p99"),
    Column::number("CALLS", 6, 4).by("calls"),
    Column::number("OUT", 7, 8),
    Column::number("SEEN", 5, 5).by("seen"),
    Column::number("EXPIRES", 7, 7).by("expires"),
    Column::wide("CALLS MOST", 18, 2),
    Column::number("MOST/MIN", 8, 3),
];

/// A key that has less than this is soon over.
const SOON_MS: u64 = 7 * 86_400_000;

/// Clients as the daemon sorted them. A filter for a tool is about those that call it, which the tool knows.
pub(super) fn listing(view: &View<'_>, filter: &Filter) -> Listing {
    let clients = view.data.clients.as_ref();
    let empty = match clients {
        Some(_) => "Nobody called yet and there are no keys. `toolgate key create --owner NAME` makes one.",
        None => "Waiting for the daemon to tell of clients.",
    };
    let tool = filter.value("tool").and_then(|tool| tool.split_once('/'));
    let callers: Vec<&str> = tool.map(|(server, tool)| callers(view, server, tool)).unwrap_or_default();
    let build = |client: &ClientRow| {
        let row = row(client, view);
        match (&callers, tool) {
            (callers, Some((server, tool))) if callers.contains(&client.id.as_str()) => {
                row.field("tool", format!("{server}/{tool}"))
            }
            _ => row,
        }
    };
    let rows = clients.map(|clients| clients.clients.iter().map(build).collect()).unwrap_or_default();
    Listing { columns: COLUMNS, rows, total: clients.map(|clients| clients.total), empty }
}

/// Names in filters are in small letters.
fn callers<'a>(view: &View<'a>, server: &str, tool: &str) -> Vec<&'a str> {
    let data = view.data;
    let tools = data.tools.as_ref().map(|tools| tools.tools.as_slice()).unwrap_or_default();
    let found = tools.iter().find(|row| row.server.to_lowercase() == server && row.tool.to_lowercase() == tool);
    found.map(|row| data.callers(&row.server, &row.tool).collect()).unwrap_or_default()
}

fn state(client: &ClientRow, now_ms: u64) -> (&'static str, Role) {
    match client {
        ClientRow { suspended: Some(_), .. } => ("suspended", Role::Info),
        ClientRow { expires_at_ms: Some(at), .. } if *at <= now_ms => ("expired", Role::Bad),
        ClientRow { expires_at_ms: Some(at), .. } if *at < now_ms + SOON_MS => ("expiring", Role::Warn),
        ClientRow { last_seen_ms: None, .. } => ("unused", Role::Dim),
        _ => ("active", Role::Dim),
    }
}

fn row(client: &ClientRow, view: &View<'_>) -> Row {
    let traffic = &client.traffic;
    let (word, role) = state(client, view.now_ms);
    let busiest = client.busiest.as_ref();
    let cells = vec![
        Cell::new(shown(&client.id)).role(Role::Strong),
        Cell::new(client.owner.clone()),
        Cell::new(client.tier.clone().unwrap_or_else(|| "-".to_owned())).role(Role::Dim),
        Cell::new(word).role(role),
        Cell::rate(traffic.calls_per_second),
        Cell::rate(traffic.errors_per_second).role(words::problems(traffic.errors_per_second)),
        Cell::rate(traffic.refused_per_second).role(words::problems(traffic.refused_per_second)),
        Cell::count(traffic.in_flight),
        Cell::count(client.waiting),
        Cell::count(client.sessions),
        Cell::span_us(traffic.latency.p99_us),
        Cell::count(traffic.calls),
        Cell::bytes(traffic.bytes_out),
        client.last_seen_ms.map_or_else(Cell::none, |at| {
            Cell::number(since(at, view.now_ms), to_float(view.now_ms.saturating_sub(at)))
        }),
        client
            .expires_at_ms
            .map_or_else(Cell::none, |at| Cell::number(until(at, view.now_ms), to_float(at)).role(role)),
        Cell::new(busiest.map_or_else(String::new, |busiest| shown(&busiest.tool))),
        busiest.map_or_else(Cell::none, |busiest| Cell::count(busiest.calls_last_minute)),
    ];
    let row = Row::new(Object::Client(client.id.clone()), cells)
        .field("client", &client.id)
        .field("client", &client.owner)
        .field("owner", &client.owner)
        .field("state", word)
        .field("tier", client.tier.clone().unwrap_or_default());
    match busiest {
        Some(busiest) => row.field("tool", &busiest.tool),
        None => row,
    }
}

/// Its sessions, or its calls where it has none or the way led through a tool.
pub(super) fn below(id: &str, view: &View<'_>, filter: &Filter) -> (Screen, String) {
    if let Some(tool) = filter.value("tool") {
        return (Screen::Requests, format!("client={id} tool={tool}"));
    }
    let clients = view.data.clients.as_ref().map(|clients| clients.clients.as_slice()).unwrap_or_default();
    let sessions = clients.iter().find(|client| client.id == id).map_or(0, |client| client.sessions);
    (if sessions > 0 { Screen::Sessions } else { Screen::Requests }, format!("client={id}"))
}

/// Everything about a client.
pub(super) fn details(id: &str, view: &View<'_>) -> Details {
    let mut details = Details::default();
    let clients = view.data.clients.as_ref().map(|clients| clients.clients.as_slice()).unwrap_or_default();
    let Some(client) = clients.iter().find(|client| client.id == id) else { return details };
    details.heading(shown(id));
    details.value("owner", client.owner.as_str());
    details.value("organisation", client.organisation.clone().unwrap_or_default());
    details.value("tier", client.tier.clone().unwrap_or_default());
    details.value("roles", client.roles.join(", "));
    let open = if client.roles.is_empty() { "everything" } else { "what its roles allow" };
    details.value("may use", if client.scopes.is_empty() { open.to_owned() } else { client.scopes.join(", ") });
    if let Some(at) = client.expires_at_ms {
        let role = state(client, view.now_ms).1;
        details.pair("key expires", format!("{} UTC, in {}", date(at), until(at, view.now_ms)), role);
    }
    if let Some(suspended) = &client.suspended {
        details.pair("suspended", format!("by {} since {} UTC", suspended.who, date(suspended.since_ms)), Role::Info);
        details.pair("it reads", suspended.say.as_str(), Role::Info);
        details.value(
            "until",
            suspended.until_ms.map_or_else(|| "it is resumed (R)".to_owned(), |at| format!("{} UTC", date(at))),
        );
        details.value("reason", suspended.reason.clone().unwrap_or_default());
    }
    details.value("sessions", count(client.sessions));
    details.value("waiting", format!("{} calls", count(client.waiting)));
    if let Some(busiest) = &client.busiest {
        details.value(
            "calls most",
            format!("{}, {} times in the last minute", shown(&busiest.tool), count(busiest.calls_last_minute)),
        );
    }
    details.value("bytes out", bytes(client.traffic.bytes_out));
    super::traffic(&mut details, &client.traffic);
    if let Some(explained) = view.data.explained.as_ref().filter(|explained| explained.client == id) {
        details.heading(format!("Limits that a call of {} meets", explained.tool));
        for limit in &explained.limits {
            let refuses = explained.refuses.as_deref() == Some(limit.name.as_str());
            let role = if refuses { Role::Bad } else { Role::Text };
            let left = match limit.resets_in_ms {
                0 => "none of it used".to_owned(),
                ms => format!("{} left, unused again in {}", count(limit.remaining), span_ms(ms)),
            };
            let (name, now, per, origin) = (&limit.name, &limit.effective, &limit.per, &limit.origin);
            let text = format!("{name}: {now} per {per}, {left} ({origin})");
            details.text(text, role);
        }
    }
    details
}
