//! What is wanted of the daemon now: topics of the watch, and what else is in sight.

use toolgate_admin_api::ServerStatus;

use super::super::data::{SERIES, SERVER_SERIES};
use super::super::object::Object;
use super::super::screens::Screen;
use super::{Effect, Link, Overlay, Privilege, Read, State, Subscription, Trouble, WINDOWS};

/// Rows of a long table.
const ROWS: &str = "200";

/// Fields that the daemon finds in what a row of these says.
const SESSION_FIELDS: &[&str] = &["session", "client", "server", "agent", "view", "protocol"];
const TOOL_FIELDS: &[&str] = &["server", "tool", "client"];
const CLIENT_FIELDS: &[&str] = &["client", "owner", "tier"];
const CALL_FIELDS: &[&str] = &["client", "session", "server", "tool", "name", "method", "stage"];

/// Servers whose past is asked for.
const SERVERS: usize = 64;

/// Points of a series.
const POINTS: u64 = 360;

impl State {
    /// Subscribes to what is in sight and asks for what is due.
    pub(super) fn ask(&mut self, effects: &mut Vec<Effect>) {
        let wanted = self.wanted();
        // What is half written is not asked for: each letter would begin the watch anew.
        let writing = matches!(self.overlays.last(), Some(Overlay::Filter(..)));
        if wanted != self.subscription && !writing {
            self.subscription = wanted.clone();
            effects.push(Effect::Subscribe(wanted));
        }
        if self.link != Link::Live || self.privilege == Privilege::Replay {
            return;
        }
        self.ask_past(effects);
        for read in self.in_sight() {
            let may = self.privilege == Privilege::Control || !read.needs_control();
            let due = self.asked.get(&read).is_none_or(|at| self.now_ms.saturating_sub(*at) >= read.period_ms());
            if may && due {
                self.asked.insert(read.clone(), self.now_ms);
                effects.push(Effect::Read(read));
            }
        }
        let now_ms = self.now_ms;
        self.asked.retain(|read, at| now_ms.saturating_sub(*at) < 10 * read.period_ms());
    }

    fn wanted(&self) -> Subscription {
        let mut topics = vec!["overview"];
        topics.extend(self.screen.topics());
        let parameters = self.screen.long_topic().map(|topic| self.table_wish(topic)).unwrap_or_default();
        Subscription {
            topics,
            interval_ms: self.interval_ms(),
            parameters,
            tail: (self.screen == Screen::Requests).then(|| self.table().filter.by_id(&self.data.owners).conditions()),
            refresh: self.refreshes,
        }
    }

    /// How a long table is wanted: what the daemon leaves out depends on its order and filter, so these are told once it
    /// leaves something out.
    fn table_wish(&self, topic: &'static str) -> Vec<(String, String)> {
        let mut wish = vec![(format!("{topic}.limit"), ROWS.to_owned())];
        let (counts, fields): (_, &[&str]) = match topic {
            "sessions" => (self.data.sessions.as_ref().map(|all| (all.total, all.sessions.len())), SESSION_FIELDS),
            "tools" => (self.data.tools.as_ref().map(|all| (all.total, all.tools.len())), TOOL_FIELDS),
            "clients" => (self.data.clients.as_ref().map(|all| (all.total, all.clients.len())), CLIENT_FIELDS),
            _ => (self.data.calls.as_ref().map(|all| (all.total, all.calls.len())), CALL_FIELDS),
        };
        let told = |name: &str| self.subscription.parameters.iter().any(|(known, _)| known.ends_with(name));
        let cut = counts.is_some_and(|(total, rows)| total > rows as u64) || told(".filter") || told(".sort");
        if !cut {
            return wish;
        }
        let filter = &self.table().filter;
        let words = match topic {
            "clients" => filter.words(fields),
            _ => filter.by_id(&self.data.owners).words(fields),
        };
        if !words.is_empty() {
            wish.push((format!("{topic}.filter"), words));
        }
        let sorted = self.table().sort.and_then(|(column, descending)| {
            let wire = self.screen.columns().get(column)?.wire;
            (!wire.is_empty()).then_some((wire, descending))
        });
        if let Some((wire, descending)) = sorted {
            wish.push((format!("{topic}.sort"), wire.to_owned()));
            wish.push((format!("{topic}.descending"), descending.to_string()));
        }
        wish
    }

    /// The daemon's memory of the span that graphs show.
    fn ask_past(&mut self, effects: &mut Vec<Effect>) {
        if !matches!(self.screen, Screen::Overview | Screen::Servers) {
            return;
        }
        let end = self.view().graphs_end();
        let span = WINDOWS[self.window];
        let begin = end.saturating_sub(span);
        let near = |asked: u64, wanted: u64| asked.abs_diff(wanted) < (span / 8).max(60_000);
        if self.remembered.is_some_and(|(from, to)| near(from, begin) && near(to, end)) {
            return;
        }
        let servers = self.data.servers.as_deref().unwrap_or_default().iter().take(SERVERS);
        let of_servers = servers.flat_map(|row| SERVER_SERIES.iter().map(|name| format!("{name}:{}", row.status.name)));
        let series: Vec<String> = SERIES.iter().map(|name| (*name).to_owned()).chain(of_servers).collect();
        if self.data.servers.is_some() {
            self.remembered = Some((begin, end));
            effects.push(Effect::Read(Read::History(series, begin, end, POINTS)));
        }
    }

    /// What is asked for while it is in sight.
    fn in_sight(&self) -> Vec<Read> {
        let mut reads = Vec::new();
        match self.screen {
            Screen::Health => reads.extend([Read::Certificates, Read::Audit]),
            Screen::Tools => reads.extend([Read::ToolChanges, Read::Clients]),
            Screen::Config => reads.push(Read::Audit),
            Screen::Servers | Screen::Sessions | Screen::Limits | Screen::Requests => reads.push(Read::Clients),
            _ => {}
        }
        for overlay in &self.overlays {
            let Overlay::Details(object, _) = overlay else { continue };
            match object {
                Object::Session(id) => reads.push(Read::Session(id.clone())),
                Object::Server(name) | Object::Instance(name, _) => reads.push(Read::Server(name.clone())),
                Object::Tool(..) => reads.push(Read::ToolChanges),
                Object::Certificate(..) => reads.push(Read::Certificates),
                Object::Client(id) => reads.extend(self.busiest(id).map(|tool| Read::Explain(id.clone(), tool))),
                _ => {}
            }
        }
        reads
    }

    fn busiest(&self, client: &str) -> Option<String> {
        let clients = &self.data.clients.as_ref()?.clients;
        let busiest = clients.iter().find(|row| row.id == client)?.busiest.as_ref()?;
        Some(busiest.tool.clone())
    }

    /// Takes over what a route told; a failure leaves what was known before.
    pub(super) fn told(&mut self, read: Read, answer: Result<Vec<u8>, Trouble>) {
        let Ok(body) = answer else {
            if let (Read::History(..), true) = (read, self.data.past.oldest_ms == 0) {
                // A daemon without a memory is not asked again until graphs show another span.
                self.data.past.oldest_ms = self.now_ms;
            }
            return;
        };
        match read {
            Read::Certificates => self.data.certificates = parsed(&body).or(self.data.certificates.take()),
            Read::Audit => self.data.audit = parsed(&body).or(self.data.audit.take()),
            Read::ToolChanges => self.data.changes = parsed(&body).or(self.data.changes.take()),
            Read::Clients => {
                if let Some(clients) = parsed(&body) {
                    self.data.meet(&clients);
                }
            }
            Read::Session(_) => self.data.session = parsed(&body).or(self.data.session.take()),
            Read::Explain(..) => self.data.explained = parsed(&body).or(self.data.explained.take()),
            Read::Server(_) => {
                if let Some(server) = parsed::<ServerStatus>(&body) {
                    self.data.inspect(server);
                }
            }
            Read::History(..) => {
                if let Some(history) = parsed(&body) {
                    self.data.past.remember(history);
                }
            }
        }
    }
}

fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}
