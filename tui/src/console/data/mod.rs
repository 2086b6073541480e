//! What the daemon has said so far: the newest of every topic, the newest calls, and values over time.

mod past;

use std::collections::{BTreeMap, VecDeque};

use toolgate_admin_api::{
    Audit, Calls, Certificates, CheckOutcome, Clients, ConfigView, Explained, Health, Hello, LimitsView, Overview,
    Queues, RequestLine, ServerRow, ServerStatus, SessionDetail, Sessions, TailLine, ToolChanges, Tools, Topic,
    WatchLine,
};

pub(crate) use past::{Past, SERIES, SERVER_SERIES};

/// Calls that ended of which the newest are kept.
const REQUESTS: usize = 2_000;

/// Clients whose owners are kept.
const OWNERS: usize = 10_000;

/// Servers whose details are kept.
const DETAILS: usize = 64;

/// Everything that is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Data {
    pub(crate) hello: Option<Hello>,
    pub(crate) overview: Option<Box<Overview>>,
    pub(crate) servers: Option<Vec<ServerRow>>,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) tools: Option<Tools>,
    pub(crate) limits: Option<LimitsView>,
    pub(crate) clients: Option<Clients>,
    pub(crate) health: Option<Box<Health>>,
    pub(crate) calls: Option<Calls>,
    pub(crate) queues: Option<Queues>,
    pub(crate) config: Option<Box<ConfigView>>,
    /// Calls that ended, the newest first.
    pub(crate) requests: VecDeque<RequestLine>,
    /// Calls that ended while somebody looks at older ones, the newest first.
    pub(crate) newer: VecDeque<RequestLine>,
    /// Calls that ended and were not told, since there were too many.
    pub(crate) untold: u64,
    /// Lines of the watch that were left out, since this reader was too slow.
    pub(crate) lagged: u64,
    pub(crate) certificates: Option<Certificates>,
    pub(crate) audit: Option<Audit>,
    pub(crate) changes: Option<ToolChanges>,
    /// The session that was looked at last.
    pub(crate) session: Option<SessionDetail>,
    /// Servers with what their instances wrote, by name.
    pub(crate) inspected: BTreeMap<String, ServerStatus>,
    /// Whose a client's key is, by the client's id, where somebody is said to own it.
    pub(crate) owners: BTreeMap<String, String>,
    /// The limits that a client meets, as they were asked for last.
    pub(crate) explained: Option<Explained>,
    /// What the files on disk are like, when somebody asked.
    pub(crate) checked: Option<CheckOutcome>,
    pub(crate) past: Past,
    /// When the newest line was heard.
    pub(crate) heard_ms: Option<u64>,
}

impl Data {
    /// Takes a line of the watch over.
    pub(crate) fn watch(&mut self, line: WatchLine, now_ms: u64) {
        self.heard_ms = Some(now_ms);
        match line {
            WatchLine::Hello(hello) => self.greet(hello),
            WatchLine::Topic { at_ms, topic } => self.topic(topic, at_ms),
            WatchLine::Lagged { count } => self.lagged += count,
            WatchLine::Heartbeat { .. } | WatchLine::Resync { .. } | WatchLine::Unknown => {}
        }
    }

    /// Takes a line of the tail over.
    pub(crate) fn tail(&mut self, line: TailLine) {
        match line {
            TailLine::Request(request) => {
                self.newer.push_front(request);
                self.newer.truncate(REQUESTS);
            }
            TailLine::Lagged { count } => self.untold += count,
            TailLine::Heartbeat { .. } | TailLine::Unknown => {}
        }
    }

    /// Shows the calls that have ended in the meantime.
    pub(crate) fn catch_up(&mut self) {
        while let Some(request) = self.newer.pop_back() {
            self.requests.push_front(request);
        }
        self.requests.truncate(REQUESTS);
    }

    /// Keeps the details of a server.
    pub(crate) fn inspect(&mut self, server: ServerStatus) {
        if self.inspected.len() >= DETAILS {
            self.inspected.clear();
        }
        self.inspected.insert(server.name.clone(), server);
    }

    /// Keeps who owns what clients call with.
    pub(crate) fn meet(&mut self, clients: &Clients) {
        let owned = clients.clients.iter().filter(|client| !client.owner.is_empty());
        self.owners.extend(owned.map(|client| (client.id.clone(), client.owner.clone())));
        while self.owners.len() > OWNERS {
            self.owners.pop_first();
        }
    }

    /// The owner of a client, where one is known.
    pub(crate) fn owner(&self, client: &str) -> Option<&str> {
        self.owners.get(client).map(String::as_str)
    }

    /// Whom people know a client as: its owner, else its id.
    pub(crate) fn who<'a>(&'a self, client: &'a str) -> &'a str {
        self.owner(client).unwrap_or(client)
    }

    /// The running revision.
    pub(crate) fn revision(&self) -> Option<u64> {
        self.overview.as_ref().map(|overview| overview.status.revision)
    }

    /// A server by its name.
    pub(crate) fn server(&self, name: &str) -> Option<&ServerRow> {
        self.servers.as_deref().unwrap_or_default().iter().find(|row| row.status.name == name)
    }

    /// The clients that a tool is known to be called by.
    pub(crate) fn callers(&self, server: &str, tool: &str) -> impl Iterator<Item = &str> {
        let tools = self.tools.as_ref().map(|tools| tools.tools.as_slice()).unwrap_or_default();
        let row = tools.iter().find(move |row| row.server == server && row.tool == tool);
        row.into_iter().flat_map(|row| &row.callers).map(|caller| caller.client.as_str())
    }

    /// The clients that rows tell of.
    pub(crate) fn client_ids(&self) -> impl Iterator<Item = String> {
        let clients = self.clients.iter().flat_map(|all| &all.clients).map(|row| &row.id);
        let callers = self.tools.iter().flat_map(|all| &all.tools).flat_map(|row| &row.callers);
        let sessions = self.sessions.iter().flat_map(|all| &all.sessions).map(|row| &row.client);
        let requests = self.requests.iter().map(|line| &line.client);
        clients.chain(callers.map(|caller| &caller.client)).chain(sessions).chain(requests).cloned()
    }

    /// The tools that rows tell of, with their servers.
    pub(crate) fn tool_ids(&self) -> impl Iterator<Item = String> {
        let tools = self.tools.iter().flat_map(|all| &all.tools).map(|row| format!("{}/{}", row.server, row.tool));
        let clients = self.clients.iter().flat_map(|all| &all.clients);
        let busiest = clients.filter_map(|row| row.busiest.as_ref()).map(|busiest| busiest.tool.clone());
        let calls = self.requests.iter().filter(|line| line.method == "tools/call" && !line.name.is_empty());
        tools.chain(busiest).chain(calls.map(|line| format!("{}/{}", line.server, line.name)))
    }

    /// Another process counts from the beginning: what it has not said yet is not known.
    fn greet(&mut self, hello: Hello) {
        let another = self.hello.as_ref().is_some_and(|known| known.instance != hello.instance);
        if another {
            let (past, requests) = (std::mem::take(&mut self.past), std::mem::take(&mut self.requests));
            let owners = std::mem::take(&mut self.owners);
            *self = Self { past, requests, owners, heard_ms: self.heard_ms, ..Self::default() };
        }
        self.hello = Some(hello);
    }

    fn topic(&mut self, topic: Topic, at_ms: u64) {
        match topic {
            Topic::Overview(mut overview) => {
                // What only sums up the others does not stand before them.
                overview.alerts.sort_by_key(|alert| alert.id == "health");
                self.past.saw_overview(at_ms, &overview);
                self.overview = Some(overview);
            }
            Topic::Servers(servers) => {
                self.past.saw_servers(at_ms, &servers);
                self.servers = Some(servers);
            }
            Topic::Sessions(sessions) => self.sessions = Some(sessions),
            Topic::Tools(tools) => self.tools = Some(tools),
            Topic::Limits(limits) => self.limits = Some(limits),
            Topic::Clients(clients) => {
                self.meet(&clients);
                self.clients = Some(clients);
            }
            Topic::Health(health) => self.health = Some(health),
            Topic::Calls(calls) => self.calls = Some(calls),
            Topic::Queues(queues) => self.queues = Some(queues),
            Topic::Config(config) => self.config = Some(config),
            Topic::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_begins_anew_and_the_past_stays() {
        let mut data = Data::default();
        let hello = |instance: &str| WatchLine::Hello(Hello { instance: instance.into(), ..Hello::default() });
        data.watch(hello("a"), 1);
        data.watch(WatchLine::Topic { at_ms: 1, topic: Topic::Sessions(Sessions::default()) }, 1);
        data.tail(TailLine::Request(RequestLine { id: "one".into(), ..RequestLine::default() }));
        data.catch_up();
        data.watch(hello("a"), 2);
        assert!(data.sessions.is_some());
        data.watch(hello("b"), 3);
        assert!(data.sessions.is_none() && data.requests.len() == 1);
    }

    #[test]
    fn the_newest_call_is_first_and_old_ones_go() {
        let mut data = Data::default();
        for number in 0..=REQUESTS {
            data.tail(TailLine::Request(RequestLine { id: number.to_string(), ..RequestLine::default() }));
            data.catch_up();
        }
        data.tail(TailLine::Request(RequestLine::default()));
        assert_eq!(data.requests.len(), REQUESTS);
        assert_eq!(data.requests[0].id, REQUESTS.to_string());
    }
}
