//! One core's side of the ledger: what its calls do to the counts.
//!
//! Calls come here when they begin, when the stages know what they are, and when they end. Nothing here is shared
//! with another core; what readers see is in the [`Shelf`], with a page for each thing that is counted.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use toolgate_protocol::method::Method;

use super::book::{Book, number};
use super::count::Count;
use super::live::{Places, Stage};
use super::outcome::Outcome;
use super::row::{Ended, Kind, Row, cut, named, server_of};
use super::said;
use super::series::{Durations, Seen, Series, TICK_MS, Took};
use super::shelf::{ClientPage, RequestPage, ResourcePage, RoutePage, ServerPage, Shelf, ToolPage};
use super::spent::{Spent, micros};
use super::telling;
use super::what::What;
use crate::call::Call;
use crate::clock;
use crate::lock::lock;

/// Tools that are counted by name, on one core.
const MAX_TOOLS: usize = 8_192;
/// Those of one server: its operator must not be able to take the places of all others.
const MAX_TOOLS_OF_ONE: u64 = MAX_TOOLS as u64 / 4;
/// Clients that are.
const MAX_CLIENTS: usize = 4_096;
/// An event that waits as long for its client has a slow one.
const SLOW: Duration = Duration::from_millis(500);
/// Combinations of labels of the other tables.
const MAX_LABELS: usize = 4_096;
/// Callers of a tool are told of an hour, in parts of ten minutes.
pub(super) const CALLERS_TICK_MS: u64 = 600_000;
/// What stands for all that have no room of their own.
const OTHER: &str = "_other";

/// Numbers of tools that were answered on any core: all cores know them by then. Asked where one is new to a core.
pub(super) type Answered = Arc<Mutex<HashSet<u64>>>;

/// One core's side of the ledger.
#[derive(Debug)]
pub struct Desk {
    shelf: Arc<Shelf>,
    /// Of calls of which nothing is known yet; the core's own, for all cores would fight over one.
    nothing: Arc<What>,
    answered: Answered,
    places: Places,
    servers: Book<ServerPage>,
    tools: Book<ToolPage>,
    others: Others,
    clients: Book<ClientPage>,
    routes: Book<RoutePage>,
    requests: Book<RequestPage>,
    resources: Book<ResourcePage>,
    slow: Cell<Option<Duration>>,
}

/// What stands for all that have no page in a table that is full; shown among its pages, so that sums stay true.
#[derive(Debug)]
struct Others {
    /// By server.
    tools: Book<ToolPage>,
    /// By status.
    routes: Book<RoutePage>,
    /// By outcome.
    requests: Book<RequestPage>,
    /// By outcome.
    resources: Book<ResourcePage>,
}

impl Others {
    fn new(shelf: &Shelf) -> Self {
        Self {
            tools: Book::new(&shelf.tools, MAX_LABELS),
            routes: Book::new(&shelf.routes, MAX_LABELS),
            requests: Book::new(&shelf.requests, MAX_LABELS),
            resources: Book::new(&shelf.resources, MAX_LABELS),
        }
    }
}

/// What `record` knows of a call that ends.
#[derive(Debug)]
pub struct Facts<'a> {
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status of its answer.
    pub status: u16,
    /// What kind of failure; empty where it went well.
    pub failure: &'static str,
    /// What the log says of the failure.
    pub cause: &'a str,
    /// Bytes of its answer.
    pub bytes_out: u64,
    /// What it spent its time with.
    pub spent: Spent,
}

impl Desk {
    pub(super) fn new(shelf: Arc<Shelf>, answered: Answered) -> Self {
        Self {
            nothing: Arc::default(),
            answered,
            places: Places::default(),
            servers: Book::new(&shelf.servers, MAX_LABELS),
            tools: Book::new(&shelf.tools, MAX_TOOLS),
            others: Others::new(&shelf),
            clients: Book::new(&shelf.clients, MAX_CLIENTS),
            routes: Book::new(&shelf.routes, MAX_LABELS),
            requests: Book::new(&shelf.requests, MAX_LABELS),
            resources: Book::new(&shelf.resources, MAX_LABELS),
            slow: Cell::default(),
            shelf,
        }
    }

    /// A call begins: its head has been read.
    pub fn begin(&self, call: &mut Call) {
        call.place =
            Some(self.places.take(&self.shelf.live, Row::begun(call.id, call.started, Arc::clone(&self.nothing))));
    }

    /// The stages know what the call is.
    pub fn learn(&self, call: &Call) {
        let Some(place) = call.place else { return };
        self.places.change(place, |row| {
            row.learn(call, self.what(call));
            telling::began(call, row);
        });
        self.stage(call, Stage::Limit);
    }

    /// How far the call has come.
    pub fn stage(&self, call: &Call, stage: Stage) {
        call.mark.reaches(stage);
        if let Some(place) = call.place {
            self.places.stage(place, stage);
        }
    }

    /// An event goes to a client that was said at this time of our clock, in nanoseconds.
    pub fn streamed(&self, said: u64) {
        let waited = Duration::from_nanos(clock::nanos().saturating_sub(said));
        self.shelf.latency.add(micros(waited));
        if waited >= SLOW {
            self.shelf.slow.add(1);
            self.slow.set(Some(waited));
        }
    }

    /// How long an event has waited that went to a client since this was asked last, if too long: asked by the one whose
    /// stream it is, as soon as it has taken something from it.
    pub fn take_slow(&self) -> Option<Duration> {
        self.slow.take()
    }

    /// A client takes the events of a call's stream slowly.
    pub fn tell_slow(&self, call: &Call, waited: Duration) {
        telling::slow(call, self.server_name(call), waited);
    }

    /// A piece of a stream of events goes to the client.
    pub fn heard(&self, call: &Call, events: &[u8]) {
        self.shelf.events.add(said::messages(events).count() as u64);
        if call.session.is_some() {
            telling::heard(call, self.server_name(call).as_ref(), events);
        }
    }

    /// The call has ended, with its answer or without.
    pub fn end(&self, call: &Call, facts: &Facts<'_>, now: Instant) {
        let Some(mut row) = call.place.and_then(|place| self.places.give_back(place)) else { return };
        if row.kind == Kind::Frame {
            // It did not come as far as to be known.
            row.learn(call, self.what(call));
        }
        self.count_route(call, facts.status, facts.spent.total);
        if row.kind == Kind::Frame {
            return;
        }
        let ended = Ended {
            at_us: clock::unix_micros(),
            listener: Arc::clone(&call.entrance.listener),
            outcome: facts.outcome,
            status: facts.status,
            failure: facts.failure,
            cause: facts.cause.into(),
            bytes_in: call.message.as_ref().map_or(0, |message| message.bytes.len() as u64),
            bytes_out: facts.bytes_out,
            spent: facts.spent,
            row,
        };
        telling::ended(call, &ended);
        if ended.row.kind.is_call() {
            self.count(&ended, clock::millis_at(now));
        }
        if self.shelf.tails.any() {
            self.shelf.tails.say(&ended);
        }
        lock(&self.shelf.past).push(ended);
    }

    fn count(&self, ended: &Ended, now_ms: u64) {
        let row = &ended.row;
        let has_end = row.kind == Kind::Request && ended.outcome != Outcome::Refused;
        let seen = Seen {
            tick: now_ms / TICK_MS,
            outcome: ended.outcome,
            bytes_in: ended.bytes_in,
            bytes_out: ended.bytes_out,
            times: has_end.then(|| ended.spent.times().map(Took::from)),
        };
        if has_end {
            self.shelf.heat.add(seen.tick, ended.spent.total);
        }
        let method = row.what.known.map_or(self.shelf.methods.len() - 1, |method| method as usize);
        self.shelf.methods[method].get_or_init(Box::default).add(&seen, now_ms);
        let (mut tool, mut is_served) = (None, false);
        // Whoever is not known counts for nobody else.
        if let (Some(server), true) = (&row.what.server, row.client.is_some()) {
            is_served = self.count_server(server, &seen, now_ms);
            tool = self.count_tool(server, ended, &seen, now_ms);
            self.count_resource(server, ended);
        }
        if !is_served {
            self.shelf.unserved[0].add(seen.bytes_in);
            self.shelf.unserved[1].add(seen.bytes_out);
        }
        self.count_client(row, tool, &seen, now_ms);
        self.count_request(ended, has_end);
    }

    /// Whether the server has a page.
    fn count_server(&self, name: &Arc<str>, seen: &Seen, now_ms: u64) -> bool {
        let Some(page) = self.servers.known(number(&**name)) else { return false };
        page.series.add(seen, now_ms);
        if let Some(times) = &seen.times {
            page.phases.iter().zip(&times[1..]).for_each(|(phase, took)| phase.add(took.us));
        }
        true
    }

    /// The tool's number, where the call was one.
    fn count_tool(&self, server: &Arc<str>, ended: &Ended, seen: &Seen, now_ms: u64) -> Option<u64> {
        let row = &ended.row;
        let tool = row.what.tool()?;
        let page = self.tool_page(server, tool, ended.outcome == Outcome::Ok).or_else(|| {
            let number = number((&**server, OTHER));
            self.others.tools.get(number, || fresh_tool(number, server, OTHER))
        })?;
        page.series.add(seen, now_ms);
        if let Some(client) = &row.client {
            lock(&page.callers).note(client.number, now_ms / CALLERS_TICK_MS);
        }
        Some(page.number)
    }

    /// Only what was answered is known to exist: a client can make up any number of names.
    fn tool_page(&self, server: &Arc<str>, tool: &str, is_answered: bool) -> Option<Arc<ToolPage>> {
        let number = number((&**server, tool));
        let known = self.tools.known(number);
        if known.is_some() || tool == OTHER {
            return known;
        }
        if !is_answered && !lock(&self.answered).contains(&number) {
            return None;
        }
        let of_one = self.servers.known(super::book::number(&**server))?;
        if of_one.tools.get() >= MAX_TOOLS_OF_ONE {
            return None;
        }
        let page = self.tools.get(number, || fresh_tool(number, server, tool))?;
        of_one.tools.add(1);
        lock(&self.answered).insert(number);
        Some(page)
    }

    fn count_client(&self, row: &Row, tool: Option<u64>, seen: &Seen, now_ms: u64) {
        let Some(client) = &row.client else { return };
        let make = || ClientPage { client: Arc::clone(client), series: Series::default(), tools: Mutex::default() };
        let page = self.clients.get(client.number, make).or_else(|| {
            // Whoever calls now is to be seen, however many have called before.
            self.clients.make_room(|page| page.series.last_ms.get());
            self.clients.get(client.number, make)
        });
        let Some(page) = page else { return };
        page.series.add(seen, now_ms);
        if let Some(tool) = tool {
            lock(&page.tools).note(tool, seen.tick);
        }
    }

    fn count_request(&self, ended: &Ended, has_end: bool) {
        if !has_end && ended.row.kind != Kind::Request {
            return;
        }
        let server = ended.row.what.server.as_ref().filter(|_| ended.row.client.is_some());
        let method = ended.row.what.known.map_or(OTHER, Method::as_str);
        let key = number((server.map(|server| &**server), method, ended.outcome));
        let make = |server: Arc<str>, method| RequestPage {
            server,
            method,
            outcome: ended.outcome,
            durations: Durations::default(),
        };
        let page = self.requests.get(key, || make(server.cloned().unwrap_or_default(), method)).or_else(|| {
            let key = number(ended.outcome);
            self.others.requests.get(key, || make(OTHER.into(), OTHER))
        });
        if let Some(page) = page {
            page.durations.add(ended.spent.total);
        }
    }

    fn count_resource(&self, server: &Arc<str>, ended: &Ended) {
        if ended.row.what.known != Some(Method::ResourcesRead) {
            return;
        }
        let make = |server: &Arc<str>, scheme: &str| ResourcePage {
            server: Arc::clone(server),
            scheme: scheme.into(),
            outcome: ended.outcome,
            reads: Count::default(),
        };
        // As with tools: what nobody answered may be made up.
        let scheme = ended.row.what.name.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| is_scheme(scheme));
        let scheme = scheme.filter(|_| ended.outcome == Outcome::Ok).unwrap_or(OTHER);
        let key = number((&**server, scheme, ended.outcome));
        let page = self.resources.get(key, || make(server, scheme)).or_else(|| {
            let key = number(ended.outcome);
            self.others.resources.get(key, || make(&OTHER.into(), OTHER))
        });
        if let Some(page) = page {
            page.reads.add(1);
        }
    }

    fn count_route(&self, call: &Call, status: u16, us: u64) {
        let method = match call.method {
            http::Method::POST => "POST",
            http::Method::GET => "GET",
            http::Method::DELETE => "DELETE",
            _ => OTHER,
        };
        // Looked up by what it is made of, so that nothing is put together for every call.
        let (place, named) = if let Some(view) = &call.view {
            ("mcp", view.name.as_str())
        } else {
            let page = crate::pages::route(&call.path, &call.policy.settings);
            page.map_or(("", OTHER), |route| ("page", route))
        };
        let make = |method, route| RoutePage { method, route, status, durations: Durations::default() };
        let route = || match (place, named) {
            ("mcp", "") => "/mcp".into(),
            ("mcp", name) => format!("/mcp/{name}").into(),
            (_, path) => path.into(),
        };
        let page = self.routes.get(number((method, place, named, status)), || make(method, route()));
        let page = page.or_else(|| self.others.routes.get(number(status), || make(OTHER, OTHER.into())));
        if let Some(page) = page {
            page.durations.add(us);
        }
    }

    /// What a call is about, which all calls of a known tool share.
    fn what(&self, call: &Call) -> Arc<What> {
        let (server, (known, method, name)) = (self.server_name(call), named(call));
        let name = cut(&name);
        if let (Some(server), Some(Method::ToolsCall)) = (&server, known)
            && let Some(page) = self.tools.known(number((&**server, name)))
        {
            return Arc::clone(&page.what);
        }
        Arc::new(What { server, known, method, name: name.into() })
    }

    /// The server's name as all that is kept of its calls shares it.
    fn server_name(&self, call: &Call) -> Option<Arc<str>> {
        let name = &server_of(call)?.settings.name;
        let page = self.servers.get(number(name.as_str()), || ServerPage {
            name: name.as_str().into(),
            series: Series::default(),
            phases: Default::default(),
            tools: Count::default(),
        })?;
        Some(Arc::clone(&page.name))
    }
}

fn fresh_tool(number: u64, server: &Arc<str>, tool: &str) -> ToolPage {
    ToolPage {
        number,
        what: Arc::new(What {
            server: Some(Arc::clone(server)),
            known: Some(Method::ToolsCall),
            method: Cow::Borrowed(Method::ToolsCall.as_str()),
            name: tool.into(),
        }),
        series: Series::default(),
        callers: Mutex::default(),
    }
}

/// RFC 3986, 3.1; short enough for a label.
fn is_scheme(text: &str) -> bool {
    text.len() <= 24
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}
