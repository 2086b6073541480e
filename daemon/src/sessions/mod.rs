//! Sessions of the legacy era: found by id, bound to one client, ended by the client, by idleness
//! or by their server's end.
//!
//! The table is sharded by id, so no two calls of different sessions share a lock for long.

mod hosted;
mod line;
mod outbox;
mod streams;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::RandomState;
use http::HeaderValue;

pub use hosted::{Answerer, Asked, Hosted, Outward, Place, Running};
pub use line::{Full, Line, Reading};
pub use outbox::Outbox;
pub use streams::{Found, Stream, Streams, overrun};

use crate::clock;

/// A power of two.
const SHARDS: usize = 64;

/// 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// A fresh id from the system's random source.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system has a random source");
        Self(bytes)
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        Some(Self(u128::from_str_radix(text, 16).ok()?.to_be_bytes()))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SessionId {
    /// Enough to tell sessions apart in a log, not enough to use one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}…", u128::from_be_bytes(self.0) >> 96)
    }
}

/// A conversation of the legacy era.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The id as `Mcp-Session-Id` carries it.
    pub header: HeaderValue,
    /// Whose it is; for everybody else it does not exist.
    pub client: Arc<str>,
    /// The path segment that it was opened on; empty for `/mcp`.
    pub view: String,
    /// How it is served.
    pub kind: Kind,
    last_used: AtomicU64,
    busy: AtomicUsize,
}

/// How a session is served.
#[derive(Debug)]
pub enum Kind {
    /// One HTTP server's session behind ours, message for message.
    Mirrored(Mirrored),
    /// The gate is the session's end; servers are reached through legs.
    Hosted(Box<Hosted>),
}

/// A server's own session behind one of ours.
#[derive(Debug)]
pub struct Mirrored {
    /// The server's name.
    pub server: String,
    /// Which configuration of that server it was opened under.
    pub generation: u64,
    /// Which of its endpoints knows the session.
    pub endpoint: usize,
    /// What the server calls it.
    pub upstream: http::HeaderValue,
}

impl Session {
    /// Marks a call or a stream; the session does not idle while the guard lives.
    pub fn enter(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// The gate's side of it, where the gate is its end.
    pub fn hosted(&self) -> Option<&Hosted> {
        match &self.kind {
            Kind::Hosted(hosted) => Some(hosted),
            Kind::Mirrored(_) => None,
        }
    }

    /// Milliseconds without a call or stream.
    pub fn idle_millis(&self) -> u64 {
        if self.busy.load(Ordering::Relaxed) > 0 {
            return 0;
        }
        clock::millis().saturating_sub(self.last_used.load(Ordering::Relaxed))
    }
}

/// Keeps a session from idling.
#[derive(Debug)]
pub struct Busy(Arc<Session>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.last_used.store(clock::millis(), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

type Shard = HashMap<SessionId, Arc<Session>, RandomState>;

/// All sessions.
#[derive(Debug)]
pub struct Table {
    shards: Vec<Mutex<Shard>>,
    count: AtomicUsize,
}

impl Default for Table {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), count: AtomicUsize::new(0) }
    }
}

impl Table {
    /// Opens a session unless there are `max` already.
    pub fn open(&self, client: &Arc<str>, view: &str, kind: Kind, max: usize) -> Option<Arc<Session>> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= max {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let id = SessionId::random();
        let session = Arc::new(Session {
            id,
            header: HeaderValue::from_str(&id.to_string()).expect("hex digits are a header value"),
            client: Arc::clone(client),
            view: view.to_owned(),
            kind,
            last_used: AtomicU64::new(clock::millis()),
            busy: AtomicUsize::new(0),
        });
        self.shard(session.id).insert(session.id, Arc::clone(&session));
        Some(session)
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
        self.count.fetch_sub(1, Ordering::Relaxed);
        if let Kind::Hosted(hosted) = &session.kind {
            hosted.end();
        }
        Some(session)
    }

    /// Sessions open now.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends sessions that idled for longer than `timeout`, and those for which `stale` holds.
    /// Gives back how many.
    pub fn sweep(&self, timeout: Duration, stale: impl Fn(&Session) -> bool) -> usize {
        let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let mut ended = 0;
        for shard in &self.shards {
            let over: Vec<SessionId> = lock(shard)
                .values()
                .filter(|session| session.idle_millis() > timeout || stale(session))
                .map(|session| session.id)
                .collect();
            ended += over.into_iter().filter_map(|id| self.end(id)).count();
        }
        ended
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrored() -> Kind {
        Kind::Mirrored(Mirrored {
            server: "weather".into(),
            generation: 0,
            endpoint: 0,
            upstream: http::HeaderValue::from_static("upstream"),
        })
    }

    #[test]
    fn a_session_is_found_by_its_client_on_its_path_only() {
        let table = Table::default();
        let ann: Arc<str> = "key:ann".into();
        let id = table.open(&ann, "weather", mirrored(), 10).unwrap().id.to_string();
        assert!(table.find(&id, "key:ann", "weather").is_some());
        assert!(table.find(&id, "key:bob", "weather").is_none());
        assert!(table.find(&id, "key:ann", "files").is_none());
        assert!(table.find(&id.to_uppercase(), "key:ann", "weather").is_none());
    }

    #[test]
    fn the_table_is_bounded_and_an_ended_session_makes_room() {
        let table = Table::default();
        let ann: Arc<str> = "key:ann".into();
        let first = table.open(&ann, "", mirrored(), 1).unwrap();
        assert!(table.open(&ann, "", mirrored(), 1).is_none());
        table.end(first.id);
        assert!(table.open(&ann, "", mirrored(), 1).is_some());
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn only_idle_sessions_are_swept() {
        let table = Table::default();
        let ann: Arc<str> = "key:ann".into();
        let busy = table.open(&ann, "", mirrored(), 10).unwrap();
        let idle = table.open(&ann, "", mirrored(), 10).unwrap();
        let guard = busy.enter();
        assert_eq!(table.sweep(Duration::ZERO, |session| session.busy.load(Ordering::Relaxed) == 0), 1);
        assert!(table.find(&idle.id.to_string(), "key:ann", "").is_none());
        drop(guard);
        assert!(table.find(&busy.id.to_string(), "key:ann", "").is_some());
    }
}
