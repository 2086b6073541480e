//! Screen 5: limits, what they have counted, and what was set for a time.

use toolgate_admin_api::LimitStatus;

use super::super::details::Details;
use super::super::object::Object;
use super::super::table::{Cell, Column, Listing, Row};
use super::super::theme::Role;
use super::super::units::{count, long, percent, rate, short, to_float};
use super::{Screen, View, words};

const COLUMNS: &[Column] = &[
    Column::wide("LIMIT", 18, 0),
    Column::text("PLACE", 14, 5),
    Column::text("PER", 14, 2),
    Column::wide("CONFIGURED", 11, 1),
    Column::wide("NOW", 11, 0),
    Column::number("USED", 6, 0),
    Column::number("OF", 6, 3),
    Column::number("FULL", 5, 2),
    Column::number("KEYS", 6, 6),
    Column::number("REF/S", 6, 0),
    Column::number("REFUSED", 8, 5),
    Column::number("ENDS IN", 7, 1),
    Column::text("SET BY", 12, 7),
    Column::wide("MOST REFUSED", 18, 4),
];

/// Limits by place.
pub(super) fn listing(view: &View<'_>) -> Listing {
    let limits = view.data.limits.as_ref();
    let empty = match limits {
        Some(_) => {
            "There are no limits. toolgate.toml(5) has examples; a limit for one client or tool is set for a time with L on screens 4 and 6."
        }
        None => "Waiting for the daemon to tell of limits.",
    };
    let rows = limits.map(|all| all.limits.iter().map(|limit| row(limit, view)).collect()).unwrap_or_default();
    Listing { columns: COLUMNS, rows, total: None, empty }
}

fn row(limit: &LimitStatus, view: &View<'_>) -> Row {
    let full = words::fullness(limit.used, limit.capacity);
    let now = if limit.set.is_some() { Role::Info } else { Role::Text };
    let cells = vec![
        Cell::new(limit.name.clone()).role(Role::Strong),
        Cell::new(limit.place.clone()).role(Role::Dim),
        Cell::new(limit.per.clone()),
        Cell::new(limit.configured.clone()).role(Role::Dim),
        Cell::new(limit.effective.clone()).role(now),
        Cell::count(limit.used).role(full),
        Cell::count(limit.capacity),
        Cell::number(percent(words::share(limit.used, limit.capacity)), words::share(limit.used, limit.capacity))
            .role(full),
        Cell::count(limit.keys),
        Cell::rate(limit.rejected_per_second).role(words::problems(limit.rejected_per_second)),
        Cell::count(limit.rejected).role(words::problems(to_float(limit.rejected))),
        limit.set.as_ref().map_or_else(Cell::none, |set| {
            Cell::number(short(set.expires_in_seconds), to_float(set.expires_in_seconds)).role(Role::Info)
        }),
        Cell::new(limit.set.as_ref().map_or_else(String::new, |set| set.who.clone())).role(Role::Dim),
        Cell::new(limit.top.first().map_or_else(String::new, |top| told(&top.key, view))).role(Role::Dim),
    ];
    let row = Row::new(Object::Limit(limit.name.clone()), cells)
        .field("limit", &limit.name)
        .field("place", &limit.place)
        .field("per", &limit.per);
    limit.top.iter().flat_map(|top| parts(&top.key)).fold(row, |row, (name, value)| match name {
        "client" => row.field("client", value),
        "tool" => row.field("tool", value),
        "server" => row.field("server", value),
        _ => row,
    })
}

/// `client=key:abcd, tool=weather/forecast` in parts.
fn parts(key: &str) -> impl Iterator<Item = (&str, &str)> {
    key.split(", ").filter_map(|part| part.split_once('='))
}

/// The same for people: owners instead of ids, and no names of what is plain.
fn told(key: &str, view: &View<'_>) -> String {
    let part = |part: &str| match part.split_once('=') {
        Some(("client", id)) => view.data.who(id).to_owned(),
        Some((_, value)) => value.to_owned(),
        None => part.to_owned(),
    };
    key.split(", ").map(part).collect::<Vec<_>>().join(", ")
}

/// The client that a limit refuses most; the limit itself says no more.
pub(super) fn below(name: &str, view: &View<'_>) -> Option<(Screen, String)> {
    let limits = view.data.limits.as_ref()?;
    let limit = limits.limits.iter().find(|limit| limit.name == name)?;
    let (_, client) = limit.top.iter().flat_map(|top| parts(&top.key)).find(|(name, _)| *name == "client")?;
    Some((Screen::Clients, format!("client={client}")))
}

/// Everything about a limit.
pub(super) fn details(name: &str, view: &View<'_>) -> Details {
    let mut details = Details::default();
    let limits = view.data.limits.as_ref().map(|view| view.limits.as_slice()).unwrap_or_default();
    let Some(limit) = limits.iter().find(|limit| limit.name == name) else { return details };
    details.heading(name);
    details.value("stands in", limit.place.as_str());
    details.value("per", limit.per.as_str());
    details.value("counts", limit.counted.as_str());
    details.value("configured", limit.configured.as_str());
    details.pair("now", limit.effective.as_str(), if limit.set.is_some() { Role::Info } else { Role::Text });
    if let Some(set) = &limit.set {
        details.pair("set by", format!("{}, for another {}", set.who, long(set.expires_in_seconds)), Role::Info);
        details.value("reason", set.reason.clone().unwrap_or_default());
    }
    let used = format!("{} of {} by the key that used most", count(limit.used), count(limit.capacity));
    details.pair("used", used, words::fullness(limit.used, limit.capacity));
    details.value("keys", format!("{} remembered", count(limit.keys)));
    details.value(
        "refused",
        format!("{} per second, {} since it is there", rate(limit.rejected_per_second), count(limit.rejected)),
    );
    if !limit.top.is_empty() {
        details.heading("Refused most");
        for top in &limit.top {
            let whose = parts(&top.key).find(|(name, _)| *name == "client").and_then(|(_, id)| view.data.owner(id));
            let whose = whose.map_or_else(String::new, |owner| format!("  ({owner})"));
            details.text(format!("{:>7}  {}{whose}", count(top.rejected), top.key), Role::Text);
        }
    }
    details
}
