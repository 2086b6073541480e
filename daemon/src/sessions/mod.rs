//! Sessions of the legacy era: found by id, bound to one client, ended by the client, by idleness
//! or by their server's end.
//!
//! The kinds of sessions and their guards are here; the table that finds them stands beside it.

mod about;
mod clients;
mod handle;
mod hosted;
mod line;
mod outbox;
pub mod story;
mod streams;
mod table;

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use http::HeaderValue;

pub use about::About;
pub use handle::Handle;
pub use hosted::{Answerer, Asked, CHANGE_GAP, Hosted, Outward, Place, Running};
pub use line::{Line, NoRoom, Reading};
pub use outbox::Outbox;
pub use streams::{Found, Stream, Streams, overrun};
pub use table::{Bounds, Earlier, Full, Opened, Table};

use crate::clock;
use crate::lock::lock;
use crate::servers::Server;
use crate::state::Record;
use crate::state::entry::{self, Entry};
use story::Story;

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
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let pairs: &[[u8; 2]; 16] = pairs.try_into().ok().filter(|_| rest.is_empty())?;
        let mut id = [0; 16];
        for (byte, [high, low]) in id.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(id))
    }
}

/// A hexadecimal digit in lower case, as ids are written.
fn digit(text: u8) -> Option<u8> {
    match text {
        b'0'..=b'9' => Some(text - b'0'),
        b'a'..=b'f' => Some(text - b'a' + 10),
        _ => None,
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
    /// What operators know it by.
    pub handle: Handle,
    /// The id as `Mcp-Session-Id` carries it.
    pub header: HeaderValue,
    /// Whose it is; for everybody else it does not exist.
    pub client: Arc<str>,
    /// The path segment that it was opened on; empty for `/mcp`.
    pub view: String,
    /// How it is served.
    pub kind: Kind,
    /// What went on in it.
    pub story: Story,
    /// When it was opened, by our clock.
    opened: u64,
    about: OnceLock<About>,
    /// By our clock; see [`clock::millis_since`] for one of an earlier process.
    last_used: AtomicU64,
    busy: AtomicUsize,
    /// Where it outlives the process.
    record: Option<Record>,
    /// When its record says that it was used last, in milliseconds since 1970. Held while what the record
    /// says is gathered and handed over, so that an older word never comes last.
    said: Mutex<u64>,
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
#[derive(Debug, Clone)]
pub struct Mirrored {
    /// The server, as it was when the session was opened.
    pub server: Arc<Server>,
    /// Which of its endpoints knows the session.
    pub endpoint: usize,
    /// What the server calls it.
    pub upstream: HeaderValue,
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

    /// Says who its client is, where the session itself does not know.
    pub fn introduce(&self, about: About) {
        drop(self.about.set(about));
    }

    /// Who its client is, as far as is known: what a mirrored session of an earlier process was told is not kept.
    pub fn about(&self) -> &About {
        self.about
            .get_or_init(|| self.hosted().map(|hosted| About::of_initialize(&hosted.initialize)).unwrap_or_default())
    }

    /// The revision that is spoken in it.
    pub fn protocol(&self) -> &str {
        self.hosted().map_or(&self.about().protocol, |hosted| hosted.revision.as_str())
    }

    /// Servers that have a part in it.
    pub fn servers(&self) -> Vec<String> {
        match &self.kind {
            Kind::Mirrored(mirrored) => vec![mirrored.server.settings.name.clone()],
            Kind::Hosted(hosted) => hosted.servers(),
        }
    }

    /// Tells each of these by name.
    pub fn each_server(&self, each: &mut impl FnMut(&str)) {
        match &self.kind {
            Kind::Mirrored(mirrored) => each(&mirrored.server.settings.name),
            Kind::Hosted(hosted) => hosted.each_server(each),
        }
    }

    /// Milliseconds since it was opened, or taken over.
    pub fn age_millis(&self) -> u64 {
        clock::millis_since(self.opened)
    }

    /// Milliseconds without a call or stream.
    pub fn idle_millis(&self) -> u64 {
        if self.busy.load(Ordering::Relaxed) > 0 {
            return 0;
        }
        clock::millis_since(self.last_used.load(Ordering::Relaxed))
    }

    /// Has its record say what changed; [`Session::kept`] tells when a client or a server may rely on it.
    pub fn save(&self) {
        self.write(false);
    }

    /// Waits until what was saved is written, but not for long.
    pub async fn kept(&self) {
        if let Some(record) = &self.record {
            record.written().await;
        }
    }

    /// Writes it for the last time: the process ends in good order.
    pub fn settle(&self) {
        self.write(true);
    }

    fn write(&self, settles: bool) {
        let Some(record) = &self.record else { return };
        let mut said = lock(&self.said);
        let used = clock::unix_millis().saturating_sub(self.idle_millis());
        if let Some(entry) = self.entry(used, settles) {
            *said = used;
            record.write(Entry::Session(entry));
        } else {
            record.withhold();
        }
    }

    /// The same, where the record says that it idles for much longer than it does.
    pub fn save_use(&self) {
        let used = clock::unix_millis().saturating_sub(self.idle_millis());
        let said = *lock(&self.said);
        if used.saturating_sub(said) > USE_SAID_EVERY {
            self.save();
        }
    }

    /// `None` where what it stands on cannot be written down, or its client said too much.
    fn entry(&self, used: u64, settles: bool) -> Option<entry::Session> {
        let kind = match &self.kind {
            Kind::Mirrored(mirrored) => entry::Kind::Mirrored {
                server: mirrored.server.settings.name.clone(),
                endpoint: mirrored.server.endpoint_url(mirrored.endpoint)?.to_owned(),
                upstream: mirrored.upstream.as_bytes().into(),
                facet: mirrored.server.facet().map(str::to_owned),
            },
            Kind::Hosted(hosted) => entry::Kind::Hosted(hosted.entry(settles)?),
        };
        let (id, client, view) = (self.id.to_string(), self.client.to_string(), self.view.clone());
        Some(entry::Session { id, client, view, used, kind })
    }

    /// It is over, and is not to come back.
    fn forget(&self) {
        if let Some(record) = &self.record {
            record.erase();
        }
    }
}

/// Messages outside of calls that an instance may have said before its leg stands.
pub const UNASKED: usize = 256;

/// A record may say that its session idles for this much longer than it does, in milliseconds.
pub const USE_SAID_EVERY: u64 = 60_000;

/// Keeps a session from idling.
#[derive(Debug)]
pub struct Busy(Arc<Session>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.last_used.store(clock::millis(), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
