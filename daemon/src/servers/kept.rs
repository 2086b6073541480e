//! Sessions that the gate holds at legacy servers for modern clients, which have none of their own.
//!
//! The relay asks for one per call; calls of one client with the same capabilities share it. It is given
//! up when nobody used it for a while, together with its server, or when the server has forgotten it,
//! and ends with the last call that uses it: its instance at once, and an HTTP server is told.

mod aside;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
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
use super::endpoints::To;
use super::leg::Leg;
use super::news::{Heard, News};
use super::stdio::link::Serves;
use crate::clock;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::lock::lock;
use crate::message::Message;
use crate::state::entry::Introduction;

/// A session that was not used for this long ends, in milliseconds.
const IDLE: u64 = 15 * 60 * 1000;
/// Sessions of one client at one server.
const PER_CLIENT: usize = 8;
/// Sessions at one server.
const IN_ALL: usize = 4096;
/// Capabilities are a part of what tells sessions apart, and are kept as long as these.
const CAPABILITIES_BYTES: usize = 16 * 1024;

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
    /// Locked together with what the server is told of it, so that the two never differ.
    pub interest: tokio::sync::Mutex<Interest>,
    level: Mutex<SharedLevel>,
    used: AtomicU64,
    /// The server knows it no more.
    lost: AtomicBool,
}

/// All of one server.
#[derive(Debug, Default)]
pub struct KeptSessions {
    all: Mutex<HashMap<Owner, Arc<Opening>>>,
    retired: AtomicBool,
    opened: Notify,
}

/// Whose a session is: calls that declare other capabilities need another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    client: String,
    capabilities: Vec<u8>,
}

/// One session; locked while it is opened, so that calls at once share one greeting.
type Opening = tokio::sync::Mutex<Opened>;

#[derive(Debug, Default)]
struct Opened {
    kept: Option<Arc<Kept>>,
    /// When opening it failed last, and how: for those who waited for it.
    failed: Option<(u64, Failure)>,
}

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
    pub fn owner(&self) -> Owner {
        Owner { client: self.client.to_owned(), capabilities: self.capabilities.to_vec() }
    }

    /// Messages that name no call may be anybody's where more than one client shares the instance.
    fn serves(&self) -> Serves {
        if self.client == Self::EVERYBODY.client { Serves::Everybody } else { Serves::Client }
    }
}

impl Kept {
    fn new(leg: Leg, introduction: Message) -> Self {
        Self {
            leg,
            introduction,
            calls: Calls::default(),
            news: News::default(),
            early: Mutex::default(),
            interest: tokio::sync::Mutex::default(),
            level: Mutex::default(),
            used: AtomicU64::new(clock::millis()),
            lost: AtomicBool::new(false),
        }
    }

    /// The raw `serverInfo`.
    pub fn server_info(&self) -> Option<&[u8]> {
        let span = json::get(&self.introduction.bytes, self.introduction.envelope.result?, "serverInfo")?;
        Some(span.of(&self.introduction.bytes))
    }

    /// The server's raw capabilities.
    pub fn capabilities(&self) -> &[u8] {
        let text = &self.introduction.bytes;
        let result = self.introduction.envelope.result;
        let all = result.and_then(|result| json::get(text, result, "capabilities"));
        all.map_or(b"{}", |all| all.of(text))
    }

    /// Whether the server declares a capability.
    fn declares(&self, capability: &str) -> bool {
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

    /// What the server was told of levels did not reach it: it is told anew.
    pub fn forget_level(&self) {
        lock(&self.level).forget();
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
}

impl Drop for Kept {
    /// Another session of the same owner gets another instance: a program is greeted once.
    fn drop(&mut self) {
        self.leg.end_instance();
    }
}

impl KeptSessions {
    /// The place of an owner's session. Where there are too many, the one that was unused for longest is given up.
    fn opening(&self, owner: &Owner) -> Result<Arc<Opening>, Failure> {
        let mut all = lock(&self.all);
        if let Some(opening) = all.get(owner) {
            return Ok(Arc::clone(opening));
        }
        // A call that began before the server was retired may still need one; nobody else finds it.
        if self.retired.load(Ordering::Relaxed) {
            return Ok(Arc::default());
        }
        let own = all.keys().filter(|other| other.client == owner.client).count() >= PER_CLIENT;
        if own || all.len() >= IN_ALL {
            let unused = |(other, opening): (&Owner, &Arc<Opening>)| {
                let since = unused_since(opening).filter(|_| !own || other.client == owner.client)?;
                Some((since, other.clone()))
            };
            let (_, oldest) = all.iter().filter_map(unused).min_by_key(|(since, _)| *since).ok_or_else(too_many)?;
            all.remove(&oldest);
        }
        Ok(Arc::clone(all.entry(owner.clone()).or_default()))
    }

    /// Takes up a session that an earlier process held for a client with these capabilities.
    pub fn again(&self, client: String, capabilities: Vec<u8>, leg: Leg, introduction: Message) {
        let opened = Opened { kept: Some(Arc::new(Kept::new(leg, introduction))), failed: None };
        lock(&self.all).insert(Owner { client, capabilities }, Arc::new(tokio::sync::Mutex::new(opened)));
    }

    /// The owner's session where one lives, once it is open where it is being opened.
    pub async fn living(&self, server: &Server, owner: &Owner) -> Option<Arc<Kept>> {
        let opening = lock(&self.all).get(owner).cloned()?;
        let opened = opening.lock().await;
        opened.kept.as_ref().filter(|kept| kept.is_living(server)).cloned()
    }

    /// Where the owner's next call goes: into the session, where one lives. `None` while somebody has it in hand, such as
    /// to open it.
    pub fn to(&self, server: &Server, owner: &Owner) -> Option<To> {
        let Some(opening) = lock(&self.all).get(owner).cloned() else { return Some(To::Any) };
        let opened = opening.try_lock().ok()?;
        let kept = opened.kept.as_ref().filter(|kept| kept.is_living(server));
        Some(kept.map_or(To::Any, |kept| kept.leg.to()))
    }

    /// Ends when the next session was opened, whose ever it is; from now on, not from its first poll.
    pub fn opened(&self) -> Notified<'_> {
        self.opened.notified()
    }

    /// Gives up what nobody used for a while, and what has ended. Called every few seconds.
    pub fn sweep(&self) {
        lock(&self.all).retain(|_, opening| {
            let Some(since) = unused_since(opening) else { return true };
            is_open(opening) && clock::millis().saturating_sub(since) <= IDLE
        });
    }

    /// Gives up all of them, for a server that is removed or changed.
    pub fn retire(&self) {
        let mut all = lock(&self.all);
        self.retired.store(true, Ordering::Relaxed);
        all.clear();
    }
}

/// Since when nobody uses a session or opens it; `None` while somebody does.
fn unused_since(opening: &Arc<Opening>) -> Option<u64> {
    let opened = opening.try_lock().ok().filter(|_| Arc::strong_count(opening) == 1)?;
    match opened.kept.as_ref() {
        None => Some(0),
        Some(kept) => (Arc::strong_count(kept) == 1).then(|| kept.used.load(Ordering::Relaxed)),
    }
}

fn is_open(opening: &Opening) -> bool {
    opening.try_lock().is_ok_and(|opened| opened.kept.as_ref().is_some_and(|kept| !kept.leg.is_ended()))
}

fn too_many() -> Failure {
    Failure::new(
        Kind::NoRoom,
        format!(
            "This client uses {PER_CLIENT} sessions at the server at once. Declare the same capabilities on each request, or wait for a call to end."
        ),
    )
    .retry_after(Duration::from_secs(1))
}

/// Whether what a client declares may tell one of its sessions or instances from another.
///
/// # Errors
/// Where it is too long for that.
pub(super) fn fits(capabilities: &[u8]) -> Result<(), Failure> {
    if capabilities.len() > CAPABILITIES_BYTES {
        return Err(Failure::new(
            Kind::InvalidParams,
            format!("The client's capabilities are longer than {CAPABILITIES_BYTES} bytes. Declare less."),
        ));
    }
    Ok(())
}

/// The session of this holder, opened if there is none that lives.
pub async fn session(core: &Rc<Core>, server: &Arc<Server>, holder: Holder<'_>) -> Result<Arc<Kept>, Failure> {
    fits(holder.capabilities)?;
    let owner = holder.owner();
    let asked = clock::millis();
    let mut opened = server.kept.opening(&owner)?.lock_owned().await;
    if let Some(kept) = opened.kept.as_ref().filter(|kept| kept.is_living(server)) {
        kept.touch();
        return Ok(Arc::clone(kept));
    }
    // Whoever waited while it failed for another is not to wait as long again.
    if let Some((_, failure)) = opened.failed.as_ref().filter(|(at, _)| *at > asked) {
        return Err(failure.clone());
    }
    // It goes on when the caller goes away: others may wait for it.
    let (initialize, shared_by) = (initialize(&holder), holder.serves());
    let (core, server) = (Rc::clone(core), Arc::clone(server));
    let opening = tokio::task::spawn_local(async move {
        let greeted = greet(&core, &server, &owner, shared_by, &initialize).await;
        match greeted {
            Ok(kept) => {
                opened.kept = Some(Arc::clone(&kept));
                server.kept.opened.notify_waiters();
                Ok(kept)
            }
            Err(failure) => {
                opened.failed = Some((clock::millis(), failure.clone()));
                Err(failure)
            }
        }
    });
    opening.await.unwrap_or_else(|_| {
        Err(Failure::new(Kind::Internal, "A session at the server could not be opened. Try again."))
    })
}

async fn greet(
    core: &Rc<Core>,
    server: &Arc<Server>,
    owner: &Owner,
    shared_by: Serves,
    initialize: &Message,
) -> Result<Arc<Kept>, Failure> {
    let name = format!("{} {}", owner.client, String::from_utf8_lossy(&owner.capabilities));
    let leg = server.client_leg(&name, LATEST_LEGACY, shared_by).await?;
    let (leg, introduction) = discovery::greet_shared(core, leg, LATEST_LEGACY, initialize).await?;
    leg.introduced(|| Introduction::Holder {
        client: owner.client.clone(),
        capabilities: owner.capabilities[..].into(),
        answer: introduction.bytes[..].into(),
    })
    .await;
    let kept = Arc::new(Kept::new(leg, introduction));
    *lock(&kept.early) = Some(kept.hear());
    if server.answers.keeps() || server.answers.blocks() {
        tokio::task::spawn_local(kept.hear().forget_answers(Arc::clone(server)));
    }
    let young = Arc::downgrade(&kept);
    tokio::task::spawn_local(async move {
        sleep(EARLY).await;
        young.upgrade().map(|kept| lock(&kept.early).take())
    });
    aside::attend(core, &kept);
    Ok(kept)
}

/// Forgets a session that the server does not know any more.
pub async fn forget(server: &Server, holder: Holder<'_>, lost: &Kept) {
    lost.lose();
    let opening = lock(&server.kept.all).get(&holder.owner()).cloned();
    let Some(opening) = opening else { return };
    let mut opened = opening.lock_owned().await;
    opened.kept.take_if(|kept| kept.leg.is_same(&lost.leg));
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

#[cfg(test)]
mod tests;
