//! Screen 1: the gate at a glance. What keys move through are its alerts, its worst servers and its worst tools.

use ratatui::layout::Rect;
use toolgate_admin_api::{Overview, ServerRow, ToolRow};

use super::super::canvas::{Canvas, columns, cut, split_left, split_top, width};
use super::super::graph::{bar, heat, spark};
use super::super::object::{Object, shown};
use super::super::table::{Cell, Column, Listing, Row, TableState};
use super::super::theme::Role;
use super::super::units::{bytes, count, long, percent, rate, short, since, span_us, to_cells, to_float};
use super::{View, words};

/// For sorting and copying only: the screen has a look of its own.
const COLUMNS: &[Column] = &[Column::wide("WHAT", 20, 0), Column::wide("HOW", 20, 0)];

/// What can be selected: alerts, then servers, then tools.
pub(super) fn listing(view: &View<'_>) -> Listing {
    let mut rows = Vec::new();
    if let Some(overview) = &view.data.overview {
        let alerts = overview.alerts.iter().map(|alert| {
            let cells = vec![Cell::new(alert.id.clone()), Cell::new(alert.message.clone())];
            Row::new(Object::Alert(alert.id.clone()), cells)
        });
        let servers = overview.worst_servers.iter().map(|row| {
            let cells = vec![Cell::new(row.status.name.clone()), Cell::new(row.status.state.word())];
            Row::new(Object::Server(row.status.name.clone()), cells).field("server", &row.status.name)
        });
        let tools = overview.worst_tools.iter().map(|row| {
            let cells = vec![Cell::new(row.tool.clone()), Cell::new(row.server.clone())];
            Row::new(Object::Tool(row.server.clone(), row.tool.clone()), cells).field("server", &row.server)
        });
        rows.extend(alerts.chain(servers).chain(tools));
    }
    Listing { columns: COLUMNS, rows, total: None, empty: "" }
}

/// Lines of the map of latencies: one for each bound, one above them, and its rule.
const MAP: u16 = 14;

/// Draws the whole screen.
pub(crate) fn paint(canvas: &mut Canvas<'_>, area: Rect, view: &View<'_>, state: &mut TableState) {
    let listing = listing(view);
    let rows = listing.shown(state);
    state.settle(&rows);
    state.page = 5;
    let Some(overview) = &view.data.overview else {
        canvas.text(area, 4, 1, "Waiting for the daemon's first line.", Role::Dim);
        return;
    };
    let selected = state.selected.as_ref();
    let (across, wide) = (if area.width >= 110 { 6 } else { 3 }, area.width >= 70);
    let roomy = area.height >= 30;
    let alerts = u16::try_from(overview.alerts.len()).unwrap_or(u16::MAX).clamp(1, if roomy { 8 } else { 3 }) + 1;
    let worst = 6;
    // Graphs get what the map of latencies, which has so many lines and no more, leaves over.
    let lines = 6 / across;
    let spare = area.height.saturating_sub(alerts + worst + MAP + 1);
    let servers = u16::try_from(view.data.servers.as_ref().map_or(0, Vec::len)).unwrap_or(u16::MAX).saturating_add(1);
    let spare = spare - servers.min(spare / 2);
    let tile = (spare / lines).clamp(3, if roomy { 20 } else { 4 });
    let (top, rest) = split_top(area, tile * lines);
    tiles(canvas, top, overview, view, across, tile);
    let worst = worst.min(rest.height.saturating_sub(alerts));
    let (middle, rest) = split_top(rest, rest.height.saturating_sub(alerts + worst));
    let (alert_area, worst_area) = split_top(rest, alerts);
    let (middle, strips) = if middle.height > MAP + 3 { split_top(middle, MAP) } else { (middle, Rect::default()) };
    let (left, right) = halves(middle, wide);
    latency(canvas, left, overview, view.at_ms.is_some());
    saturation(canvas, right, overview, view.at_ms.is_some());
    server_strips(canvas, strips, view);
    alert_list(canvas, alert_area, overview, view, selected);
    let (left, right) = halves(worst_area, wide);
    worst_servers(canvas, left, &overview.worst_servers, selected);
    worst_tools(canvas, right, &overview.worst_tools, selected);
}

fn halves(area: Rect, wide: bool) -> (Rect, Rect) {
    if !wide {
        return (area, Rect { width: 0, ..area });
    }
    let (left, right) = split_left(area, area.width / 2);
    let (_, right) = split_left(right, 1);
    (left, right)
}

/// A number with its graph.
struct Tile {
    title: &'static str,
    value: String,
    note: String,
    series: &'static str,
    role: Role,
    /// How the number looks.
    strong: Role,
}

fn tiles(canvas: &mut Canvas<'_>, area: Rect, overview: &Overview, view: &View<'_>, across: u16, height: u16) {
    let all = tile_values(overview, view);
    for (line, tiles) in (0_u16..).zip(all.chunks(usize::from(across))) {
        let (_, below) = split_top(area, line * height);
        let (row, _) = split_top(below, height);
        for (part, tile) in columns(row, across).into_iter().zip(tiles) {
            let (head, body) = split_top(part, 1);
            canvas.text(head, 0, 0, tile.title, Role::Dim);
            let x = width(tile.title) + 1;
            let taken = canvas.text(head, x, 0, &tile.value, tile.strong);
            let room = head.width.saturating_sub(x + taken + 1);
            if width(&tile.note) < room {
                canvas.right(Rect { width: head.width.saturating_sub(1), ..head }, 0, &tile.note, Role::Dim);
            }
            let graph = Rect { width: body.width.saturating_sub(1), ..body };
            spark(canvas, graph, &view.series(tile.series, graph.width), tile.role, view.cursor(graph.width));
        }
    }
}

fn tile_values(overview: &Overview, view: &View<'_>) -> [Tile; 6] {
    let traffic = &overview.traffic;
    let value = |name: &str, now: f64| view.value(name, now);
    let us = |number: f64| span_us(to_cells(number, usize::MAX >> 1) as u64);
    let whole =
        |number: f64| if number.is_nan() { "-".to_owned() } else { count(to_cells(number, usize::MAX >> 1) as u64) };
    let calls = value("calls", traffic.calls_per_second);
    let errors = value("errors", traffic.errors_per_second);
    let refused = value("refused", traffic.refused_per_second);
    let share = if calls > 0.0 { errors / calls } else { 0.0 };
    let trouble = |number: f64| if number > 0.0 { Role::Warn } else { Role::Strong };
    let p99 = value("p99", to_float(traffic.latency.p99_us));
    let tile = |title, value, note, series, role| Tile { title, value, note, series, role, strong: Role::Strong };
    [
        tile("calls/s", rate(calls), format!("{} in all", count(traffic.calls)), "calls", Role::Graph),
        Tile {
            strong: if share > 0.05 { Role::Bad } else { trouble(errors) },
            ..tile("errors/s", rate(errors), percent(share), "errors", Role::Warn)
        },
        Tile { strong: trouble(refused), ..tile("refused/s", rate(refused), String::new(), "refused", Role::Second) },
        tile(
            "p99",
            us(p99),
            format!("p50 {}", us(value("p50", to_float(traffic.latency.p50_us)))),
            "p99",
            Role::Second,
        ),
        tile(
            "in flight",
            whole(value("in_flight", to_float(traffic.in_flight))),
            format!("{} waiting", whole(value("waiting", to_float(overview.waiting)))),
            "in_flight",
            Role::Graph,
        ),
        tile(
            "sessions",
            whole(value("sessions", to_float(overview.status.sessions))),
            format!("{} conns", whole(value("connections", to_float(overview.status.connections)))),
            "sessions",
            Role::Graph,
        ),
    ]
}

fn latency(canvas: &mut Canvas<'_>, area: Rect, overview: &Overview, rewound: bool) {
    let span = match (overview.heat.first(), overview.heat.last()) {
        (Some(first), Some(last)) if last.at_ms > first.at_ms => {
            format!("last {}", long((last.at_ms - first.at_ms) / 1000))
        }
        _ => String::new(),
    };
    canvas.rule(area, 0, if rewound { "Latency now" } else { "Latency" }, &span);
    let (_, map) = split_top(area, 1);
    heat(canvas, map, &overview.heat);
}

/// Cells for the numbers behind a bar.
const NUMBERS: u16 = 16;

fn saturation(canvas: &mut Canvas<'_>, area: Rect, overview: &Overview, rewound: bool) {
    canvas.rule(area, 0, if rewound { "Saturation now" } else { "Saturation" }, &load(overview));
    let (_, body) = split_top(area, 1);
    let name_width = (area.width * 2 / 5).clamp(8, 22);
    for (y, item) in (0..body.height).zip(&overview.saturation) {
        let share = words::share(item.used, item.max);
        let more = canvas.theme.glyphs.more;
        let bar_area = Rect {
            x: body.x.saturating_add(name_width + 1),
            y: body.y + y,
            width: body.width.saturating_sub(name_width + NUMBERS + 2),
            height: 1,
        };
        let role = bar(canvas, bar_area.intersection(body), share);
        let role = if role == Role::Good { Role::Text } else { role };
        canvas.text(body, 0, y, &cut(&item.what, name_width, more), role);
        let amount = match item.what.as_str() {
            "memory" | "disk" => [item.used, item.max].map(|size| bytes(size).replace([' ', 'i', 'B'], "")).join("/"),
            _ => format!("{}/{}", count(item.used), count(item.max)),
        };
        canvas.right(body, y, &format!("{amount} {:>4}", percent(share)), role);
    }
}

/// A line per server with its calls over time, where there is room for more than the worst of them.
fn server_strips(canvas: &mut Canvas<'_>, area: Rect, view: &View<'_>) {
    const NAME: u16 = 24;
    const RATES: u16 = 26;
    let title = format!("Calls by server, last {}", short(view.window_ms / 1000));
    canvas.rule(area, 0, &title, "call/s   err/s      p99");
    let (_, body) = split_top(area, 1);
    for (y, row) in (0..body.height).zip(view.data.servers.as_deref().unwrap_or_default()) {
        let name = &row.status.name;
        let (word, role) = words::server(row.status.state);
        let line = Rect { y: body.y + y, height: 1, ..body };
        let more = canvas.theme.glyphs.more;
        canvas.text(line, 1, 0, &cut(name, NAME - 12, more), Role::Text);
        canvas.text(line, NAME - 10, 0, word, role);
        let (_, graph) = split_left(line, NAME + 1);
        let graph = Rect { width: graph.width.saturating_sub(RATES), ..graph };
        let values = view.series(&format!("calls:{name}"), graph.width);
        spark(canvas, graph, &values, Role::Graph, view.cursor(graph.width));
        let of = |series: &str, now: f64| view.value(&format!("{series}:{name}"), now);
        let p99 = of("p99", to_float(row.traffic.latency.p99_us));
        let numbers = format!(
            "{:>6}{:>8}{:>9}",
            rate(of("calls", row.traffic.calls_per_second)),
            rate(of("errors", row.traffic.errors_per_second)),
            span_us(to_cells(p99, usize::MAX >> 1) as u64)
        );
        canvas.right(Rect { width: line.width.saturating_sub(1), ..line }, 0, &numbers, Role::Text);
    }
}

fn load(overview: &Overview) -> String {
    let process = &overview.process;
    format!("cpu {}  memory {}", percent(process.cpu), bytes(process.memory))
}

fn alert_list(canvas: &mut Canvas<'_>, area: Rect, overview: &Overview, view: &View<'_>, selected: Option<&Object>) {
    canvas.rule(area, 0, "Alerts", "");
    let (_, body) = split_top(area, 1);
    let glyphs = canvas.theme.glyphs;
    if overview.alerts.is_empty() {
        canvas.pieces(body, 1, 0, &[(glyphs.good, Role::Good), (" no alerts", Role::Dim)]);
    }
    let place =
        overview.alerts.iter().position(|alert| selected == Some(&Object::Alert(alert.id.clone()))).unwrap_or(0);
    let first = (place + 1).saturating_sub(usize::from(body.height));
    for (y, alert) in (0..body.height).zip(overview.alerts.iter().skip(first)) {
        let role = words::health(&alert.severity);
        let sign = if role == Role::Bad { glyphs.bad } else { glyphs.warn };
        let seen = alert.acknowledged.as_ref().map_or("", |_| " (seen)");
        let head = format!("{:>4} {}{seen} ", since(alert.since_ms, view.now_ms), alert.severity);
        let x = canvas.pieces(body, 1, y, &[(sign, role), (&head, role)]);
        let room = body.width.saturating_sub(x);
        canvas.text(body, x, y, &cut(&alert.message, room, glyphs.more), Role::Text);
        highlight(canvas, body, y, selected == Some(&Object::Alert(alert.id.clone())));
    }
}

fn worst_servers(canvas: &mut Canvas<'_>, area: Rect, rows: &[ServerRow], selected: Option<&Object>) {
    canvas.rule(area, 0, "Servers to look at", "err/s     p99");
    let (_, body) = split_top(area, 1);
    for (y, row) in (0..body.height).zip(rows) {
        let (word, role) = words::server(row.status.state);
        let errors = rate(row.traffic.errors_per_second);
        let numbers = format!("{errors:>5}{:>9}", span_us(row.traffic.latency.p99_us));
        line(canvas, body, y, &row.status.name, (word, role), &numbers);
        highlight(canvas, body, y, selected == Some(&Object::Server(row.status.name.clone())));
    }
}

fn worst_tools(canvas: &mut Canvas<'_>, area: Rect, rows: &[ToolRow], selected: Option<&Object>) {
    canvas.rule(area, 0, "Tools to look at", "call/s  err/s     p99");
    let (_, body) = split_top(area, 1);
    for (y, row) in (0..body.height).zip(rows) {
        let traffic = &row.traffic;
        let numbers = format!(
            "{:>5}{:>7}{:>9}",
            rate(traffic.calls_per_second),
            rate(traffic.errors_per_second),
            span_us(traffic.latency.p99_us)
        );
        let state = if row.disabled.is_some() { ("disabled", Role::Info) } else { ("", Role::Dim) };
        line(canvas, body, y, &shown(&format!("{}/{}", row.server, row.tool)), state, &numbers);
        highlight(canvas, body, y, selected == Some(&Object::Tool(row.server.clone(), row.tool.clone())));
    }
}

/// A name, a word, and numbers at the right.
fn line(canvas: &mut Canvas<'_>, area: Rect, y: u16, name: &str, (word, role): (&str, Role), numbers: &str) {
    let more = canvas.theme.glyphs.more;
    let room = area.width.saturating_sub(width(numbers) + width(word) + 4);
    canvas.text(area, 1, y, &cut(name, room, more), Role::Text);
    canvas.text(area, room + 2, y, word, role);
    canvas.right(Rect { width: area.width.saturating_sub(1), ..area }, y, numbers, Role::Text);
}

fn highlight(canvas: &mut Canvas<'_>, area: Rect, y: u16, selected: bool) {
    if selected {
        let line = Rect { y: area.y.saturating_add(y), height: 1, ..area };
        canvas.paint(line.intersection(area), canvas.theme.style(Role::Selected));
    }
}
