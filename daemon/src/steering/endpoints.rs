//! Endpoints by hand: drains and maintenance, breakers held open or closed, and other weights.
//!
//! What is said of an endpoint stays with its URL: for the time that a server does not have it, it bears on nothing.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use toolgate_protocol::breaker::State;

use super::{Book, Steering};
use crate::clock;
use crate::policy::Policy;
use crate::servers::Server;
use crate::servers::endpoints::{Mode, configured_weight};

/// Endpoints of which something is kept; beyond, those go that no server has.
const MOST: usize = 1000;

/// What an operator said of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ByHand {
    /// It is to serve nothing new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Said<Away>>,
    /// Its breaker does not follow its rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Said<Held>>,
    /// Its share of calls is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Said<Weight>>,
}

/// Something that was said, with who said it and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said<T> {
    /// What.
    pub is: T,
    /// Since when, in milliseconds since 1970.
    #[serde(default)]
    pub since_ms: u64,
    /// When the endpoint's sessions end, in milliseconds since 1970, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Who said it.
    #[serde(default)]
    pub who: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why an endpoint gets nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Away {
    /// It is drained.
    Drain,
    /// It is in maintenance.
    Maintenance,
}

/// How a breaker is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// It refuses calls.
    Open,
    /// It lets calls through.
    Closed,
}

/// Another weight than the files say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// The weight.
    pub weight: u32,
    /// What the files said then: once they say another, they are newer.
    pub configured: u32,
}

impl Away {
    /// What is to be kept of a mode; nothing of one that serves.
    #[must_use]
    pub fn of(mode: Mode) -> Option<Self> {
        match mode {
            Mode::Ready => None,
            Mode::Drain => Some(Self::Drain),
            Mode::Maintenance => Some(Self::Maintenance),
        }
    }

    fn mode(self) -> Mode {
        match self {
            Self::Drain => Mode::Drain,
            Self::Maintenance => Mode::Maintenance,
        }
    }
}

impl Held {
    /// What is to be kept of a state; nothing of one that follows rules.
    #[must_use]
    pub fn of(state: State) -> Option<Self> {
        match state {
            State::ForcedOpen => Some(Self::Open),
            State::ForcedClosed => Some(Self::Closed),
            State::Closed | State::Open | State::HalfOpen => None,
        }
    }

    fn state(self) -> State {
        match self {
            Self::Open => State::ForcedOpen,
            Self::Closed => State::ForcedClosed,
        }
    }
}

impl ByHand {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Under which name an endpoint is kept: its URL, of whose query, which may hold a credential, only a digest is written.
#[must_use]
pub fn name_of(url: &str) -> String {
    let Some((place, query)) = url.split_once('?') else { return url.to_owned() };
    let hash = digest::digest(&digest::SHA256, query.as_bytes());
    let short = hash.as_ref().iter().take(8).fold(0_u64, |short, byte| short << 8 | u64::from(*byte));
    format!("{place}?{short:016x}")
}

impl Steering {
    /// What was said of the endpoints of all servers, by [`name_of`].
    #[must_use]
    pub fn of_endpoints(&self) -> BTreeMap<String, BTreeMap<String, ByHand>> {
        super::lock(&self.book).endpoints.clone()
    }

    /// Notes what is said of some endpoints of a server; with `gone` also of those that it does not have now. Whoever
    /// says it has the turn, and has the endpoints follow.
    pub fn say_of(&self, policy: &Policy, server: &Server, (these, gone): (&[usize], bool), say: impl Fn(&mut ByHand)) {
        let each = server.endpoints.each();
        self.change(|book| {
            let kept = book.endpoints.entry(server.settings.name.clone()).or_default();
            let here: Vec<_> = each.iter().map(|endpoint| name_of(&endpoint.label)).collect();
            for at in these {
                say(kept.entry(here[*at].clone()).or_default());
            }
            if gone {
                kept.iter_mut().filter(|(name, _)| !here.contains(name)).for_each(|(_, said)| say(said));
            }
            book.tidy_endpoints(policy);
        });
    }

    /// Has the endpoints of a policy keep to what holds, and forgets weights that the files gave anew.
    pub(super) fn bear_on_endpoints(&self, policy: &Policy, book: &Book) {
        let mut overtaken = Vec::new();
        for (name, server) in &policy.servers {
            let kept = book.endpoints.get(name);
            for (at, endpoint) in server.endpoints.each().iter().enumerate() {
                let said = kept.and_then(|kept| kept.get(&name_of(&endpoint.label)));
                let mode = said.and_then(|said| said.mode.as_ref()).map_or(Mode::Ready, |mode| mode.is.mode());
                if endpoint.mode() != mode {
                    endpoint.set_mode(mode);
                }
                let forced = said.and_then(|said| said.breaker.as_ref()).map(|held| held.is.state());
                if endpoint.forced() != forced {
                    endpoint.force(forced.unwrap_or(State::Closed));
                }
                let weight = said.and_then(|said| said.weight.as_ref()).map(|weight| weight.is);
                let holds = weight.filter(|weight| weight.configured == configured_weight(&server.settings, at));
                endpoint.set_weight(holds.map(|weight| weight.weight));
                if weight != holds {
                    overtaken.push((name.clone(), name_of(&endpoint.label)));
                }
            }
        }
        if !overtaken.is_empty() {
            self.change(|book| {
                for (server, endpoint) in overtaken {
                    let said = book.endpoints.get_mut(&server).and_then(|kept| kept.get_mut(&endpoint));
                    if let Some(said) = said {
                        said.weight = None;
                    }
                }
                book.tidy_endpoints(policy);
            });
        }
    }

    /// Endpoints whose sessions are to end by now: the server, and the endpoint's place.
    #[must_use]
    pub fn due<'p>(&self, policy: &'p Policy) -> Vec<(&'p std::sync::Arc<Server>, usize)> {
        let (book, now) = (super::lock(&self.book), clock::unix_millis());
        let is_due = |said: &ByHand| said.mode.as_ref().and_then(|mode| mode.until_ms).is_some_and(|end| end <= now);
        let mut due = Vec::new();
        for (server, kept) in &book.endpoints {
            let Some(server) = policy.servers.get(server).filter(|_| kept.values().any(is_due)) else { continue };
            let each = server.endpoints.each().iter().enumerate();
            let ended = each.filter(|(_, endpoint)| {
                !endpoint.is_closed() && kept.get(&name_of(&endpoint.label)).is_some_and(is_due)
            });
            due.extend(ended.map(|(at, _)| (server, at)));
        }
        due
    }
}

impl Book {
    /// Takes out what says nothing, and of too much what bears on nothing.
    fn tidy_endpoints(&mut self, policy: &Policy) {
        for kept in self.endpoints.values_mut() {
            kept.retain(|_, said| !said.is_nothing());
        }
        let all: usize = self.endpoints.values().map(BTreeMap::len).sum();
        if all > MOST {
            for (server, kept) in &mut self.endpoints {
                let each = policy.servers.get(server).map_or(&[][..], |server| server.endpoints.each());
                kept.retain(|name, _| each.iter().any(|endpoint| name_of(&endpoint.label) == *name));
            }
        }
        self.endpoints.retain(|_, kept| !kept.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const ONE: &str = "http://127.0.0.1:1/mcp?secret=hunter2";
    const TWO: &str = "http://127.0.0.1:2/mcp";

    /// A configuration of one server, with the second endpoint's weight.
    fn policy(weight: u32) -> Policy {
        after(weight, "", None)
    }

    /// The same with more of the server's table, after another.
    fn after(weight: u32, lines: &str, before: Option<&Policy>) -> Policy {
        let text =
            format!("version = 1\n[server.two]\nendpoints = [\"{ONE}\", {{ url = \"{TWO}\", weight = {weight} }}]\n");
        let settings = Arc::new(crate::config::from_text(&(text + lines)).unwrap());
        Policy::new(settings, before).unwrap()
    }

    fn said<T>(is: T) -> Said<T> {
        Said { is, since_ms: 7, until_ms: None, who: "uid 0".into(), reason: Some("disks".into()) }
    }

    fn say(steering: &Steering, policy: &Policy, at: usize, say: impl Fn(&mut ByHand)) {
        steering.say_of(policy, &policy.servers["two"], (&[at], false), say);
    }

    #[test]
    fn what_was_said_of_endpoints_holds_in_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Steering::open(Some(folder.path().to_owned()));
        let (first, before) = (open(), policy(3));
        say(&first, &before, 0, |said_of| said_of.mode = Some(said(Away::Maintenance)));
        say(&first, &before, 0, |said_of| said_of.breaker = Some(said(Held::Closed)));
        say(&first, &before, 1, |said_of| said_of.breaker = Some(said(Held::Open)));
        say(&first, &before, 1, |said_of| said_of.weight = Some(said(Weight { weight: 0, configured: 3 })));
        let written = std::fs::read_to_string(folder.path().join("steering.json")).unwrap();
        assert!(written.contains(TWO) && !written.contains("hunter2"), "{written}");
        let (again, started) = (open(), policy(3));
        again.bear_on(&started);
        let seen = |policy: &Policy| {
            let each = policy.servers["two"].endpoints.each().iter();
            each.map(|endpoint| (endpoint.mode(), endpoint.forced(), endpoint.weight())).collect::<Vec<_>>()
        };
        let held =
            [(Mode::Maintenance, Some(State::ForcedClosed), None), (Mode::Ready, Some(State::ForcedOpen), Some(0))];
        assert_eq!(seen(&started), held);
        assert_eq!(again.of_endpoints()["two"][TWO].breaker, Some(said(Held::Open)));
        for lines in ["queue.max_size = 7\n", "timeout.connect = \"7s\"\n"] {
            let reloaded = after(3, lines, Some(&started));
            again.bear_on(&reloaded);
            reloaded.servers["two"].endpoints.follow(&reloaded.servers["two"].settings);
            assert_eq!(seen(&reloaded), held, "a reload of other things undoes nothing");
        }
        let heavier = policy(4);
        again.bear_on(&heavier);
        assert_eq!(heavier.servers["two"].endpoints.get(1).weight(), None, "the files are newer");
        again.bear_on(&started);
        assert_eq!(started.servers["two"].endpoints.get(1).weight(), None, "it does not come back");
        for at in [0, 1] {
            say(&again, &started, at, |said_of| *said_of = ByHand::default());
        }
        again.bear_on(&started);
        assert_eq!(seen(&started), [(Mode::Ready, None, None), (Mode::Ready, None, None)]);
        assert_eq!(open().book(), Book::default());
    }

    #[test]
    fn what_is_said_of_all_goes_for_urls_that_are_gone_and_those_go_first_where_there_are_too_many() {
        let (steering, policy) = (Steering::default(), policy(1));
        let drained = ByHand { mode: Some(said(Away::Drain)), ..ByHand::default() };
        let gone = |from: usize, to: usize| (from..to).map(|n| (format!("http://h:{n}/mcp"), drained.clone()));
        steering.change(|book| book.endpoints.insert("two".into(), gone(0, MOST).collect()));
        say(&steering, &policy, 1, |said_of| said_of.mode = Some(said(Away::Drain)));
        assert_eq!(steering.of_endpoints()["two"].keys().collect::<Vec<_>>(), [TWO]);
        steering.change(|book| book.endpoints.get_mut("two").unwrap().extend(gone(0, 3)));
        steering.say_of(&policy, &policy.servers["two"], (&[0, 1], true), |said_of| said_of.mode = None);
        assert!(steering.of_endpoints().is_empty());
    }

    #[test]
    fn sessions_are_to_end_when_their_deadline_has_come_and_once() {
        let (steering, policy) = (Steering::default(), policy(1));
        for (at, until_ms) in [(0, Some(clock::unix_millis() + 3_600_000)), (1, Some(1))] {
            let away = Said { until_ms, ..said(Away::Drain) };
            say(&steering, &policy, at, |said_of| said_of.mode = Some(away.clone()));
        }
        steering.bear_on(&policy);
        let due: Vec<_> = steering.due(&policy).iter().map(|(_, at)| *at).collect();
        assert_eq!(due, [1]);
        assert!(policy.servers["two"].endpoints.get(1).close() && steering.due(&policy).is_empty());
    }

    #[test]
    fn a_file_from_before_endpoints_were_kept_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"version":1,"clients":{"key:ann":{"say":"No."}},"queues":{}}"#;
        std::fs::write(folder.path().join("steering.json"), text).unwrap();
        let steering = Steering::open(Some(folder.path().to_owned()));
        assert!(steering.unread().is_none() && steering.clients.any() && steering.of_endpoints().is_empty());
    }
}
