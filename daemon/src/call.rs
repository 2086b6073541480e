//! A call: one HTTP request on its way through the stages.
//!
//! Stages fill it in order; a later stage relies on what an earlier one has put here.

use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AsHeaderName;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method};
use toolgate_protocol::revision::Era;

use crate::answers::Reception;
use crate::core::Core;
use crate::grants::pages::CALLBACK;
use crate::identity::Client;
use crate::identity::rights::Ruling;
use crate::limits::{Held, Told};
use crate::listen::connection::Connection;
use crate::message::Message;
use crate::observe::ledger::Place;
use crate::observe::traces::Traced;
use crate::policy::{Entrance, Policy, View};
use crate::provenance::Provenance;
use crate::relay::names::Routed;
use crate::running::Mark;
use crate::servers::queue::Permit;
use crate::sessions::{Busy, Session};

/// Joins answer, log line, metrics and console: 8 hex digits of the process, 12 of the call.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId([u8; 20]);

impl CallId {
    /// The next id.
    pub fn mint() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        static PROCESS: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
            let mut bytes = [0; 4];
            aws_lc_rs::rand::fill(&mut bytes).expect("the system has a random source");
            u32::from_ne_bytes(bytes)
        });
        let mut text = [0; 20];
        hex(&mut text[..8], u64::from(*PROCESS));
        hex(&mut text[8..], NEXT.fetch_add(1, Ordering::Relaxed));
        Self(text)
    }

    /// The id as bytes of text.
    pub fn bytes(&self) -> [u8; 20] {
        self.0
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits are ASCII")
    }
}

fn hex(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One HTTP request on its way.
pub struct Call {
    /// Its id.
    pub id: CallId,
    /// When its head was read.
    pub started: Instant,
    /// Its place among the calls that run on its core.
    pub mark: Mark,
    /// The core that serves it.
    pub core: Rc<Core>,
    /// The connection that it came on.
    pub connection: Rc<Connection>,
    /// Where the call comes from: the peer, or whom a trusted proxy names. Never IPv4 in IPv6's form.
    pub address: IpAddr,
    /// The same as servers are told it, where a trusted proxy named it; else it is the connection's.
    pub proxied: Option<Arc<str>>,
    /// The way from there to here, the proxies' addresses joined by commas, where a proxy named it.
    pub chain: Option<Arc<str>>,
    /// Whether the client spoke HTTPS, to us or to the proxy.
    pub https: bool,
    /// What holds for this call until its end.
    pub policy: Rc<Arc<Policy>>,
    /// The listener as this call's configuration has it.
    pub entrance: Arc<Entrance>,
    /// POST, GET or DELETE.
    pub method: Method,
    /// The path, without query and without a key.
    pub path: String,
    /// The credential that stood in the path.
    pub key_in_path: Option<String>,
    /// What a page of the gate's own is asked with: a link that only its owner is to see, or a query.
    pub argument: Option<Box<str>>,
    /// The request's headers.
    pub headers: Arc<HeaderMap>,
    /// Who calls, once identified.
    pub client: Option<Arc<Client>>,
    /// What the path offers, once resolved.
    pub view: Option<Arc<View>>,
    /// The name that HTTP/2 gives the host.
    pub authority: Option<Authority>,
    /// The message, once read.
    pub message: Option<Message>,
    /// The messages instead, where there are several, each a call of its own: a body that is an array.
    pub batch: Option<Bytes>,
    /// It is one message of a batch, whose answer has no ids of events.
    pub is_part: bool,
    /// Where the message goes, where its name says so.
    pub routed: Option<Routed>,
    /// What was decided of it, where its client has rights of its own or something refused it by name.
    pub ruling: Option<Ruling>,
    /// How the client speaks.
    pub era: Era,
    /// The legacy session that the call belongs to.
    pub session: Option<(Arc<Session>, Busy)>,
    /// The raw id of the request whose stream it resumes.
    pub resumes: Option<Bytes>,
    /// A message that could not be read; its id may still be found for the answer.
    pub salvaged: Option<Bytes>,
    /// Refused before its body was read, and the rest of it will not be: the connection cannot go on.
    pub cut: bool,
    /// Permits of servers, given back when the answer has ended.
    pub permits: Vec<Permit>,
    /// Places below limits, given back when the answer has ended.
    pub held: Option<Held>,
    /// Where the client stands below a limit, for the headers of its answer.
    pub told: Option<Told>,
    /// What its result says of the client's repeating itself: an object of JSON.
    pub warning: Option<String>,
    /// What its answer goes through, where it is not just passed on.
    pub reception: Option<Box<Reception>>,
    /// Its trace, where it is traced.
    pub trace: Option<Arc<Traced>>,
    /// Where the ledger has it while it runs.
    pub place: Option<Place>,
    /// Times of the stages.
    pub times: Times,
}

/// When the stages of a call were reached.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The whole message was there; until then, when the head was. What follows without waiting is counted
    /// from here: the clock is read once for all of it.
    pub read: Instant,
    /// A permit of the server was had.
    pub admitted: Option<Instant>,
    /// What it took to make a connection to the server, or to start an instance of it.
    pub connect: Duration,
    /// The first byte of the server's answer was there.
    pub first_byte: Option<Instant>,
}

impl Times {
    fn begun(now: Instant) -> Self {
        Self { read: now, admitted: None, connect: Duration::ZERO, first_byte: None }
    }
}

impl Call {
    /// A request whose head has been read.
    pub fn new(core: &Rc<Core>, connection: &Rc<Connection>, head: Parts) -> Self {
        let policy = core.policy();
        let entrance = match policy.entrance(&connection.listener.name) {
            Some(entrance) => Arc::clone(entrance),
            None => Arc::new(Entrance::new(Arc::clone(&connection.listener))),
        };
        let (now, id) = (Instant::now(), CallId::mint());
        // Only users who come back from a provider bring a query that means anything.
        let argument = if head.uri.path() == CALLBACK { head.uri.query().map(Box::from) } else { None };
        Self {
            id,
            started: now,
            mark: Mark::new(core, id),
            core: Rc::clone(core),
            connection: Rc::clone(connection),
            address: connection.peer.ip(),
            proxied: None,
            chain: None,
            https: connection.tls.is_some(),
            policy,
            entrance,
            method: head.method,
            path: head.uri.path().to_owned(),
            key_in_path: None,
            argument,
            headers: Arc::new(head.headers),
            authority: head.uri.authority().cloned(),
            client: None,
            view: None,
            message: None,
            batch: None,
            is_part: false,
            routed: None,
            ruling: None,
            era: Era::Legacy,
            session: None,
            resumes: None,
            salvaged: None,
            cut: false,
            permits: Vec::new(),
            held: None,
            told: None,
            warning: None,
            reception: None,
            trace: None,
            place: None,
            times: Times::begun(now),
        }
    }

    /// The call as a task has it that goes on without the request: with all that is held for it.
    #[must_use]
    pub fn detach(&mut self) -> Self {
        Self {
            message: self.message.clone(),
            session: self.session.as_ref().map(|(session, _)| (Arc::clone(session), session.enter())),
            permits: std::mem::take(&mut self.permits),
            ruling: self.ruling.clone(),
            held: self.held.take(),
            reception: self.reception.take(),
            ..self.of_same_client()
        }
    }

    /// A call of the same client for one message of the batch that this one brought.
    #[must_use]
    pub fn part(&self, headers: &Arc<HeaderMap>, message: Message) -> Self {
        let (now, id) = (Instant::now(), CallId::mint());
        let mark = Mark::new(&self.core, id);
        mark.of_client(self.client().number);
        if let Some(certified) = self.connection.certified() {
            mark.of_certified(self.connection.id, certified.ends_ms());
        }
        Self {
            id,
            started: now,
            mark,
            headers: Arc::clone(headers),
            message: Some(message),
            is_part: true,
            place: None,
            times: Times::begun(now),
            ..self.of_same_client()
        }
    }

    /// What is known of the client and its request, without a message and without anything that is held.
    fn of_same_client(&self) -> Self {
        Self {
            id: self.id,
            started: self.started,
            mark: self.mark.again(),
            core: Rc::clone(&self.core),
            connection: Rc::clone(&self.connection),
            address: self.address,
            proxied: self.proxied.clone(),
            chain: self.chain.clone(),
            https: self.https,
            policy: Rc::clone(&self.policy),
            entrance: Arc::clone(&self.entrance),
            method: self.method.clone(),
            path: self.path.clone(),
            key_in_path: None,
            argument: None,
            headers: Arc::clone(&self.headers),
            client: self.client.clone(),
            view: self.view.clone(),
            authority: None,
            message: None,
            batch: None,
            is_part: self.is_part,
            routed: None,
            ruling: None,
            era: self.era,
            session: None,
            resumes: None,
            salvaged: None,
            cut: false,
            permits: Vec::new(),
            held: None,
            told: None,
            warning: None,
            reception: None,
            trace: self.trace.clone(),
            place: self.place,
            times: self.times,
        }
    }

    /// Who calls, for stages behind `identify`.
    pub fn client(&self) -> &Arc<Client> {
        self.client.as_ref().expect("the stage `identify` has run")
    }

    /// What the path offers, for stages behind `secure`.
    pub fn view(&self) -> &Arc<View> {
        self.view.as_ref().expect("the stage `secure` has resolved the path")
    }

    /// The message, for stages behind `read`.
    pub fn message(&self) -> &Message {
        self.message.as_ref().expect("the stage `read` has run")
    }

    /// The client's address as servers are told it.
    pub fn address_text(&self) -> &Arc<str> {
        self.proxied.as_ref().unwrap_or(&self.connection.address)
    }

    /// What the server is told of where the call comes from.
    pub fn provenance(&self) -> Provenance {
        Provenance {
            id: self.id,
            address: Some(Arc::clone(self.address_text())),
            chain: self.chain.clone(),
            tls: self.https,
            client: self.client.clone(),
            headers: Some(Arc::clone(&self.headers)),
            trace: self.trace.clone(),
            mirrored: None,
        }
    }

    /// A request header as text; `None` also where it is no text.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
