//! A session whose end is the gate itself: in front of stdio servers and of merged views.
//!
//! Each server of the session has a leg of its own, opened at the first call that needs it. What
//! servers ask gets an id of ours, so that two servers' requests never meet at the client.

mod recorded;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use toolgate_protocol::bridge::listen::List;
use toolgate_protocol::bridge::request::Declared;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::revision::Revision;
use toolgate_protocol::spaced::Spaced;

use super::{Outbox, Session, Streams};
use crate::lock::lock;
use crate::message::Message;
use crate::relay::crossing::watched::Watched;
use crate::relay::links;
use crate::servers::Server;
use crate::servers::endpoints::To;
use crate::servers::exchange::refusal;
use crate::servers::leg::Leg;
use crate::state::{MAX_ID, entry};

/// Requests of servers that may wait for the client's answer at once.
const MAX_ASKED: usize = 256;

/// Between two announcements that the same kind of list changed, in milliseconds.
pub const CHANGE_GAP: u64 = 100;

/// The leg to one server; locked while it is opened.
type Opening = tokio::sync::Mutex<Option<Leg>>;

/// The state of a hosted session.
#[derive(Debug)]
pub struct Hosted {
    /// The revision that was agreed on.
    pub revision: Revision,
    /// The client's `initialize`, told to each server in turn.
    pub initialize: Message,
    /// The same as each request to a modern server says it.
    pub declared: Arc<Declared>,
    /// Whether it is a view of several servers, which offers names of its own.
    merged: bool,
    /// What servers say outside of calls.
    pub outbox: Arc<Outbox>,
    /// What its calls say.
    pub streams: Streams,
    /// By server. Held only to look one up: a server that starts slowly holds up its own calls.
    legs: Mutex<HashMap<String, Arc<Opening>>>,
    /// Those of them that a later process may go on with, by server.
    noted: Mutex<BTreeMap<String, entry::Leg>>,
    asked: Mutex<HashMap<u64, Answerer>>,
    running: Arc<Mutex<HashMap<Bytes, Place>>>,
    /// Resources of modern servers that the client watches, by server.
    watched: Mutex<HashMap<String, Arc<Watched>>>,
    log_level: Mutex<Option<Bytes>>,
    /// Servers whose announcements reach the session without a leg of its own.
    hears: Mutex<HashSet<String>>,
    /// Announcements of list changes, by list.
    changes: [Mutex<Spaced<Bytes>>; List::ALL.len()],
    next_asked: AtomicU64,
    /// Whose record says all of this.
    session: OnceLock<Weak<Session>>,
}

/// Who waits for the client's answer to a request.
#[derive(Debug, Clone)]
pub enum Answerer {
    /// A server that asked by itself.
    Server(Asked),
    /// A call whose modern server required input.
    Call(mpsc::Sender<Message>),
}

impl Answerer {
    fn is_of(&self, leg: &Leg) -> bool {
        matches!(self, Self::Server(asked) if asked.leg.is_same(leg))
    }

    fn is_gone(&self) -> bool {
        match self {
            Self::Server(asked) => asked.leg.is_ended(),
            Self::Call(call) => call.is_closed(),
        }
    }
}

/// A server's request on its way through the client.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who asked.
    pub leg: Leg,
    /// The id that the server gave it.
    pub id: Bytes,
}

/// What becomes of a server's message.
#[derive(Debug)]
pub enum Outward {
    /// It goes to the client like this.
    Pass(Bytes),
    /// Too many requests wait for the client, or its id is too long; the server is to be told.
    Refuse(Asked),
    /// It concerns nothing that the client knows.
    Nothing,
}

/// Where a client's request runs.
#[derive(Debug, Clone)]
pub struct Place {
    /// The server.
    pub leg: Leg,
    /// Its id there, which stands for its progress token as well.
    pub id: Bytes,
    /// The client's own progress token.
    pub token: Option<Bytes>,
    /// Ends it here: nobody waits for its answer any more.
    pub stop: Arc<Notify>,
}

/// A client's request in flight: it can be cancelled until this is dropped.
#[derive(Debug)]
pub struct Running {
    id: Bytes,
    id_there: Bytes,
    stop: Arc<Notify>,
    all: Arc<Mutex<HashMap<Bytes, Place>>>,
}

impl Running {
    /// Waits until it is cancelled.
    pub async fn stopped(&self) {
        self.stop.notified().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        // Another request may have the id by now: this one's second attempt at a restarted server.
        if all.get(&self.id).is_some_and(|place| place.id == self.id_there) {
            all.remove(&self.id);
        }
    }
}

impl Hosted {
    /// A session that no server knows yet.
    pub fn new(revision: Revision, initialize: Message, merged: bool) -> Self {
        let streams = Streams::default();
        let outbox = Outbox::new(&streams);
        Self::with(revision, initialize, merged, streams, outbox)
    }

    fn with(revision: Revision, initialize: Message, merged: bool, streams: Streams, outbox: Outbox) -> Self {
        let declared = Arc::new(Declared::of_initialize(&initialize.bytes, &initialize.envelope));
        Self {
            revision,
            initialize,
            declared,
            merged,
            outbox: Arc::new(outbox),
            streams,
            legs: Mutex::default(),
            noted: Mutex::default(),
            asked: Mutex::default(),
            running: Arc::default(),
            watched: Mutex::default(),
            log_level: Mutex::default(),
            hears: Mutex::default(),
            changes: std::array::from_fn(|_| Mutex::new(Spaced::new(CHANGE_GAP))),
            next_asked: AtomicU64::new(1),
            session: OnceLock::new(),
        }
    }

    /// Servers that it has called.
    pub fn servers(&self) -> Vec<String> {
        let mut servers: Vec<_> = lock(&self.legs).keys().cloned().collect();
        servers.sort();
        servers
    }

    /// Whether it is a view of several servers, which offers names of its own.
    pub fn is_merged(&self) -> bool {
        self.merged
    }

    /// The leg to a server, opened by `open` if there is none that lives. A leg to what the server
    /// was before a reload changed how it is reached does not.
    pub async fn leg<E>(&self, server: &Server, open: impl AsyncFnOnce() -> Result<Leg, E>) -> Result<Leg, E> {
        let opening = Arc::clone(lock(&self.legs).entry(server.settings.name.clone()).or_default());
        let mut opened = opening.lock().await;
        if let Some(leg) = opened.as_ref().filter(|leg| leg.leads_to(server)) {
            return Ok(leg.clone());
        }
        let leg = open().await?;
        *opened = Some(leg.clone());
        Ok(leg)
    }

    /// The leg to a server, if one lives; waits for one that is being opened.
    pub async fn living_leg(&self, server: &Server) -> Option<Leg> {
        let opening = self.opening(&server.settings.name)?;
        let opened = opening.lock().await;
        opened.as_ref().filter(|leg| leg.leads_to(server)).cloned()
    }

    /// Where its next call to a server goes: with the leg, if one lives. `None` while somebody has the leg in hand, such as
    /// to open it.
    pub fn to(&self, server: &Server) -> Option<To> {
        let Some(opening) = self.opening(&server.settings.name) else { return Some(To::Any) };
        let opened = opening.try_lock().ok()?;
        Some(opened.as_ref().filter(|leg| leg.leads_to(server)).map_or(To::Any, Leg::to))
    }

    /// Every server that it ever reached.
    pub fn each_server(&self, each: &mut impl FnMut(&str)) {
        lock(&self.legs).keys().for_each(|server| each(server));
    }

    /// Whether it ever reached a server.
    pub fn has_leg(&self, server: &str) -> bool {
        lock(&self.legs).contains_key(server)
    }

    /// All legs that live; waits for those that are being opened.
    pub async fn living_legs(&self) -> Vec<Leg> {
        let all: Vec<_> = lock(&self.legs).values().cloned().collect();
        let mut living = Vec::new();
        for opening in all {
            living.extend(opening.lock().await.as_ref().filter(|leg| !leg.is_ended()).cloned());
        }
        living
    }

    /// Forgets the leg to a server whose own session is gone.
    pub async fn lose_leg(&self, server: &str) {
        let Some(opening) = self.opening(server) else { return };
        let lost = opening.lock().await.take();
        if let Some(leg) = lost {
            self.forget_asked(&leg);
        }
    }

    fn opening(&self, server: &str) -> Option<Arc<Opening>> {
        lock(&self.legs).get(server).cloned()
    }

    /// Makes a server's message fit for the client: a request gets an id of ours, the
    /// cancellation of one names that id.
    pub fn outward(&self, leg: &Leg, message: Bytes) -> Outward {
        let Ok(message) = Message::parse(message) else { return Outward::Nothing };
        if message.shape() == Shape::Request {
            let asked = Asked { leg: leg.clone(), id: message.id_bytes() };
            return match self.ask(asked) {
                Ok(ours) => Outward::Pass(message.with(&[(message.envelope.id, ours.to_string().as_bytes())]).into()),
                Err(asked) => Outward::Refuse(asked),
            };
        }
        if message.method() != "notifications/cancelled" {
            let name = &leg.server.settings.name;
            return Outward::Pass(if self.merged { links::updated(name, message) } else { message.bytes });
        }
        let theirs = message.raw(message.envelope.request_id);
        match theirs.and_then(|theirs| self.take_asked(leg, theirs)) {
            Some(ours) => {
                Outward::Pass(message.with(&[(message.envelope.request_id, ours.to_string().as_bytes())]).into())
            }
            None => Outward::Nothing,
        }
    }

    fn ask(&self, asked: Asked) -> Result<u64, Asked> {
        if asked.id.len() > MAX_ID {
            return Err(asked);
        }
        {
            let mut waiting = lock(&self.asked);
            if waiting.len() >= MAX_ASKED {
                waiting.retain(|_, answerer| !answerer.is_gone());
            }
            if waiting.len() >= MAX_ASKED {
                return Err(asked);
            }
        }
        Ok(self.expect(Answerer::Server(asked)))
    }

    /// The id of a request to the client whose answer goes to `answerer`.
    pub fn expect(&self, answerer: Answerer) -> u64 {
        let ours = self.next_asked.fetch_add(1, Ordering::Relaxed);
        let is_kept = answerer.entry().is_some();
        lock(&self.asked).insert(ours, answerer);
        if is_kept {
            self.save();
        }
        ours
    }

    /// The id that the client knows a server's request by, which nobody waits for from now on.
    fn take_asked(&self, leg: &Leg, theirs: &[u8]) -> Option<u64> {
        let waiting = lock(&self.asked);
        let is_it = |answerer: &Answerer| matches!(answerer, Answerer::Server(asked) if asked.id == theirs);
        let found = waiting.iter().find(|(_, answerer)| is_it(answerer) && answerer.is_of(leg));
        let ours = found.map(|(ours, _)| *ours)?;
        drop(waiting);
        self.remove_asked(ours).map(|_| ours)
    }

    fn remove_asked(&self, ours: u64) -> Option<Answerer> {
        let answerer = lock(&self.asked).remove(&ours)?;
        if answerer.entry().is_some() {
            self.save();
        }
        Some(answerer)
    }

    /// Forgets what was asked on a leg that has ended.
    pub fn forget_asked(&self, leg: &Leg) {
        lock(&self.asked).retain(|_, answerer| !answerer.is_of(leg));
    }

    /// The server's request in a message that the client will never see; to be refused. A call that
    /// asked it is told at once.
    pub fn unseen(&self, message: Bytes) -> Option<Asked> {
        let message = Message::parse(message).ok().filter(|message| message.shape() == Shape::Request)?;
        match self.answered(message.id()?)? {
            Answerer::Server(asked) => Some(asked),
            Answerer::Call(call) => {
                if let Ok(refusal) = Message::parse(refusal(message.id()?)) {
                    // A call whose answers are full or that is over needs no more of them.
                    drop(call.try_send(refusal));
                }
                None
            }
        }
    }

    /// Who waits for a client's response; each is handed over once.
    pub fn answered(&self, ours: &[u8]) -> Option<Answerer> {
        let ours: u64 = std::str::from_utf8(ours).ok()?.parse().ok()?;
        self.remove_asked(ours)
    }

    /// Remembers where a request runs, for its cancellation.
    pub fn runs(&self, id: Bytes, place: Place) -> Running {
        let (id_there, stop) = (place.id.clone(), Arc::clone(&place.stop));
        lock(&self.running).insert(id.clone(), place);
        Running { id, id_there, stop, all: Arc::clone(&self.running) }
    }

    /// Where a request runs, if it does.
    pub fn running(&self, id: &[u8]) -> Option<Place> {
        lock(&self.running).get(id).cloned()
    }

    /// Gives progress that came outside of its call the client's own token, and drops what
    /// belongs to no call that runs.
    pub fn with_own_token(&self, leg: &Leg, message: Bytes) -> Option<Bytes> {
        let parsed = Message::parse(message).ok()?;
        if parsed.method() != "notifications/progress" {
            return Some(parsed.bytes);
        }
        let theirs = parsed.raw(parsed.envelope.progress_token)?;
        let running = lock(&self.running);
        let place = running.values().find(|place| place.id == theirs && place.leg.is_same(leg))?;
        Some(parsed.with(&[(parsed.envelope.progress_token, place.token.as_deref()?)]).into())
    }

    /// Whether the session has not heard a server's announcements so far; from now on it does.
    pub fn begin_hearing(&self, server: &str) -> bool {
        lock(&self.hears).insert(server.to_owned())
    }

    /// A server's announcements do not reach the session any more.
    pub fn end_hearing(&self, server: &str) {
        lock(&self.hears).remove(server);
    }

    /// What spaces out announcements of one list.
    pub fn changes(&self, list: List) -> MutexGuard<'_, Spaced<Bytes>> {
        lock(&self.changes[list as usize])
    }

    /// What the client watches at a modern server.
    pub fn watched(&self, server: &str) -> Option<Arc<Watched>> {
        lock(&self.watched).get(server).cloned()
    }

    /// Begins to watch at a server, unless somebody was faster; whether it is new.
    pub fn watch(&self, server: &str, fresh: Watched) -> (Arc<Watched>, bool) {
        match lock(&self.watched).entry(server.to_owned()) {
            Entry::Occupied(known) => (Arc::clone(known.get()), false),
            Entry::Vacant(place) => (Arc::clone(place.insert(Arc::new(fresh))), true),
        }
    }

    /// The client's `logging/setLevel` request, told to servers that join later.
    pub fn log_level(&self) -> Option<Bytes> {
        lock(&self.log_level).clone()
    }

    /// Remembers the client's `logging/setLevel` request.
    pub fn set_log_level(&self, request: Bytes) {
        *lock(&self.log_level) = Some(request);
        self.save();
    }

    /// Ends every leg; called when the session has left the table.
    pub fn end(&self) {
        self.outbox.close();
        lock(&self.asked).clear();
        self.end_legs();
    }

    /// A leg that is being opened stays until whoever opens it has let go of the session.
    fn end_legs(&self) {
        for opening in lock(&self.legs).values() {
            if let Ok(mut opened) = opening.try_lock()
                && let Some(leg) = opened.take()
            {
                leg.end();
            }
        }
    }
}

impl Drop for Hosted {
    /// Whoever held a leg while the session ended has let go by now.
    fn drop(&mut self) {
        self.end_legs();
    }
}
