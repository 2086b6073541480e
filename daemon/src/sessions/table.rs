//! The table of sessions, sharded by id: no two calls of different sessions share a lock for long.
//!
//! Its bounds hold in all and per client. A client at its bound loses the session that it left
//! alone for longest, so that one which never ends its sessions can still open them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::RandomState;
use http::HeaderValue;

use super::clients::{Clients, Refused};
use super::story::{self, Event, Room, Story};
use super::{Handle, Hosted, Kind, Session, SessionId};
use crate::lock::lock;
use crate::observe::ledger::What;

use crate::clock;
use crate::state::{Record, State};

/// A power of two.
const SHARDS: usize = 64;
/// See [`Table`].
const YOUNG: u64 = 60_000;

type Shard = HashMap<SessionId, Arc<Session>, RandomState>;

/// All sessions.
#[derive(Debug)]
pub struct Table {
    shards: Vec<Mutex<Shard>>,
    clients: Clients,
    count: AtomicUsize,
    /// A session that idles for less is not ended for another's sake, in milliseconds.
    young: u64,
    /// Where sessions outlive the process.
    state: Option<Arc<State>>,
    /// For what went on in them.
    room: Arc<Room>,
    /// Sessions that were opened.
    opened: AtomicU64,
}

/// A session of an earlier process.
#[derive(Debug)]
pub struct Earlier {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub client: Arc<str>,
    /// The path segment that it was opened on.
    pub view: String,
    /// How it is served.
    pub kind: Kind,
    /// For how long it has idled, in milliseconds.
    pub idle: u64,
}

/// How many sessions may be open.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// In all.
    pub all: usize,
    /// Of one client.
    pub per_client: usize,
}

/// A session that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The new one.
    pub session: Arc<Session>,
    /// One of the same client that was ended for it.
    pub ended: Option<Arc<Session>>,
}

/// Why no session was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are as many as may be.
    All,
    /// The client has as many as it may, and used each of them within the last minute.
    Client,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            clients: Clients::default(),
            count: AtomicUsize::new(0),
            young: YOUNG,
            state: None,
            room: Arc::default(),
            opened: AtomicU64::new(0),
        }
    }
}

impl Table {
    /// A table whose sessions outlive the process where there is a state.
    pub fn kept_by(state: Option<Arc<State>>) -> Self {
        Self { state, ..Self::default() }
    }

    /// Opens a session of a client on a path.
    pub fn open(&self, client: &Arc<str>, view: &str, kind: Kind, bounds: Bounds) -> Result<Opened, Full> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= bounds.all {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::All);
        }
        let id = SessionId::random();
        let Ok(ended) = self.enter(client, id, bounds.per_client) else {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Client);
        };
        let earlier = Earlier { id, client: Arc::clone(client), view: view.to_owned(), kind, idle: 0 };
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Opened { session: self.add(earlier), ended })
    }

    /// Takes a session of an earlier process over, whatever bounds hold by now: nobody loses one by it.
    pub fn open_again(&self, earlier: Earlier) -> Arc<Session> {
        self.count.fetch_add(1, Ordering::Relaxed);
        // Of another session with the same id the client would not know which it has.
        drop(self.clients.enter(&earlier.client, earlier.id, usize::MAX));
        self.add(earlier)
    }

    /// Adds a session that is counted, and writes its record before anybody knows of it.
    fn add(&self, Earlier { id, client, view, kind, idle }: Earlier) -> Arc<Session> {
        let session = Arc::new(Session {
            id,
            handle: Handle::of(id),
            header: HeaderValue::from_str(&id.to_string()).expect("hex digits are a header value"),
            client,
            view,
            kind,
            story: Story::new(&self.room),
            opened: clock::millis().wrapping_sub(idle),
            about: OnceLock::new(),
            last_used: AtomicU64::new(clock::millis().wrapping_sub(idle)),
            busy: AtomicUsize::new(0),
            record: self.state.as_ref().map(Record::new),
            said: Mutex::new(0),
        });
        if let Kind::Hosted(hosted) = &session.kind {
            hosted.belong_to(&session);
        }
        session.story.tell(Event::now(story::Kind::Opened, What::nothing()));
        session.save();
        self.shard(id).insert(id, Arc::clone(&session));
        session
    }

    /// Notes the session under its client; at the bound another of that client ends first.
    fn enter(&self, client: &Arc<str>, id: SessionId, max: usize) -> Result<Option<Arc<Session>>, Refused> {
        let Err(Refused { others }) = self.clients.enter(client, id, max) else { return Ok(None) };
        let known = others.iter().filter_map(|id| self.shard(*id).get(id).cloned());
        let longest =
            known.max_by_key(|session| session.idle_millis()).filter(|longest| longest.idle_millis() >= self.young);
        let ended = longest.and_then(|longest| self.end(longest.id));
        // The place may have gone to another call meanwhile; then that one was luckier.
        self.clients.enter(client, id, max).map(|()| ended)
    }

    /// The session of that id, if it is this client's on this path. Another client's session
    /// looks like one that never was.
    pub fn find(&self, id: &str, client: &str, view: &str) -> Option<Arc<Session>> {
        let id = SessionId::parse(id)?;
        let session = self.shard(id).get(&id).cloned()?;
        (*session.client == *client && session.view == view).then_some(session)
    }

    /// Removes a session and ends what it holds.
    pub fn end(&self, id: SessionId) -> Option<Arc<Session>> {
        let session = self.shard(id).remove(&id)?;
        self.clients.leave(&session.client, id);
        self.count.fetch_sub(1, Ordering::Relaxed);
        session.forget();
        if let Kind::Hosted(hosted) = &session.kind {
            hosted.end();
        }
        Some(session)
    }

    /// Sessions that clients have opened since the process began.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Makes room for what goes on in sessions: those that idled for longest forget most of it.
    pub fn make_room(&self) {
        if !self.room.is_tight() {
            return;
        }
        let mut by_idleness = Vec::with_capacity(self.len());
        for shard in &self.shards {
            by_idleness.extend(lock(shard).values().map(|session| (session.idle_millis(), Arc::clone(session))));
        }
        by_idleness.sort_by_key(|(idle, _)| std::cmp::Reverse(*idle));
        for (_, session) in by_idleness {
            if !self.room.is_tight() {
                return;
            }
            session.story.shrink();
        }
    }

    /// Bytes that is kept of what went on in sessions.
    pub fn story_bytes(&self) -> usize {
        self.room.used()
    }

    /// Sessions open now.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// How many there are that fit.
    #[must_use]
    pub fn count_of(&self, fits: impl Fn(&Session) -> bool) -> usize {
        self.shards.iter().map(|shard| lock(shard).values().filter(|session| fits(session)).count()).sum()
    }

    /// How many each server has part in, by its name.
    #[must_use]
    pub fn by_server(&self) -> HashMap<String, u64> {
        let mut counts = HashMap::<String, u64>::new();
        let mut count = |server: &str| match counts.get_mut(server) {
            Some(count) => *count += 1,
            None => drop(counts.insert(server.to_owned(), 1)),
        };
        for shard in &self.shards {
            lock(shard).values().for_each(|session| session.each_server(&mut count));
        }
        counts
    }

    /// How many there are of each kind that `kind` names, in one pass over all of them.
    #[must_use]
    pub fn tally<K: Eq + std::hash::Hash>(&self, kind: impl Fn(&Session) -> Option<K>) -> HashMap<K, u64> {
        let mut counted = HashMap::new();
        for shard in &self.shards {
            for kind in lock(shard).values().filter_map(|session| kind(session)) {
                *counted.entry(kind).or_default() += 1;
            }
        }
        counted
    }

    /// Looks at every session, without holding up calls for longer than it takes to copy a part of the table.
    pub fn look(&self, mut look: impl FnMut(&Arc<Session>)) {
        for shard in &self.shards {
            let sessions: Vec<_> = lock(shard).values().cloned().collect();
            sessions.iter().for_each(&mut look);
        }
    }

    /// Those that fit.
    #[must_use]
    pub fn filtered(&self, fits: impl Fn(&Session) -> bool) -> Vec<SessionId> {
        let of_shard = |shard: &Mutex<Shard>| -> Vec<SessionId> {
            lock(shard).values().filter(|session| fits(session)).map(|session| session.id).collect()
        };
        self.shards.iter().flat_map(of_shard).collect()
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends sessions that idled for longer than `timeout`, and those for which `stale` holds.
    /// Gives them back.
    pub fn sweep(&self, timeout: Duration, stale: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let mut ended = Vec::new();
        for shard in &self.shards {
            let over: Vec<SessionId> = lock(shard)
                .values()
                .filter(|session| session.idle_millis() > timeout || stale(session))
                .map(|session| session.id)
                .collect();
            ended.extend(over.into_iter().filter_map(|id| self.end(id)));
        }
        ended
    }

    /// Writes down when sessions were used last, where that has changed much.
    pub fn save_uses(&self) {
        self.each(Session::save_use);
    }

    /// Writes down all of them: the process ends in good order.
    pub fn settle(&self) {
        self.each(Session::settle);
    }

    fn each(&self, work: impl Fn(&Session)) {
        if self.state.is_none() {
            return;
        }
        for shard in &self.shards {
            let sessions: Vec<_> = lock(shard).values().cloned().collect();
            for session in sessions {
                work(&session);
            }
        }
    }

    /// Has each session forget the streams that nobody came back to; `lost` gets what was on them
    /// and that nobody was handed.
    pub fn tidy(&self, lost: impl Fn(&Hosted, Vec<Bytes>)) {
        for shard in &self.shards {
            let all: Vec<_> = lock(shard).values().cloned().collect();
            for hosted in all.iter().filter_map(|session| session.hosted()) {
                lost(hosted, hosted.streams.tidy());
            }
        }
    }

    fn shard(&self, id: SessionId) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(id.0[0]) % SHARDS])
    }
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::revision::LATEST_LEGACY;

    use super::*;
    use crate::message::Message;
    use crate::sessions::Hosted;

    const BOUNDS: Bounds = Bounds { all: 10, per_client: 10 };

    fn hosted() -> Kind {
        let initialize = Message::parse(r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#.into()).unwrap();
        Kind::Hosted(Box::new(Hosted::new(LATEST_LEGACY, initialize, false)))
    }

    fn open(table: &Table, client: &Arc<str>, bounds: Bounds) -> Result<Opened, Full> {
        table.open(client, "weather", hosted(), bounds)
    }

    #[test]
    fn an_id_is_read_as_it_is_written_and_in_no_other_way() {
        let id = SessionId::random();
        let text = id.to_string();
        assert_eq!(SessionId::parse(&text), Some(id));
        for other in [
            "",
            &text[1..],
            &format!("{text}0"),
            &format!("{text}00"),
            &text.replace(&text[..1], "G"),
            &format!("+{}", &text[1..]),
        ] {
            assert_eq!(SessionId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_session_is_found_by_its_client_on_its_path_only() {
        let table = Table::default();
        let id = open(&table, &"key:ann".into(), BOUNDS).unwrap().session.id.to_string();
        assert!(table.find(&id, "key:ann", "weather").is_some());
        assert!(table.find(&id, "key:bob", "weather").is_none());
        assert!(table.find(&id, "key:ann", "files").is_none());
        assert!(table.find(&id.to_uppercase(), "key:ann", "weather").is_none());
    }

    #[test]
    fn the_table_is_bounded_and_an_ended_session_makes_room() {
        let (table, ann) = (Table::default(), Arc::from("key:ann"));
        let bounds = Bounds { all: 1, per_client: 1 };
        let first = open(&table, &ann, bounds).unwrap();
        assert_eq!(open(&table, &"key:bob".into(), bounds).unwrap_err(), Full::All);
        table.end(first.session.id);
        assert!(open(&table, &ann, bounds).is_ok());
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_client_at_its_bound_loses_what_it_left_alone_for_longest() {
        let (table, ann) = (Table { young: 10, ..Table::default() }, Arc::from("key:ann"));
        let bounds = Bounds { all: 10, per_client: 3 };
        while clock::millis() < 20 {}
        let [busy, longest, long] = std::array::from_fn(|_| open(&table, &ann, bounds).unwrap().session);
        for session in [&busy, &longest, &long] {
            session.last_used.store(clock::millis() + 1_000_000, Ordering::Relaxed);
        }
        assert_eq!(open(&table, &ann, bounds).unwrap_err(), Full::Client, "all were used lately");
        assert!(open(&table, &"key:bob".into(), bounds).is_ok(), "another's sessions do not count");
        let _in_use = busy.enter();
        for (used, session) in [&busy, &longest, &long].into_iter().enumerate() {
            session.last_used.store(used as u64, Ordering::Relaxed);
        }
        assert_eq!(open(&table, &ann, bounds).unwrap().ended.unwrap().id, longest.id);
        assert_eq!(open(&table, &ann, bounds).unwrap().ended.unwrap().id, long.id);
        assert_eq!(table.len(), 4);
    }

    #[test]
    fn a_session_of_an_earlier_process_has_idled_since_then() {
        let table = Table::default();
        let (id, client) = (SessionId::random(), Arc::from("key:ann"));
        let earlier = Earlier { id, client, view: "weather".to_owned(), kind: hosted(), idle: 3_600_000 };
        let session = table.open_again(earlier);
        assert!((3_600_000..3_700_000).contains(&session.idle_millis()));
        assert!(table.find(&id.to_string(), "key:ann", "weather").is_some());
        drop(session.enter());
        assert!(session.idle_millis() < 3_600_000);
        table.end(id);
        assert!(table.is_empty() && table.clients.is_empty());
    }

    #[test]
    fn only_idle_sessions_are_swept() {
        let (table, ann) = (Table::default(), Arc::from("key:ann"));
        let [busy, idle] = std::array::from_fn(|_| open(&table, &ann, BOUNDS).unwrap().session);
        let guard = busy.enter();
        let swept = table.sweep(Duration::ZERO, |session| session.busy.load(Ordering::Relaxed) == 0);
        assert_eq!(swept.iter().map(|session| session.id).collect::<Vec<_>>(), [idle.id]);
        assert!(table.find(&idle.id.to_string(), "key:ann", "weather").is_none());
        drop(guard);
        assert!(table.find(&busy.id.to_string(), "key:ann", "weather").is_some());
    }

    #[test]
    fn sessions_that_ended_leave_nothing_behind() {
        let table = Table::default();
        for client in 0..100 {
            let client = Arc::from(format!("address:{client}"));
            let opened = open(&table, &client, BOUNDS).unwrap();
            table.end(opened.session.id);
        }
        assert!(table.is_empty() && table.clients.is_empty());
    }
}
