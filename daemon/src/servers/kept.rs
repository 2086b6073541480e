//! Sessions that the gate holds at legacy servers for modern clients, which have none of their own.
//!
//! The relay asks for one per call; calls of one client with the same capabilities share it. It ends
//! when nobody used it for a while, together with its server, or when the server has forgotten it.

mod aside;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use aside::{Aside, Calls};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::sleep;
use toolgate_protocol::bridge::capabilities;
use toolgate_protocol::bridge::levels::{Level, SharedLevel};
use toolgate_protocol::bridge::listen::Interest;
use toolgate_protocol::json;
use toolgate_protocol::revision::LATEST_LEGACY;

use super::Server;
use super::discovery;
use super::http_stream::Stream;
use super::leg::Leg;
use super::news::{Heard, News};
use crate::clock;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::message::Message;

/// A session that was not used for this long ends, in milliseconds.
const IDLE: u64 = 15 * 60 * 1000;

/// How long what a new session says is kept for a subscription that follows it. No longer: an instance
/// that is heard does not idle.
const EARLY: Duration = Duration::from_secs(1);

/// A legacy session of a modern client.
#[derive(Debug)]
pub struct Kept {
    /// The conversation.
    pub leg: Leg,
    /// What the server said of itself in it.
    pub introduction: Message,
    /// Calls that run in it.
    pub calls: Calls,
    /// What it says of its lists and of resources that somebody watches, where it is not an instance's news.
    pub news: News,
    /// An ear that was there before the first call.
    early: Mutex<Option<Heard>>,
    /// Which resources are watched, and by how many.
    pub interest: Mutex<Interest>,
    level: Mutex<SharedLevel>,
    used: AtomicU64,
    /// The server knows it no more.
    lost: AtomicBool,
}

/// All of one server, by client and capabilities.
#[derive(Debug, Default)]
pub struct KeptSessions {
    all: Mutex<HashMap<String, Arc<Opening>>>,
    opened: Notify,
}

/// One session; locked while it is opened, so that calls at once share one greeting.
type Opening = tokio::sync::Mutex<Option<Arc<Kept>>>;

/// Whom a session is held for.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The client's id.
    pub client: &'a str,
    /// The client's capabilities, raw, in modern words.
    pub capabilities: &'a [u8],
    /// Who the client says that it is, raw.
    pub info: Option<&'a [u8]>,
}

impl Holder<'_> {
    /// Nobody in particular.
    pub const EVERYBODY: Self = Self { client: "everybody", capabilities: b"{}", info: None };

    /// Whose session it is, among those of one server.
    pub fn owner(&self) -> String {
        format!("{} {}", self.client, String::from_utf8_lossy(self.capabilities))
    }
}

impl Kept {
    /// The raw `serverInfo`.
    pub fn server_info(&self) -> Option<&[u8]> {
        let span = json::get(&self.introduction.bytes, self.introduction.envelope.result?, "serverInfo")?;
        Some(span.of(&self.introduction.bytes))
    }

    /// Whether the server declares a capability.
    pub fn declares(&self, capability: &str) -> bool {
        let text = &self.introduction.bytes;
        let result = self.introduction.envelope.result;
        let all = result.and_then(|result| json::get(text, result, "capabilities"));
        all.is_some_and(|all| json::get(text, all, capability).is_some())
    }

    /// Notes a call that wants log messages; gives back the level that the server must be told before.
    pub fn enter(&self, wanted: Option<Level>) -> Option<Level> {
        self.touch();
        let level = lock(&self.level).enter(wanted);
        level.filter(|_| self.declares("logging"))
    }

    /// The call is over.
    pub fn leave(&self, wanted: Option<Level>) {
        self.touch();
        lock(&self.level).leave(wanted);
    }

    /// The raw capabilities of the server.
    pub fn capabilities(&self) -> &[u8] {
        let text = &self.introduction.bytes;
        let result = self.introduction.envelope.result;
        result.and_then(|result| json::get(text, result, "capabilities")).map_or(b"{}", |all| all.of(text))
    }

    /// What the server says of its lists and of watched resources.
    pub fn hear(&self) -> Heard {
        self.leg.news().unwrap_or(&self.news).subscribe()
    }

    /// The same, with what a new session said already, for the first who asks: a client's subscription
    /// follows a session that its calls open, and may come a moment later than the first of them.
    pub fn hear_early(&self) -> Heard {
        lock(&self.early).take().unwrap_or_else(|| self.hear())
    }

    /// The server knows the session no more: whoever listens has to begin anew.
    fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
        self.news.retire();
    }

    fn is_living(&self, server: &Server) -> bool {
        self.leg.leads_to(server) && !self.lost.load(Ordering::Relaxed)
    }

    fn touch(&self) {
        self.used.store(clock::millis(), Ordering::Relaxed);
    }

    fn is_idle(&self) -> bool {
        clock::millis().saturating_sub(self.used.load(Ordering::Relaxed)) > IDLE
    }
}

impl KeptSessions {
    fn opening(&self, owner: &str) -> Arc<Opening> {
        Arc::clone(lock(&self.all).entry(owner.to_owned()).or_default())
    }

    /// The owner's session where one lives, once it is open where it is being opened.
    pub async fn living(&self, server: &Server, owner: &str) -> Option<Arc<Kept>> {
        let opening = lock(&self.all).get(owner).cloned()?;
        let opened = opening.lock().await;
        opened.as_ref().filter(|kept| kept.is_living(server)).cloned()
    }

    /// Ends when the next session was opened, whose ever it is; from now on, not from its first poll.
    pub fn opened(&self) -> Notified<'_> {
        self.opened.notified()
    }

    /// Takes out what nobody uses any more; its end is the caller's to say to the server.
    pub fn idle(&self) -> Vec<Leg> {
        let mut idle = Vec::new();
        lock(&self.all).retain(|_, opening| {
            // Somebody opens it or is about to.
            let (1, Ok(mut opened)) = (Arc::strong_count(opening), opening.try_lock()) else { return true };
            match opened.take_if(|kept| kept.is_idle() && Arc::strong_count(kept) == 1) {
                Some(kept) => idle.push(kept.leg.clone()),
                None => return opened.as_ref().is_some_and(|kept| !kept.leg.is_ended()),
            }
            false
        });
        idle
    }

    /// Forgets all of them, for a server that is removed or changed.
    pub fn retire(&self) {
        lock(&self.all).clear();
    }
}

/// The session of this holder, opened if there is none that lives.
pub async fn session(core: &Rc<Core>, server: &Arc<Server>, holder: Holder<'_>) -> Result<Arc<Kept>, Failure> {
    let owner = holder.owner();
    let mut opened = server.kept.opening(&owner).lock_owned().await;
    if let Some(kept) = opened.as_ref().filter(|kept| kept.is_living(server)) {
        kept.touch();
        return Ok(Arc::clone(kept));
    }
    // It goes on when the caller goes away: others may wait for it.
    let (core, server, initialize) = (Rc::clone(core), Arc::clone(server), initialize(&holder));
    let opening = tokio::task::spawn_local(async move {
        let leg = server.client_leg(&owner, LATEST_LEGACY).await?;
        let (leg, introduction) = discovery::greet_shared(&core, leg, LATEST_LEGACY, &initialize).await?;
        let used = AtomicU64::new(clock::millis());
        let kept = Arc::new(Kept {
            leg,
            introduction,
            calls: Calls::default(),
            news: News::default(),
            early: Mutex::default(),
            interest: Mutex::default(),
            level: Mutex::default(),
            used,
            lost: AtomicBool::new(false),
        });
        *lock(&kept.early) = Some(kept.hear());
        let young = Arc::downgrade(&kept);
        tokio::task::spawn_local(async move {
            sleep(EARLY).await;
            young.upgrade().map(|kept| lock(&kept.early).take())
        });
        aside::attend(&core, &kept);
        *opened = Some(Arc::clone(&kept));
        server.kept.opened.notify_waiters();
        Ok(kept)
    });
    opening.await.unwrap_or_else(|_| {
        Err(Failure::new(Kind::Internal, "A session at the server could not be opened. Try again."))
    })
}

/// Ends an idle session: over HTTP the server is told, an instance ends by its own rules.
pub async fn end(core: Rc<Core>, leg: Leg) {
    if let Some(stream) = Stream::new(&core, &leg) {
        stream.end().await;
    }
}

/// Forgets a session that the server does not know any more.
pub async fn forget(server: &Server, holder: Holder<'_>, lost: &Kept) {
    let mut opened = server.kept.opening(&holder.owner()).lock_owned().await;
    opened.take_if(|kept| kept.leg.is_same(&lost.leg));
    lost.lose();
}

/// What the gate greets a legacy server with in the name of a modern client.
fn initialize(holder: &Holder<'_>) -> Message {
    let capabilities = capabilities::client_to_legacy(holder.capabilities, LATEST_LEGACY);
    let own = format!(r#"{{"name":"toolgate","version":"{}"}}"#, env!("CARGO_PKG_VERSION"));
    let info = holder.info.unwrap_or(own.as_bytes());
    let head = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{LATEST_LEGACY}","capabilities":"#
    );
    let text = [head.as_bytes(), &capabilities, br#","clientInfo":"#, info, b"}}"].concat();
    // What the client wrote was scanned with its message.
    Message::parse(Bytes::from(text)).unwrap_or_else(|_| discovery::own_initialize(LATEST_LEGACY))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_greeted_in_the_client_s_name() {
        let holder = Holder {
            client: "key:ann",
            capabilities: br#"{"elicitation":{}}"#,
            info: Some(br#"{"name":"a","version":"1"}"#),
        };
        let message = initialize(&holder);
        assert_eq!(message.raw(message.envelope.initialize_capabilities), Some(&br#"{"elicitation":{}}"#[..]));
        assert_eq!(message.raw(message.envelope.initialize_client), Some(&br#"{"name":"a","version":"1"}"#[..]));
        let unnamed = initialize(&Holder { info: None, ..holder });
        assert!(unnamed.raw(unnamed.envelope.initialize_client).unwrap().starts_with(br#"{"name":"toolgate""#));
    }
}
