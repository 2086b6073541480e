//! What a server says of itself, asked once per revision and remembered.
//!
//! Greetings and lists come from here, so that a client that only looks around starts no instance
//! of its own.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout;
use toolgate_protocol::json;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::{Era, MODERN, Revision};

use super::Server;
use super::leg::Leg;
use crate::clock;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::provenance::Provenance;
use crate::sessions::Hosted;

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
/// How long a server may take to show that it speaks the modern era: one that knows nothing of
/// that era may say nothing at all (2026-07-28, "Backward Compatibility").
const PROBE: Duration = Duration::from_secs(10);

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
            State::Introduced(introduced) if !introduced.leg.is_ended() => {
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

    /// Whether the server declares what a list request asks for; many answer with an error where
    /// they have no such list.
    pub fn declares_list_of(&self, request: &Message) -> bool {
        let capability = Method::parse(&request.method()).and_then(Method::capability);
        capability.is_some_and(|capability| self.declares(capability.as_str()))
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

    fn of(&self, revision: Revision) -> MutexGuard<'_, Known> {
        let place = Revision::ALL.iter().position(|other| *other == revision);
        lock(&self.known[place.expect("all revisions are in the list of all")])
    }

    /// The place of a client's leg. Those whose leg has ended are forgotten.
    fn opening(&self, client: &str, revision: Revision) -> Arc<Opening> {
        let mut shared = lock(&self.shared);
        if self.is_retired() {
            return Arc::default();
        }
        shared.retain(|_, opening| match opening.try_lock() {
            Ok(opened) => opened.as_ref().is_some_and(|leg| !leg.is_ended()) || Arc::strong_count(opening) > 1,
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
                if !matches!(failure.kind, Kind::QueueTimeout | Kind::NoRoom) {
                    known.trouble = Some(trouble.clone());
                }
                Err(trouble)
            }
        }
    }
}

/// What a server says of itself in a revision; asked now unless it is known.
///
/// Callers at the same time share one question. It has the server's own patience and goes on when
/// a caller goes away, else a server that starts slowly would be ended before it ever answers.
pub async fn introduced(core: &Rc<Core>, server: &Arc<Server>, revision: Revision) -> Result<Arc<Introduced>, Failure> {
    let mut outcome = {
        let mut known = server.discovery.of(revision);
        if let Some(introduced) = known.introduced() {
            return Ok(introduced);
        }
        if let Some(outcome) = known.question() {
            outcome
        } else {
            known.recent_trouble()?;
            let outcome = question(core, server, revision);
            known.state = State::Asked(outcome.clone());
            outcome
        }
    };
    let settled = outcome.wait_for(Option::is_some).await.ok().and_then(|settled| settled.clone());
    match settled {
        Some(outcome) => outcome.map_err(|trouble| trouble.failure()),
        None => Err(unasked(server)),
    }
}

fn question(core: &Rc<Core>, server: &Arc<Server>, revision: Revision) -> watch::Receiver<Option<Outcome>> {
    let (settled, outcome) = watch::channel(None);
    let (core, server) = (Rc::clone(core), Arc::clone(server));
    tokio::task::spawn_local(async move {
        let asked = ask(&core, &server, revision).await;
        learn(&server, revision, &asked);
        let outcome = server.discovery.settle(revision, asked);
        settled.send_replace(Some(outcome));
    });
    outcome
}

/// What the answer says of the server's era; a failure to ask says nothing.
fn learn(server: &Server, revision: Revision, asked: &Result<Introduced, Refused>) {
    let speaks = match asked {
        Ok(_) => true,
        Err(Refused { said_so: true, .. }) => false,
        Err(_) => return,
    };
    server.eras.learn(&server.settings.name, revision.era(), speaks);
}

/// What a server says of itself, for a view that waits no longer than `patience` for one of many,
/// and not at all for one that was silent for that long already.
pub async fn introduced_within(
    patience: Duration,
    core: &Rc<Core>,
    server: &Arc<Server>,
    revision: Revision,
) -> Result<Arc<Introduced>, Failure> {
    {
        let mut known = server.discovery.of(revision);
        if let Some(introduced) = known.introduced() {
            return Ok(introduced);
        }
        known.recent_trouble()?;
    }
    timeout(patience, introduced(core, server, revision)).await.unwrap_or_else(|_| {
        let failure = silent(server);
        let mut known = server.discovery.of(revision);
        if known.question().is_some() {
            known.trouble = Some(Trouble::new(&failure, REMEMBER_SILENCE));
        }
        Err(failure)
    })
}

/// Forgets what was said on a leg whose session the server no longer knows.
pub fn forget(server: &Server, revision: Revision) {
    let mut known = server.discovery.of(revision);
    if matches!(known.state, State::Introduced(_)) {
        known.state = State::Unknown;
    }
}

/// How long a server may take to introduce itself.
fn patience(server: &Server) -> Duration {
    server.settings.timeout.connect + server.settings.timeout.first_byte
}

/// Ends a leg that is given up before it was introduced, and its instance with it.
struct Unfinished(Option<Leg>);

impl Unfinished {
    fn finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(leg) = self.0.take() {
            leg.end();
        }
    }
}

async fn ask(core: &Rc<Core>, server: &Arc<Server>, revision: Revision) -> Result<Introduced, Refused> {
    let leg = server.own_leg(revision.era(), revision.as_str()).await?;
    let unfinished = Unfinished(Some(leg.clone()));
    let asked = match revision.era() {
        Era::Legacy => {
            timeout(patience(server), greet(core, leg, revision)).await.unwrap_or_else(|_| Err(silent(server)))
        }
        Era::Modern => {
            let asked = timeout(patience(server).min(PROBE), probe(core, leg.clone())).await;
            let asked = asked.unwrap_or_else(|_| Err(other_era(server, revision)));
            asked.map_err(|failure| as_other_era(&leg, revision, failure))
        }
    };
    let (leg, answer) = asked?;
    if answer.envelope.result.is_none() {
        return Err(Refused { failure: other_era(server, revision), said_so: true });
    }
    unfinished.finish();
    Ok(Introduced { leg, answer })
}

async fn greet(core: &Rc<Core>, leg: Leg, revision: Revision) -> Result<(Leg, Message), Failure> {
    leg.initialize(core, &own_initialize(revision), &Provenance::own()).await
}

async fn probe(core: &Rc<Core>, leg: Leg) -> Result<(Leg, Message), Failure> {
    let answer = leg.call(core, &own_discover(), &Provenance::own()).await?.answer().await?;
    Ok((leg, answer))
}

fn other_era(server: &Server, revision: Revision) -> Failure {
    Failure::new(Kind::EraUnsupported, format!("The server {} does not speak MCP {revision}.", server.settings.name))
}

fn silent(server: &Server) -> Failure {
    Failure::new(Kind::ServerTimeout, format!("The server {} did not introduce itself in time.", server.settings.name))
}

fn unasked(server: &Server) -> Failure {
    let name = &server.settings.name;
    Failure::new(Kind::ServerUnavailable, format!("The server {name} could not be asked who it is. Try again."))
}

/// Some programs of the legacy era end upon a method that they do not know, and some HTTP servers
/// answer it with a bare status: neither speaks the modern era.
fn as_other_era(leg: &Leg, revision: Revision, failure: Failure) -> Failure {
    match failure.kind {
        Kind::ServerGarbage => other_era(&leg.server, revision),
        Kind::ServerUnavailable if leg.server.instances().is_some() => {
            leg.forgive();
            other_era(&leg.server, revision)
        }
        _ => failure,
    }
}

/// The leg that all legacy sessions of a client share, introduced by whoever comes first.
pub async fn shared_leg(
    core: &Rc<Core>,
    server: &Arc<Server>,
    revision: Revision,
    client: &str,
) -> Result<Leg, Failure> {
    let mut opened = server.discovery.opening(client, revision).lock_owned().await;
    if let Some(leg) = opened.as_ref().filter(|leg| !leg.is_ended()) {
        return Ok(leg.clone());
    }
    // It goes on when the caller goes away: others may wait for it.
    let (core, owner, client) = (Rc::clone(core), Arc::clone(server), client.to_owned());
    let opening = tokio::task::spawn_local(async move {
        let leg = greet_client(&core, &owner, revision, &client).await?;
        *opened = Some(leg.clone());
        Ok(leg)
    });
    opening.await.unwrap_or_else(|_| Err(unasked(server)))
}

async fn greet_client(core: &Rc<Core>, server: &Arc<Server>, revision: Revision, client: &str) -> Result<Leg, Failure> {
    let leg = server.client_leg(client, revision.as_str()).await?;
    let unfinished = Unfinished(Some(leg.clone()));
    let greeted = timeout(patience(server), greet(core, leg, revision)).await;
    let (leg, answer) = greeted.unwrap_or_else(|_| Err(silent(server)))?;
    if answer.envelope.result.is_none() {
        return Err(other_era(server, revision));
    }
    unfinished.finish();
    Ok(leg.to_shared())
}

/// Introduces a hosted session's leg as the client introduced itself.
pub async fn introduce_session(core: &Rc<Core>, leg: Leg, hosted: &Hosted) -> Result<Leg, Failure> {
    let server = Arc::clone(&leg.server);
    let unfinished = Unfinished(Some(leg.clone()));
    let introduced = timeout(patience(&server), present(core, leg, hosted)).await;
    let leg = introduced.unwrap_or_else(|_| Err(silent(&server)))?;
    unfinished.finish();
    Ok(leg)
}

async fn present(core: &Rc<Core>, leg: Leg, hosted: &Hosted) -> Result<Leg, Failure> {
    let from = Provenance::own();
    let (leg, answer) = leg.initialize(core, &hosted.initialize, &from).await?;
    if answer.is_error() {
        let name = &leg.server.settings.name;
        return Err(Failure::new(Kind::ServerUnavailable, format!("The server {name} refused to open a session."))
            .because(String::from_utf8_lossy(answer.raw(answer.envelope.error).unwrap_or_default())));
    }
    if let Some(level) = hosted.log_level() {
        let request = Message::parse(level).map_err(|problem| Failure::new(Kind::Internal, problem.to_string()))?;
        leg.call(core, &request, &from).await?.answer().await?;
    }
    Ok(leg)
}

fn own_initialize(revision: Revision) -> Message {
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{}","capabilities":{{}},"clientInfo":{{"name":"toolgate","version":"{}"}}}}}}"#,
        revision.as_str(),
        env!("CARGO_PKG_VERSION"),
    );
    own(text)
}

fn own_discover() -> Message {
    own(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{}}}}}"#, own_meta()))
}

/// The `_meta` member of a modern request that the gate makes by itself.
pub fn own_meta() -> String {
    format!(
        r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"toolgate","version":"{}"}}}}"#,
        MODERN.as_str(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// A message that the gate wrote itself.
pub fn own(text: String) -> Message {
    Message::parse(Bytes::from(text)).expect("the gate writes valid messages")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: Kind) -> Result<Introduced, Refused> {
        Err(Refused::from(Failure::new(kind, "no").because("why")))
    }

    #[test]
    fn trouble_of_the_gate_or_of_another_era_does_not_speak_against_a_server() {
        let discovery = Discovery::default();
        for kind in [Kind::QueueTimeout, Kind::NoRoom] {
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
