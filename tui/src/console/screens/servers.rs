//! Screen 2: servers, with their endpoints and instances below them.

pub(super) mod instances;

use ratatui::layout::Rect;
use toolgate_admin_api::{EndpointStatus, Era, ServerRow, ServerStatus};

use super::super::canvas::{Canvas, columns, split_top};
use super::super::details::Details;
use super::super::graph::spark;
use super::super::object::Object;
use super::super::table::{Cell, Column, Listing, Row};
use super::super::theme::Role;
use super::super::units::{bytes, count, date, rate, short, span_ms, span_us, to_cells, to_float};
use super::{View, words};

const COLUMNS: &[Column] = &[
    Column::wide("SERVER", 18, 0),
    Column::text("STATE", 11, 0),
    Column::text("KIND", 5, 9),
    Column::number("IN FL", 7, 1),
    Column::number("QUEUE", 9, 2),
    Column::number("CALL/S", 6, 0),
    Column::number("ERR/S", 6, 1),
    Column::number("REF/S", 6, 7),
    Column::number("P50", 8, 8),
    Column::number("P99", 8, 0),
    Column::text("BREAKER", 12, 3),
    Column::number("SESS", 5, 6),
    Column::number("INST", 7, 5),
    Column::number("MEMORY", 7, 4),
    Column::number("CHECK", 6, 10),
    Column::wide("REASON", 12, 11),
];

/// Servers by name, each with what belongs to it.
pub(super) fn listing(view: &View<'_>) -> Listing {
    let servers = view.data.servers.as_deref().unwrap_or_default();
    let rows = servers.iter().flat_map(|row| std::iter::once(server(row, view)).chain(members(row))).collect();
    let empty = match view.data.servers {
        Some(_) => {
            "There are no servers. `toolgate server add NAME URL` adds the first one; toolgate.toml(5) has examples."
        }
        None => "Waiting for the daemon to tell of its servers.",
    };
    Listing { columns: COLUMNS, rows, total: None, empty }
}

fn server(row: &ServerRow, view: &View<'_>) -> Row {
    let status = &row.status;
    let of = |name: &str, now: f64| view.value(&format!("{name}:{}", status.name), now);
    let (state, state_role) = words::server(status.state);
    let traffic = &row.traffic;
    let errors = of("errors", traffic.errors_per_second);
    let in_flight = whole(of("in_flight", to_float(status.in_flight)));
    let waiting = whole(of("waiting", to_float(status.waiting)));
    let name = if status.critical { format!("{}*", status.name) } else { status.name.clone() };
    let cells = vec![
        Cell::new(name).role(Role::Strong),
        Cell::new(state).role(state_role),
        Cell::new(status.transport.word()).role(Role::Dim),
        used(in_flight, row.max_calls),
        used(waiting, (row.max_waiting > 0).then_some(row.max_waiting)),
        Cell::rate(of("calls", traffic.calls_per_second)),
        Cell::rate(errors).role(words::problems(errors)),
        Cell::rate(traffic.refused_per_second).role(words::problems(traffic.refused_per_second)),
        Cell::span_us(traffic.latency.p50_us),
        Cell::span_us(whole(of("p99", to_float(traffic.latency.p99_us)))),
        worst_breaker(&status.endpoints),
        status.sessions.map_or_else(Cell::none, Cell::count),
        status.instances.as_ref().map_or_else(Cell::none, instances::running),
        status.instances.as_ref().and_then(instances::memory).map_or_else(Cell::none, Cell::bytes),
        last_check(&status.endpoints),
        Cell::new(reason(&row.status).unwrap_or_default()).role(Role::Dim),
    ];
    Row::new(Object::Server(status.name.clone()), cells)
        .field("server", &status.name)
        .field("state", state)
        .field("kind", status.transport.word())
}

/// Why a server is not up: what the newest bad check found says more than that checks fail.
fn reason(status: &ServerStatus) -> Option<String> {
    let reason = status.reason.as_deref()?;
    let found = status.endpoints.iter().find_map(found);
    Some(found.map_or_else(|| reason.to_owned(), |found| format!("{reason}: {found}")))
}

/// What the newest check of an endpoint found wrong, without the URL that stands beside it.
fn found(endpoint: &EndpointStatus) -> Option<&str> {
    let problem = endpoint.last_check.as_ref()?.problem.as_deref()?;
    let behind = endpoint.url.as_deref().and_then(|url| problem.rsplit_once(url));
    Some(behind.map_or(problem, |(_, rest)| rest.trim()))
}

/// A number that a graph knows as a float.
fn whole(number: f64) -> u64 {
    to_cells(number.round(), usize::MAX >> 1) as u64
}

fn used(used: u64, max: Option<u64>) -> Cell {
    match max {
        Some(max) => {
            Cell::number(format!("{}/{}", count(used), count(max)), to_float(used)).role(words::fullness(used, max))
        }
        None => Cell::count(used),
    }
}

/// The breaker that an operator should look at first.
fn worst_breaker(endpoints: &[EndpointStatus]) -> Cell {
    use toolgate_admin_api::BreakerState as State;
    let rank = |state: State| match state {
        State::Open => 5,
        State::ForcedOpen => 4,
        State::HalfOpen => 3,
        State::ForcedClosed => 2,
        State::Closed | State::Unknown => 1,
    };
    let breakers = endpoints.iter().filter_map(|endpoint| endpoint.breaker.as_ref());
    let Some(worst) = breakers.max_by_key(|breaker| rank(breaker.state)) else { return Cell::new("-").role(Role::Dim) };
    let (word, role) = words::breaker(worst.state);
    match worst.retry_in_ms.filter(|_| worst.state == State::Open) {
        Some(left) => Cell::new(format!("{word} {}", short(left.div_ceil(1000)))).role(role),
        None => Cell::new(word).role(role),
    }
}

fn last_check(endpoints: &[EndpointStatus]) -> Cell {
    let newest = endpoints.iter().filter_map(|endpoint| endpoint.last_check.as_ref()).min_by_key(|check| check.age_ms);
    newest.map_or_else(Cell::none, |check| {
        let role = if check.problem.is_some() { Role::Bad } else { Role::Dim };
        Cell::number(short(check.age_ms / 1000), to_float(check.age_ms)).role(role)
    })
}

/// Endpoints, where there are several or one that needs a look, and instances.
fn members(row: &ServerRow) -> Vec<Row> {
    let status = &row.status;
    let endpoints = status.endpoints.iter().filter(|endpoint| endpoint.url.is_some());
    let instances = status.instances.iter().flat_map(|instances| &instances.each);
    endpoints
        .map(|endpoint| self::endpoint(&status.name, endpoint))
        .chain(instances.map(|instance| instances::row(&status.name, instance)))
        .map(|row| row.field("server", &status.name).below())
        .collect()
}

fn endpoint(server: &str, endpoint: &EndpointStatus) -> Row {
    let (mode, mode_role) = words::mode(endpoint.mode);
    let (state, role) = match &endpoint.trouble {
        Some(_) if mode == "ready" => ("failing", Role::Bad),
        None if mode == "ready" && slow_check(endpoint).is_some() => ("slow", Role::Warn),
        _ => (mode, mode_role),
    };
    let url = endpoint.url.as_deref().map(brief).unwrap_or_default().to_owned();
    let mut cells = vec![
        Cell::new(url),
        Cell::new(state).role(role),
        Cell::new(if endpoint.weight == 1 { String::new() } else { format!("x{}", endpoint.weight) }).role(Role::Dim),
        endpoint.in_flight.map_or_else(Cell::none, Cell::count),
    ];
    cells.extend((4..10).map(|_| Cell::new("")));
    cells.push(worst_breaker(std::slice::from_ref(endpoint)));
    cells.push(endpoint.sessions.map_or_else(Cell::none, Cell::count));
    cells.extend([Cell::new(""), Cell::new(""), last_check(std::slice::from_ref(endpoint))]);
    cells.push(match (&endpoint.trouble, slow_check(endpoint)) {
        (None, Some(ms)) => Cell::new(format!("its last check took {}", span_ms(ms))).role(Role::Warn),
        (trouble, _) => {
            let found = trouble.as_ref().and_then(|_| found(endpoint)).map(str::to_owned);
            Cell::new(found.or_else(|| trouble.clone()).unwrap_or_default()).role(Role::Dim)
        }
    });
    Row::new(Object::Endpoint(server.to_owned(), endpoint.url.clone()), cells).field("state", state)
}

fn took(ms: u64) -> String {
    if ms == 0 { "less than 1 ms".to_owned() } else { span_ms(ms) }
}

/// Milliseconds of a check that nobody should have to wait for.
fn slow_check(endpoint: &EndpointStatus) -> Option<u64> {
    const SLOW_MS: u64 = 1_000;
    endpoint.last_check.as_ref().map(|check| check.took_ms).filter(|took| *took >= SLOW_MS)
}

/// What tells endpoints apart: scheme and the usual path do not.
pub(super) fn brief(url: &str) -> &str {
    let url = url.split_once("://").map_or(url, |(_, rest)| rest);
    url.strip_suffix("/mcp").unwrap_or(url)
}

/// Lines of the graphs, their rule included.
const GRAPHS: u16 = 6;

/// What a graph is called, its series, how its newest value is written, and its look.
type Graph = (&'static str, &'static str, fn(f64) -> String, Role);

/// Graphs of the selected server below the table, where there is room for both.
pub(super) fn around(canvas: &mut Canvas<'_>, area: Rect, view: &View<'_>, selected: Option<&Object>) -> Rect {
    let Some(name) = selected.and_then(Object::server) else { return area };
    if area.height < 22 {
        return area;
    }
    let (table, graphs) = split_top(area, area.height - GRAPHS);
    canvas.rule(graphs, 0, name, &format!("last {}", short(view.window_ms / 1000)));
    let (_, graphs) = split_top(graphs, 1);
    let latency: Graph = ("p99", "p99", |number| span_us(whole(number)), Role::Second);
    let errors: Graph = ("errors/s", "errors", rate, Role::Warn);
    let mut shown: Vec<Graph> = vec![("calls/s", "calls", rate, Role::Graph)];
    // Of a command, what grows and grows is what an operator has to see.
    match view.data.server(name).and_then(|row| row.status.instances.as_ref()) {
        Some(_) => shown.extend([latency, ("memory", "memory", |number| bytes(whole(number)), Role::Warn), errors]),
        None => shown.extend([errors, latency, ("in flight", "in_flight", |number| count(whole(number)), Role::Graph)]),
    }
    let fit = if area.width >= 100 { 4 } else { 3 };
    for (part, (title, series, format, role)) in columns(graphs, fit).into_iter().zip(shown) {
        let (head, body) = split_top(part, 1);
        let values = view.series(&format!("{series}:{name}"), part.width);
        let back = view.cursor(part.width);
        let shown = match back {
            Some(back) => values.iter().rev().nth(back).copied().flatten(),
            None => values.iter().rev().flatten().next().copied(),
        };
        canvas.text(head, 0, 0, title, Role::Dim);
        canvas.right(head, 0, &shown.map_or_else(|| "-".to_owned(), format), Role::Strong);
        spark(canvas, body, &values, role, back);
    }
    table
}

/// Everything about a server.
pub(super) fn details(name: &str, view: &View<'_>) -> Details {
    let mut details = Details::default();
    let Some(row) = view.data.server(name) else { return details };
    let status = &row.status;
    let (state, role) = words::server(status.state);
    details.heading(name);
    details.pieces(
        "state",
        vec![(state.to_owned(), role), (format!("  {}", reason(status).unwrap_or_default()), Role::Text)],
    );
    details.value(
        "kind",
        format!(
            "{}, {}{}",
            status.transport.word(),
            status.era.map_or("era not known yet", Era::word),
            if status.critical { ", readiness requires it" } else { "" }
        ),
    );
    if let Some(pool) = status.connections {
        let waits =
            if pool.waiting > 0 { format!(", {} calls wait for one", count(pool.waiting)) } else { String::new() };
        details.value("connections", format!("{} of {}{waits}", count(pool.open), count(pool.max)));
    }
    queue(&mut details, row, view);
    if let Some(counted) = &status.instances {
        let told = view.data.inspected.get(name).and_then(|told| told.instances.as_ref());
        instances::lines(&mut details, counted, told);
    }
    for endpoint in &status.endpoints {
        endpoint_lines(&mut details, endpoint);
    }
    super::traffic(&mut details, &row.traffic);
    if let Some(p99) = view.data.past.usual(&format!("p99:{name}")) {
        details.value("usual p99", format!("{}, by the time that graphs show (z widens it)", span_us(whole(p99))));
    }
    if let Some(cache) = &row.cache {
        details.heading("Cache");
        details.value(
            "kept",
            format!("{} answers, {} of {}", count(cache.entries), bytes(cache.bytes), bytes(cache.max_bytes)),
        );
        details.value(
            "asked",
            format!(
                "{} hits, {} misses, {} shared, {} stale",
                count(cache.hits),
                count(cache.misses),
                count(cache.shared),
                count(cache.stale)
            ),
        );
    }
    details
}

fn queue(details: &mut Details, row: &ServerRow, view: &View<'_>) {
    let max = row.max_calls.map_or_else(|| "no bound".to_owned(), |max| format!("of {}", count(max)));
    details.value("in flight", format!("{} {max}", count(row.status.in_flight)));
    let oldest =
        if row.status.waiting > 0 { format!(", the first for {}", span_ms(row.oldest_ms)) } else { String::new() };
    let queues = view.data.queues.as_ref().map(|queues| queues.servers.as_slice()).unwrap_or_default();
    let queue = queues.iter().find(|queue| queue.server == row.status.name);
    let deadline = queue.map(|queue| queue.timeout_ms).filter(|deadline| *deadline > 0);
    let deadline = deadline.map_or_else(String::new, |deadline| format!(", none longer than {}", span_ms(deadline)));
    let by_hand = if queue.is_some_and(|queue| queue.by_hand) { " (set by hand)" } else { "" };
    let waiting = format!("{} of {}{deadline}{by_hand}{oldest}", count(row.status.waiting), count(row.max_waiting));
    details.value("waiting", waiting);
    let Some(queue) = queue else { return };
    let mut clients: Vec<(&str, u64)> = Vec::new();
    for call in &queue.calls {
        match clients.iter_mut().find(|(client, _)| *client == call.client) {
            Some((_, calls)) => *calls += 1,
            None => clients.push((&call.client, 1)),
        }
    }
    clients.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    for (client, calls) in clients.into_iter().take(5) {
        let whose = view.data.owner(client).map_or_else(String::new, |owner| format!(" ({owner})"));
        details.value("", format!("{calls} of {client}{whose}"));
    }
}

/// Everything about an endpoint.
pub(super) fn endpoint_details(server: &str, url: Option<&str>, view: &View<'_>) -> Details {
    let mut details = Details::default();
    let endpoints = view.data.server(server).map(|row| row.status.endpoints.as_slice()).unwrap_or_default();
    if let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.url.as_deref() == url) {
        endpoint_lines(&mut details, endpoint);
    }
    details
}

fn endpoint_lines(details: &mut Details, endpoint: &EndpointStatus) {
    let (mode, role) = words::mode(endpoint.mode);
    details.heading(endpoint.url.as_deref().unwrap_or("All instances"));
    details.pair("mode", mode, role);
    if let Some(trouble) = &endpoint.trouble {
        details.pair("trouble", trouble.as_str(), Role::Bad);
    }
    details.value("weight", endpoint.weight.to_string());
    for held in &endpoint.by_hand {
        let why = held.reason.as_deref().map_or_else(String::new, |why| format!(": {why}"));
        details.value("by hand", format!("{}, since {}, by {}{why}", held.what, date(held.since_ms), held.who));
    }
    if let Some(breaker) = &endpoint.breaker {
        let (word, role) = words::breaker(breaker.state);
        let retry =
            breaker.retry_in_ms.map_or_else(String::new, |ms| format!(", a call is let through in {}", span_ms(ms)));
        details.pieces(
            "breaker",
            vec![(word.to_owned(), role), (format!("{retry}, opened {} times", breaker.opened), Role::Text)],
        );
        details.value("", breaker.cause.clone().unwrap_or_default());
    }
    if let Some(check) = &endpoint.last_check {
        let what = check.problem.as_deref().unwrap_or("it went well");
        let role = match &check.problem {
            Some(_) => Role::Bad,
            None if slow_check(endpoint).is_some() => Role::Warn,
            None => Role::Text,
        };
        details.pair(
            "last check",
            format!("{} ago, took {}: {what}", short(check.age_ms / 1000), took(check.took_ms)),
            role,
        );
    }
}
