//! What a server says of itself, asked once per revision and remembered.
//!
//! Greetings and lists come from here, so that a client that only looks around starts no instance
//! of its own.

mod asking;
mod own;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use toolgate_protocol::bridge::listen::List;
use toolgate_protocol::json;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::{MODERN, Revision};

use super::Server;
use super::leg::Leg;
use crate::clock;
use crate::failure::{Failure, Kind};
use crate::lock::lock;
use crate::message::Message;

pub use asking::{greet_shared, introduce_session, introduced, introduced_within, shared_leg};
pub use own::{initialize as own_initialize, list as own_list, message as own, meta as own_meta};

/// A server that could not be asked is not asked again for this long, in milliseconds.
const REMEMBER_TROUBLE: u64 = 2_000;
/// A server that said nothing in time is not asked again for this long, in milliseconds: each
/// question holds up whoever merges its answer.
const REMEMBER_SILENCE: u64 = 10_000;
/// A server that does not speak a revision is not asked again for this long, in milliseconds.
const REMEMBER_ERA: u64 = 60_000;
/// Trouble speaks against a server for at least this long, in milliseconds: longer than from one
/// sweep to the next, which asks critical servers again, so that none looks well in between.
const SHOW_TROUBLE: u64 = 12_000;

/// What is known of one server. Each revision is asked for by itself, so that a server which
/// hangs in one does not hold up the other.
#[derive(Debug, Default)]
pub struct Discovery {
    known: [Mutex<Known>; Revision::ALL.len()],
    /// By client, where an instance serves all sessions of one.
    shared: Mutex<HashMap<(String, Revision), Arc<Opening>>>,
    retired: AtomicBool,
}

/// The leg of one client; locked while it is opened.
type Opening = tokio::sync::Mutex<Option<Leg>>;

/// What is known of one server in one revision.
#[derive(Debug, Default)]
struct Known {
    state: State,
    trouble: Option<Trouble>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Unknown,
    /// All who want to know wait for one question, which outlives each of them.
    Asked(watch::Receiver<Option<Outcome>>),
    Introduced(Arc<Introduced>),
}

type Outcome = Result<Arc<Introduced>, Trouble>;

#[derive(Debug, Clone)]
struct Trouble {
    kind: Kind,
    text: String,
    retry_after: Option<Duration>,
    cause: Option<String>,
    /// When it arose, by our clock, in milliseconds.
    since: u64,
    /// For how long the server is not asked again, in milliseconds.
    lasts: u64,
}

impl Trouble {
    fn new(failure: &Failure, lasts: u64) -> Self {
        let (text, cause) = (failure.message.clone(), failure.cause.clone());
        Self { kind: failure.kind, text, retry_after: failure.retry_after, cause, since: clock::millis(), lasts }
    }

    fn is_recent(&self, now: u64) -> bool {
        now < self.since + self.lasts
    }

    /// Whether it speaks against the server. Speaking one era only does not.
    fn is_real(&self, now: u64) -> bool {
        self.kind != Kind::EraUnsupported && now < self.since + self.lasts.max(SHOW_TROUBLE)
    }

    fn failure(&self) -> Failure {
        let failure = Failure::new(self.kind, self.text.clone());
        Failure { retry_after: self.retry_after, cause: self.cause.clone(), ..failure }
    }
}

impl Known {
    /// What was said, where it still holds; it is no trouble then.
    fn introduced(&mut self) -> Option<Arc<Introduced>> {
        match &self.state {
            State::Introduced(introduced) if introduced.leg.is_open() => {
                self.trouble = None;
                Some(Arc::clone(introduced))
            }
            _ => None,
        }
    }

    /// The question that is under way. One whose core has ended will not be answered.
    fn question(&self) -> Option<watch::Receiver<Option<Outcome>>> {
        match &self.state {
            State::Asked(outcome) if outcome.has_changed().is_ok() => Some(outcome.clone()),
            _ => None,
        }
    }

    fn recent_trouble(&self) -> Result<(), Failure> {
        match &self.trouble {
            Some(trouble) if trouble.is_recent(clock::millis()) => Err(trouble.failure()),
            _ => Ok(()),
        }
    }
}

/// A question that was not answered with an introduction.
struct Refused {
    failure: Failure,
    /// Whether the server itself said that it does not speak the revision.
    said_so: bool,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { failure, said_so: false }
    }
}

/// A server's answer to `initialize` or `server/discover`, and the leg that it was given on.
#[derive(Debug)]
pub struct Introduced {
    /// For lists.
    pub leg: Leg,
    /// The whole answer.
    pub answer: Message,
}

impl Introduced {
    /// Whether the server declares a capability: `tools`, `prompts`, `resources`, `logging` …
    pub fn declares(&self, capability: &str) -> bool {
        self.capabilities().is_some_and(|span| json::get(&self.answer.bytes, span, capability).is_some())
    }

    /// Whether the server says when one of its lists changed.
    pub fn announces(&self, list: List) -> bool {
        self.offers(list.capability(), "listChanged")
    }

    /// Whether the server declares what a list request asks for; many answer with an error where
    /// they have no such list.
    pub fn declares_list_of(&self, request: &Message) -> bool {
        let capability = Method::parse(&request.method()).and_then(Method::capability);
        capability.is_some_and(|capability| self.declares(capability.as_str()))
    }

    /// Whether a capability has a member that is true: `listChanged`, `subscribe`.
    pub fn offers(&self, capability: &str, member: &str) -> bool {
        let text = &self.answer.bytes;
        let capability = self.capabilities().and_then(|span| json::get(text, span, capability));
        capability.and_then(|span| json::get(text, span, member)).is_some_and(|span| span.of(text) == b"true")
    }

    /// The raw `capabilities`.
    pub fn capabilities_raw(&self) -> Option<&[u8]> {
        self.capabilities().map(|span| span.of(&self.answer.bytes))
    }

    /// The raw `instructions`.
    pub fn instructions_raw(&self) -> Option<&[u8]> {
        let span = json::get(&self.answer.bytes, self.answer.envelope.result?, "instructions")?;
        Some(span.of(&self.answer.bytes))
    }

    fn capabilities(&self) -> Option<json::Span> {
        json::get(&self.answer.bytes, self.answer.envelope.result?, "capabilities")
    }
}

impl Discovery {
    /// Why the server cannot be asked at the moment. Speaking one era only is no trouble.
    pub fn trouble(&self) -> Option<String> {
        let now = clock::millis();
        self.known.iter().find_map(|known| {
            let known = lock(known);
            known.trouble.as_ref().filter(|trouble| trouble.is_real(now)).map(|trouble| trouble.text.clone())
        })
    }

    /// Whether the server, met in the modern era, declares `logging`.
    pub fn declares_logging(&self) -> bool {
        matches!(&self.of(MODERN).state, State::Introduced(introduced) if introduced.declares("logging"))
    }

    /// What the server said of itself, where that still holds; it is not asked.
    pub fn known(&self, revision: Revision) -> Option<Arc<Introduced>> {
        self.of(revision).introduced()
    }

    /// Takes up what an earlier process heard, and the leg that it heard it on.
    pub fn introduced_again(&self, revision: Revision, introduced: Introduced) {
        self.of(revision).state = State::Introduced(Arc::new(introduced));
    }

    /// Takes up the leg that all sessions of a client share.
    pub fn shared_again(&self, client: &str, revision: Revision, leg: Leg) {
        lock(&self.shared).insert((client.to_owned(), revision), Arc::new(tokio::sync::Mutex::new(Some(leg))));
    }

    fn of(&self, revision: Revision) -> MutexGuard<'_, Known> {
        lock(&self.known[revision.place()])
    }

    /// The place of a client's leg. Those whose leg has ended are forgotten.
    fn opening(&self, client: &str, revision: Revision) -> Arc<Opening> {
        let mut shared = lock(&self.shared);
        if self.is_retired() {
            return Arc::default();
        }
        shared.retain(|_, opening| match opening.try_lock() {
            Ok(opened) => opened.as_ref().is_some_and(Leg::is_open) || Arc::strong_count(opening) > 1,
            Err(_) => true,
        });
        Arc::clone(shared.entry((client.to_owned(), revision)).or_default())
    }

    /// Forgets everything, and remembers nothing more. A question that is under way is still answered.
    pub fn retire(&self) {
        // Before the locks: whoever keeps something looks at it under the same locks.
        self.retired.store(true, Ordering::Relaxed);
        for known in &self.known {
            *lock(known) = Known::default();
        }
        lock(&self.shared).clear();
    }

    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Keeps what a question brought.
    fn settle(&self, revision: Revision, asked: Result<Introduced, Refused>) -> Outcome {
        match asked {
            Ok(introduced) => {
                // Whoever speaks one revision is up; that it does not speak another stays known.
                for known in &self.known {
                    let trouble = &mut lock(known).trouble;
                    trouble.take_if(|trouble| trouble.kind != Kind::EraUnsupported);
                }
                let introduced = Arc::new(introduced);
                let mut known = self.of(revision);
                known.trouble = None;
                known.state =
                    if self.is_retired() { State::Unknown } else { State::Introduced(Arc::clone(&introduced)) };
                Ok(introduced)
            }
            Err(Refused { failure, said_so }) => {
                let trouble = Trouble::new(&failure, if said_so { REMEMBER_ERA } else { REMEMBER_TROUBLE });
                let mut known = self.of(revision);
                known.state = State::Unknown;
                // A gate without room for the question knows nothing of the server.
                if !matches!(failure.kind, Kind::QueueTimeout | Kind::NoRoom | Kind::BreakerOpen) {
                    known.trouble = Some(trouble.clone());
                }
                Err(trouble)
            }
        }
    }
}

/// Forgets what a server said of itself: it knows our session no more, or another program may
/// answer by now.
pub fn forget_all(server: &Server) {
    for known in &server.discovery.known {
        let mut known = lock(known);
        if matches!(known.state, State::Introduced(_)) {
            known.state = State::Unknown;
        }
    }
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::revision::MODERN;

    use super::*;

    fn refused(kind: Kind) -> Result<Introduced, Refused> {
        Err(Refused::from(Failure::new(kind, "no").because("why")))
    }

    #[test]
    fn trouble_of_the_gate_or_of_another_era_does_not_speak_against_a_server() {
        let discovery = Discovery::default();
        for kind in [Kind::QueueTimeout, Kind::NoRoom, Kind::BreakerOpen] {
            assert_eq!(discovery.settle(MODERN, refused(kind)).unwrap_err().kind, kind);
            assert!(discovery.of(MODERN).recent_trouble().is_ok(), "{kind:?}");
        }
        drop(discovery.settle(MODERN, refused(Kind::EraUnsupported)));
        assert_eq!(discovery.of(MODERN).recent_trouble().unwrap_err().kind, Kind::EraUnsupported);
        assert_eq!(discovery.trouble(), None);
        drop(discovery.settle(MODERN, refused(Kind::ServerUnavailable)));
        assert_eq!(discovery.of(MODERN).recent_trouble().unwrap_err().cause.as_deref(), Some("why"));
        assert_eq!(discovery.trouble().as_deref(), Some("no"));
    }

    #[test]
    fn trouble_passes() {
        let trouble = Trouble::new(&Failure::new(Kind::ServerUnavailable, "no"), REMEMBER_TROUBLE);
        assert!(trouble.is_recent(trouble.since) && !trouble.is_recent(trouble.since + REMEMBER_TROUBLE));
        assert!(trouble.is_real(trouble.since + REMEMBER_TROUBLE) && !trouble.is_real(trouble.since + SHOW_TROUBLE));
    }
}
