//! Screen 4: tools, who calls them, and what they have become.

use similar::{ChangeTag, TextDiff};
use toolgate_admin_api::{ToolChange, ToolRow};

use super::super::details::Details;
use super::super::object::{Object, shown};
use super::super::table::{Cell, Column, Listing, Row};
use super::super::theme::Role;
use super::super::units::{bytes, count, date, rate, since, to_float, until};
use super::{View, words};

pub(super) const COLUMNS: &[Column] = &[
    Column::wide("TOOL", 22, 0).by("tool"),
    Column::text("SERVER", 12, 1).by("server"),
    Column::number("CALL/S", 6, 0).by("rate"),
    Column::number("ERR/S", 6, 1).by("error_rate"),
    Column::number("REF/S", 6, 3).by("refused_rate"),
    Column::number("P50", 8, 5).by("p50"),
    Column::number("P99", 8, 0).by("p99"),
    Column::number("CALLS", 6, 4).by("calls"),
    Column::number("ERRORS", 6, 4).by("errors"),
    Column::number("DENIED", 6, 6).by("refused"),
    Column::number("IN FL", 5, 7).by("in_flight"),
    Column::number("LARGEST", 8, 8).by("largest"),
    Column::number("CHANGED", 7, 6).by("changed"),
    Column::text("STATE", 9, 1),
    Column::wide("MOST BY", 14, 3),
];

/// Tools as the daemon sorted them.
pub(super) fn listing(view: &View<'_>) -> Listing {
    let tools = view.data.tools.as_ref();
    let empty = match tools {
        Some(_) => {
            "No tool was listed or called yet. Tools are known once a client, or `toolgate server try NAME`, lists them."
        }
        None => "Waiting for the daemon to tell of tools.",
    };
    let rows = tools.map(|tools| tools.tools.iter().map(|tool| row(tool, view)).collect()).unwrap_or_default();
    Listing { columns: COLUMNS, rows, total: tools.map(|tools| tools.total), empty }
}

fn state(tool: &ToolRow) -> (&'static str, Role) {
    match tool {
        ToolRow { disabled: Some(_), .. } => ("disabled", Role::Info),
        ToolRow { withheld: true, .. } => ("withheld", Role::Bad),
        ToolRow { changed_ms: Some(_), .. } => ("changed", Role::Warn),
        _ => ("on", Role::Dim),
    }
}

fn row(tool: &ToolRow, view: &View<'_>) -> Row {
    let traffic = &tool.traffic;
    let (word, role) = state(tool);
    let most = tool.callers.first().map_or_else(String::new, |caller| shown(view.data.who(&caller.client)));
    let cells = vec![
        Cell::new(shown(&tool.tool)).role(Role::Strong),
        Cell::new(shown(&tool.server)),
        Cell::rate(traffic.calls_per_second),
        Cell::rate(traffic.errors_per_second).role(words::problems(traffic.errors_per_second)),
        Cell::rate(traffic.refused_per_second).role(words::problems(traffic.refused_per_second)),
        Cell::span_us(traffic.latency.p50_us),
        Cell::span_us(traffic.latency.p99_us),
        Cell::count(traffic.calls),
        Cell::count(traffic.errors).role(words::problems(to_float(traffic.errors))),
        Cell::count(traffic.refused),
        Cell::count(traffic.in_flight),
        Cell::bytes(tool.largest),
        tool.changed_ms.map_or_else(Cell::none, |at| {
            Cell::number(since(at, view.now_ms), to_float(view.now_ms.saturating_sub(at)))
        }),
        Cell::new(word).role(role),
        Cell::new(most).role(Role::Dim),
    ];
    let row = Row::new(Object::Tool(tool.server.clone(), tool.tool.clone()), cells)
        .field("tool", format!("{}/{}", tool.server, tool.tool))
        .field("tool", &tool.tool)
        .field("server", &tool.server)
        .field("state", word);
    tool.callers
        .iter()
        .fold(row, |row, caller| row.field("client", &caller.client).field("client", view.data.who(&caller.client)))
}

/// Everything about a tool.
pub(super) fn details(server: &str, name: &str, view: &View<'_>) -> Details {
    let mut details = Details::default();
    let listed = view.data.tools.as_ref().map(|tools| tools.tools.as_slice()).unwrap_or_default();
    let worst = view.data.overview.as_ref().map(|overview| overview.worst_tools.as_slice()).unwrap_or_default();
    let Some(tool) = listed.iter().chain(worst).find(|tool| tool.server == server && tool.tool == name) else {
        return details;
    };
    details.heading(shown(&format!("{server}/{name}")));
    if let Some(words) = &tool.disabled {
        let length = tool.disabled_until_ms.map_or_else(String::new, |at| format!(", for {}", until(at, view.now_ms)));
        details.pair("disabled", format!("callers read: {words}{length}"), Role::Info);
    }
    if tool.withheld {
        details.pair("withheld", "it changed, and clients do not get it until that is approved (A)", Role::Bad);
    }
    details.value("largest", format!("{} in one answer", bytes(tool.largest)));
    super::traffic(&mut details, &tool.traffic);
    if !tool.callers.is_empty() {
        details.heading("Called in the last hour by");
        for caller in &tool.callers {
            let whose = view.data.owner(&caller.client).map_or_else(String::new, |owner| format!("  ({owner})"));
            details.text(format!("{:>7}  {}{whose}", count(caller.calls), shown(&caller.client)), Role::Text);
        }
    }
    let changes = view.data.changes.as_ref().map(|changes| changes.changes.as_slice()).unwrap_or_default();
    if let Some(change) = changes.iter().find(|change| change.server == server && change.tool == name) {
        changed(&mut details, change);
    }
    if tool.traffic.calls == 0 {
        details.value("rate", format!("{}/s", rate(0.0)));
    }
    details
}

/// What was accepted, and what it is now, line by line.
fn changed(details: &mut Details, change: &ToolChange) {
    details.heading(format!("Changed {}, accepted {}", date(change.changed_at_ms), date(change.accepted_at_ms)));
    let (before, after) = (pretty(&change.before), pretty(&change.after));
    for change in TextDiff::from_lines(&before, &after).iter_all_changes() {
        let (sign, role) = match change.tag() {
            ChangeTag::Delete => ("-", Role::Bad),
            ChangeTag::Insert => ("+", Role::Good),
            ChangeTag::Equal => (" ", Role::Dim),
        };
        details.text(format!("{sign} {}", change.value().trim_end()), role);
    }
}

/// JSON on several lines, so that a change is a line; what is cut is left as it is.
fn pretty(text: &str) -> String {
    serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| text.to_owned())
}
