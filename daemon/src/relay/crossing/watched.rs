//! Resources that a legacy session watches at a modern server: `resources/subscribe` on one side, a
//! listen stream on the other.
//!
//! One stream per session and server, replaced when more is to be watched. After a time without one
//! the client is told of all that it watches: it may have changed. Changes of lists come another way
//! (see `announce`), since all sessions share them.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use toolgate_protocol::bridge::listen::{self, Outcome};
use toolgate_protocol::bridge::request::Declared;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::MODERN;
use tracing::debug;

use super::read;
use crate::call::Call;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::listen::drain::Phase;
use crate::lock::lock;
use crate::message::Message;
use crate::provenance::Provenance;
use crate::relay::{links, overhear};
use crate::servers::Server;
use crate::servers::discovery::introduced;
use crate::servers::exchange::{Exchange, Step};
use crate::servers::leg::Leg;
use crate::sessions::{Hosted, Session};

/// How long a server may take to grant a subscription.
const GRANT: Duration = Duration::from_secs(10);
/// Before a stream that ended is opened anew; doubles while that fails.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// What one session watches at one server.
#[derive(Debug)]
pub struct Watched {
    state: Mutex<listen::Session>,
    /// More, or less, is to be watched.
    changed: Notify,
    /// The server has granted what it was asked for.
    granted: Notify,
}

impl Watched {
    fn new(offers: bool) -> Self {
        let capabilities: &[u8] = if offers { br#"{"resources":{"subscribe":true}}"# } else { b"{}" };
        Self { state: Mutex::new(listen::Session::new(capabilities)), changed: Notify::new(), granted: Notify::new() }
    }

    /// The resources.
    pub fn uris(&self) -> Vec<String> {
        self.lock().uris().to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, listen::Session> {
        lock(&self.state)
    }
}

/// Serves `resources/subscribe` or `resources/unsubscribe`; `message` has the server's own URI.
pub async fn subscribe(call: &Call, hosted: &Hosted, leg: &Leg, message: &Message) -> Result<(), Failure> {
    let uri = message.envelope.uri_str(&message.bytes);
    let uri = uri.ok_or_else(|| Failure::new(Kind::InvalidParams, "`params.uri` must name a resource."))?;
    let watched = watched(call, hosted, leg).await?;
    if message.envelope.known_method == Some(Method::ResourcesUnsubscribe) {
        watched.lock().unsubscribe(&uri);
        return Ok(());
    }
    if !watched.lock().subscribe(&uri) {
        return Err(Failure::new(
            Kind::MethodUnknown,
            "This server offers no subscriptions to resources, or this session has too many.",
        ));
    }
    watched.changed.notify_one();
    let granted = async {
        loop {
            let news = watched.granted.notified();
            if watched.lock().has_granted(&uri) {
                return;
            }
            news.await;
        }
    };
    timeout(GRANT, granted).await.map_err(|_| {
        watched.lock().unsubscribe(&uri);
        Failure::new(Kind::ServerTimeout, "The server did not grant the subscription in time. Try again later.")
    })
}

/// What the session watches at the leg's server; the first call begins to listen.
async fn watched(call: &Call, hosted: &Hosted, leg: &Leg) -> Result<Arc<Watched>, Failure> {
    let name = &leg.server.settings.name;
    if let Some(watched) = hosted.watched(name) {
        return Ok(watched);
    }
    let known = introduced(&call.core, &leg.server, MODERN).await?;
    let (watched, is_new) = hosted.watch(name, Watched::new(known.offers("resources", "subscribe")));
    if let (true, Some((session, _))) = (is_new, &call.session) {
        follow(&call.core, &leg.server, session, hosted, &watched, false);
    }
    Ok(watched)
}

/// Has a session watch what it watched at a server in an earlier process; to be called on a core.
pub fn again(core: &Rc<Core>, server: &Arc<Server>, session: &Arc<Session>, hosted: &Hosted, uris: &[String]) {
    let watched = Watched::new(true);
    for uri in uris {
        watched.lock().subscribe(uri);
    }
    let (watched, _) = hosted.watch(&server.settings.name, watched);
    // Nobody listened since the earlier process ended.
    follow(core, server, session, hosted, &watched, true);
}

fn follow(
    core: &Rc<Core>,
    server: &Arc<Server>,
    session: &Arc<Session>,
    hosted: &Hosted,
    watched: &Arc<Watched>,
    missed: bool,
) {
    let follower = Follower {
        core: Rc::clone(core),
        server: Arc::clone(server),
        client: Arc::clone(&session.client),
        session: Arc::downgrade(session),
        declared: Arc::clone(&hosted.declared),
        watched: Arc::clone(watched),
        newest: None,
        pause: PAUSE,
        older: None,
        missed,
    };
    let (core, ended) = (Rc::clone(core), hosted.outbox.ended());
    tokio::task::spawn_local(async move {
        tokio::select! {
            () = follower.run() => {}
            () = ended => {}
            // An instance may outlive the gate: it is told that nobody listens.
            () = core.drain.reached(Phase::Finishing) => {}
        }
    });
}

/// Keeps the streams open and passes on what they say.
struct Follower {
    core: Rc<Core>,
    /// As it was when the newest stream was opened; a reload may have made another of it.
    server: Arc<Server>,
    client: Arc<str>,
    session: Weak<Session>,
    declared: Arc<Declared>,
    watched: Arc<Watched>,
    newest: Option<Exchange>,
    /// Before a stream is opened again that failed.
    pause: Duration,
    /// The stream before, until the newest is acknowledged: nothing falls between the two.
    older: Option<Exchange>,
    /// Nobody listened for a while: once somebody does again, whatever is watched may have changed.
    missed: bool,
}

impl Follower {
    async fn run(mut self) {
        loop {
            let wanted = self.watched.lock().open(b"1", &self.declared);
            if let Some(request) = wanted {
                let Some(server) = self.current() else { return };
                self.server = server;
                if !self.open(request).await {
                    self.lost().await;
                    continue;
                }
            }
            let (step, is_newest) = tokio::select! {
                step = next(&mut self.newest) => (step, true),
                step = next(&mut self.older) => (step, false),
                () = self.watched.changed.notified() => continue,
            };
            match step {
                Step::Related(message) => self.heard(message, is_newest),
                Step::Final(_) | Step::Lost(_) if is_newest => {
                    self.newest = None;
                    self.lost().await;
                }
                Step::Final(_) | Step::Lost(_) => self.older = None,
            }
        }
    }

    /// What runs under the server's name now, as the session's path leads to it.
    fn current(&self) -> Option<Arc<Server>> {
        let view = self.session.upgrade()?.view.clone();
        self.core.policy().view(&view)?.server(&self.server.settings.name)?.like(&self.server)
    }

    /// The stream is gone: it is opened again after a while, which grows until one is acknowledged.
    async fn lost(&mut self) {
        self.watched.lock().lost();
        self.missed = true;
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }

    async fn open(&mut self, request: Vec<u8>) -> bool {
        let Ok(request) = read(request) else { return false };
        let opened = async {
            let leg = self.server.modern_leg(&self.client, &self.declared.capabilities).await?;
            leg.call(&self.core, &request, &Provenance::own()).await
        };
        match opened.await {
            Ok(exchange) => {
                self.older = self.newest.replace(exchange).or(self.older.take());
                true
            }
            Err(failure) => {
                debug!(server = self.server.settings.name, %failure, "resources could not be watched");
                false
            }
        }
    }

    fn heard(&mut self, message: Bytes, is_newest: bool) {
        let Ok(message) = Message::parse(message) else { return };
        let outcome = self.watched.lock().heard(&message.bytes, &message.envelope, is_newest);
        match outcome {
            Outcome::Tell(text) => self.tell(text),
            Outcome::Acknowledged => {
                self.pause = PAUSE;
                self.older = None;
                self.watched.granted.notify_waiters();
                if std::mem::take(&mut self.missed) {
                    self.watched.uris().iter().for_each(|uri| self.tell(listen::update(uri)));
                }
            }
            Outcome::Nothing => {}
        }
    }

    fn tell(&self, update: Vec<u8>) {
        let Some(session) = self.session.upgrade() else { return };
        let Some(hosted) = session.hosted() else { return };
        let Ok(update) = read(update) else { return };
        let name = &self.server.settings.name;
        let offered = if hosted.is_merged() { links::updated(name, update) } else { update.bytes };
        overhear::say(&self.core, hosted, &offered);
    }
}

async fn next(stream: &mut Option<Exchange>) -> Step {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}
