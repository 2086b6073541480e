//! The nine screens: what each lists, what it shows of the selected row, and where Enter leads.
//!
//! A screen only reads. It gets a [`View`] and answers with a [`Listing`] and [`Details`]; the frame around it, keys and
//! overlays are the same for all.

mod clients;
mod config;
mod health;
mod limits;
mod overview;
mod requests;
mod servers;
mod sessions;
mod tools;
mod words;

use ratatui::layout::Rect;
use toolgate_admin_api::Traffic;

use super::canvas::Canvas;
use super::data::Data;
use super::details::Details;
use super::filter::Filter;
use super::object::Object;
use super::table::{Listing, TableState};
use super::theme::Role;

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Screen {
    Overview,
    Servers,
    Sessions,
    Tools,
    Limits,
    Clients,
    Health,
    Requests,
    Config,
}

/// What a screen is drawn from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) data: &'a Data,
    /// In milliseconds since 1970.
    pub(crate) now_ms: u64,
    /// The moment that the time line points at; absent: now.
    pub(crate) at_ms: Option<u64>,
    /// The span of time of graphs, in milliseconds.
    pub(crate) window_ms: u64,
    /// Which of the screen's views.
    pub(crate) part: usize,
}

impl View<'_> {
    /// The end of the graphs' span.
    pub(crate) fn graphs_end(&self) -> u64 {
        match self.at_ms {
            Some(at_ms) => self.now_ms.min(at_ms.saturating_add(self.window_ms / 2)),
            None => self.now_ms,
        }
    }

    /// A series as so many columns.
    pub(crate) fn series(&self, name: &str, columns: u16) -> Vec<Option<f64>> {
        let end = self.graphs_end();
        self.data.past.span(name, end.saturating_sub(self.window_ms), end, usize::from(columns))
    }

    /// How many columns before the last one the time line points at.
    pub(crate) fn cursor(&self, columns: u16) -> Option<usize> {
        let back = self.graphs_end().saturating_sub(self.at_ms?);
        usize::try_from(back * u64::from(columns) / self.window_ms.max(1)).ok()
    }

    /// A number of the gate or a server at the moment that is shown.
    pub(crate) fn value(&self, name: &str, now: f64) -> f64 {
        match self.at_ms {
            Some(at_ms) => self.data.past.at(name, at_ms).unwrap_or(f64::NAN),
            None => now,
        }
    }
}

impl Screen {
    /// In the order of their keys.
    pub(crate) const ALL: [Self; 9] = [
        Self::Overview,
        Self::Servers,
        Self::Sessions,
        Self::Tools,
        Self::Limits,
        Self::Clients,
        Self::Health,
        Self::Requests,
        Self::Config,
    ];

    /// Its place in [`Screen::ALL`].
    pub(crate) fn index(self) -> usize {
        Self::ALL.iter().position(|screen| *screen == self).unwrap_or(0)
    }

    /// For people, and in commands in small letters.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Servers => "Servers",
            Self::Sessions => "Sessions",
            Self::Tools => "Tools",
            Self::Limits => "Limits",
            Self::Clients => "Clients",
            Self::Health => "Health",
            Self::Requests => "Requests",
            Self::Config => "Config",
        }
    }

    /// What it shows one of at a time; one view has no name.
    pub(crate) fn views(self) -> &'static [&'static str] {
        match self {
            Self::Health => health::VIEWS,
            Self::Requests => requests::VIEWS,
            Self::Config => config::VIEWS,
            _ => &[""],
        }
    }

    /// The topics of the watch that it needs besides the overview.
    pub(crate) fn topics(self) -> &'static [&'static str] {
        match self {
            Self::Overview => &["servers"],
            Self::Servers => &["servers", "queues"],
            Self::Sessions => &["sessions"],
            Self::Tools => &["tools"],
            Self::Limits => &["limits"],
            Self::Clients => &["clients"],
            Self::Health => &["health", "servers"],
            Self::Requests => &["calls"],
            Self::Config => &["config"],
        }
    }

    /// What the daemon cuts to its longest rows: the topic's name.
    pub(crate) fn long_topic(self) -> Option<&'static str> {
        match self {
            Self::Sessions => Some("sessions"),
            Self::Tools => Some("tools"),
            Self::Clients => Some("clients"),
            Self::Requests => Some("calls"),
            _ => None,
        }
    }

    /// The order in which its table begins.
    pub(crate) fn table(self) -> TableState {
        match self {
            Self::Sessions => TableState::sorted(5, false),
            Self::Tools => TableState::sorted(2, true),
            Self::Clients => TableState::sorted(4, true),
            Self::Requests => TableState::following(),
            _ => TableState::default(),
        }
    }

    /// The columns of a table that the daemon may cut.
    pub(crate) fn columns(self) -> &'static [super::table::Column] {
        match self {
            Self::Sessions => sessions::COLUMNS,
            Self::Tools => tools::COLUMNS,
            Self::Clients => clients::COLUMNS,
            Self::Requests => requests::COLUMNS,
            _ => &[],
        }
    }

    /// Its rows.
    pub(crate) fn listing(self, view: &View<'_>, filter: &Filter) -> Listing {
        match self {
            Self::Overview => overview::listing(view),
            Self::Servers => servers::listing(view),
            Self::Sessions => sessions::listing(view),
            Self::Tools => tools::listing(view),
            Self::Limits => limits::listing(view),
            Self::Clients => clients::listing(view, filter),
            Self::Health => health::listing(view),
            Self::Requests => requests::listing(view),
            Self::Config => config::listing(view),
        }
    }

    /// Draws what is above and below its table; says what is left for the table.
    pub(crate) fn around(
        self,
        canvas: &mut Canvas<'_>,
        area: Rect,
        view: &View<'_>,
        selected: Option<&Object>,
    ) -> Rect {
        match self {
            Self::Servers => servers::around(canvas, area, view, selected),
            _ => area,
        }
    }

    /// Where Enter leads from a row: another screen with a filter, or none where there is only more to read.
    pub(crate) fn below(object: &Object, view: &View<'_>, filter: &Filter) -> Option<(Self, String)> {
        match object {
            Object::Server(name) => Some(match view.data.server(name).and_then(|row| row.status.sessions) {
                Some(0) | None => (Self::Requests, format!("server={name}")),
                Some(_) => (Self::Sessions, format!("server={name}")),
            }),
            Object::Endpoint(server, _) => Some((Self::Requests, format!("server={server}"))),
            Object::Session(id) => Some((Self::Requests, format!("session={id}"))),
            Object::Tool(server, tool) => Some((Self::Clients, format!("tool={server}/{tool}"))),
            Object::Client(id) => Some(clients::below(id, view, filter)),
            Object::Limit(name) => limits::below(name, view),
            Object::Alert(id) | Object::Check(id) => health::below(id, view),
            Object::Instance(..)
            | Object::Certificate(..)
            | Object::Call(_)
            | Object::Value(_)
            | Object::Problem(_)
            | Object::Record(_) => None,
        }
    }
}

/// Everything about a thing.
pub(crate) fn details(object: &Object, view: &View<'_>) -> Details {
    match object {
        Object::Server(name) => servers::details(name, view),
        Object::Instance(name, pid) => servers::instances::details(name, *pid, view),
        Object::Endpoint(name, url) => servers::endpoint_details(name, url.as_deref(), view),
        Object::Session(id) => sessions::details(id, view),
        Object::Tool(server, tool) => tools::details(server, tool, view),
        Object::Limit(name) => limits::details(name, view),
        Object::Client(id) => clients::details(id, view),
        Object::Alert(_) | Object::Check(_) | Object::Certificate(..) => health::details(object, view),
        Object::Call(id) => requests::details(id, view),
        Object::Value(_) | Object::Problem(_) | Object::Record(_) => config::details(object, view),
    }
}

pub(crate) use overview::paint as paint_overview;

/// Whose something is: the owner that people know, and the id that commands take.
fn client(details: &mut Details, id: &str, view: &View<'_>) {
    match view.data.owner(id) {
        Some(owner) => {
            details.pieces("client", vec![(owner.to_owned(), Role::Strong), (format!("  {id}"), Role::Text)])
        }
        None => details.pair("client", id, Role::Strong),
    };
}

/// Lines about how much something does and how long it takes.
fn traffic(details: &mut Details, traffic: &Traffic) {
    use super::units::{bytes, count, rate, span_us};
    let problem = |number: f64| if number > 0.0 { Role::Warn } else { Role::Text };
    details.heading("Traffic");
    details.pieces(
        "now",
        vec![
            (format!("{}/s", rate(traffic.calls_per_second)), Role::Strong),
            (format!("   errors {}/s", rate(traffic.errors_per_second)), problem(traffic.errors_per_second)),
            (format!("   refused {}/s", rate(traffic.refused_per_second)), problem(traffic.refused_per_second)),
            (format!("   in flight {}", count(traffic.in_flight)), Role::Text),
        ],
    );
    details.value(
        "since start",
        format!(
            "{} calls, {} errors, {} refused, {} in, {} out",
            count(traffic.calls),
            count(traffic.errors),
            count(traffic.refused),
            bytes(traffic.bytes_in),
            bytes(traffic.bytes_out)
        ),
    );
    let lines = [
        ("latency", traffic.latency),
        ("queue", traffic.phases.queue),
        ("connect", traffic.phases.connect),
        ("first byte", traffic.phases.first_byte),
        ("stream", traffic.phases.stream),
    ];
    for (name, times) in lines {
        let [p50, p95, p99, max] = [times.p50_us, times.p95_us, times.p99_us, times.max_us].map(span_us);
        details.value(name, format!("p50 {p50:>8}   p95 {p95:>8}   p99 {p99:>8}   max {max:>8}"));
    }
    let phases = traffic.phases;
    details.phases([phases.queue.p50_us, phases.connect.p50_us, phases.first_byte.p50_us, phases.stream.p50_us]);
}

/// Other screens that have to do with a thing: what leads there, the screen and its filter.
pub(crate) fn relations(object: &Object, data: &Data) -> Vec<(&'static str, Screen, String)> {
    let of = |screen: Screen, title: &'static str, filter: String| (title, screen, filter);
    match object {
        Object::Server(name) | Object::Endpoint(name, _) | Object::Instance(name, _) => vec![
            of(Screen::Sessions, "Sessions", format!("server={name}")),
            of(Screen::Tools, "Tools", format!("server={name}")),
            of(Screen::Requests, "Calls", format!("server={name}")),
            of(Screen::Limits, "Limits", name.clone()),
            of(Screen::Config, "Configuration", format!("server={name}")),
        ],
        Object::Session(id) => vec![of(Screen::Requests, "Calls", format!("session={id}"))],
        Object::Tool(server, tool) => vec![
            of(Screen::Clients, "Clients", format!("tool={server}/{tool}")),
            of(Screen::Requests, "Calls", format!("tool={server}/{tool}")),
            of(Screen::Servers, "Server", format!("server={server}")),
            of(Screen::Limits, "Limits that refused it", format!("tool={server}/{tool}")),
        ],
        Object::Client(id) => vec![
            of(Screen::Sessions, "Sessions", format!("client={id}")),
            of(Screen::Tools, "Tools", format!("client={id}")),
            of(Screen::Requests, "Calls", format!("client={id}")),
            of(Screen::Limits, "Limits that refused it", format!("client={id}")),
        ],
        Object::Call(id) => requests::relations(id, data),
        Object::Limit(_) => vec![of(Screen::Config, "Configuration", "limit".to_owned())],
        _ => Vec::new(),
    }
}
