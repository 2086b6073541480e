//! What the last process left, brought back before the first call of this one.
//!
//! First it is decided what still fits the configuration, and written down anew; then links begin on
//! the cores, in turn. What nobody claims is closed, so that its instance ends.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;
use tokio::sync::mpsc;
use toolgate_protocol::revision::{Era, Revision};
use tracing::{debug, info, warn};

use super::entry::{self, Entry, Introduction, Role};
use super::{Keep, Left, State, descriptors};
use crate::clock;
use crate::config::settings::Transport;
use crate::core::Core;
use crate::cores::Cores;
use crate::gate::Gate;
use crate::message::Message;
use crate::policy::Policy;
use crate::relay::crossing::watched;
use crate::relay::{farewell, overhear};
use crate::servers::discovery::Introduced;
use crate::servers::http_call::Conversation;
use crate::servers::leg::{self, Leg};
use crate::servers::stdio::again::Again;
use crate::servers::stdio::link::Serves;
use crate::servers::{Server, needs_introduction};
use crate::sessions::{Earlier, Hosted, Kind, Mirrored, Session, SessionId, UNASKED, USE_SAID_EVERY};

/// An instance and its server.
struct Returned {
    server: Arc<Server>,
    again: Again,
    introduction: Option<Introduction>,
}

/// What is done on a core.
enum Piece {
    /// A session's legs, and what it watches.
    Session {
        session: Arc<Session>,
        instances: Vec<Returned>,
        legs: Vec<(Arc<Server>, Conversation)>,
        entry: entry::Hosted,
    },
    /// An instance that belongs to no session.
    Instance(Returned),
    /// A server is told that a session which mirrored its own is over.
    Farewell(Mirrored),
}

/// Brings back what was left, with the connections that systemd kept.
pub fn restore(gate: &Arc<Gate>, cores: &Cores, left: Left, connections: Vec<(String, OwnedFd)>) {
    let policy = gate.policy.load_full();
    let Some(state) = &policy.state else {
        connections.into_iter().for_each(close);
        return;
    };
    leg::begin_ids_at(state.first_id());
    let mut sorter = Sorter { gate, policy: &policy, state, instances: HashMap::new(), pieces: Vec::new() };
    let mut sessions = Vec::new();
    let mut known = HashMap::new();
    for (name, descriptor) in connections {
        match descriptors::number(&name) {
            Some(number) => drop(known.insert(number, (name, descriptor))),
            None => close((name, descriptor)),
        }
    }
    for entry in left.entries {
        match entry {
            Entry::Session(session) => sessions.push(session),
            Entry::Instance(instance) => {
                if let Some(connection) = known.remove(&instance.number) {
                    sorter.instance(instance, connection);
                }
            }
            Entry::Server(server) => sorter.verdicts(&server),
        }
    }
    known.into_values().for_each(close);
    let found = sessions.len();
    let restored = sessions.into_iter().filter(|session| sorter.session(session)).count();
    let instances = sorter.rest();
    let pieces = sorter.pieces;
    state.take_over();
    if found > 0 || instances > 0 {
        info!(sessions = restored, lost = found - restored, instances, "sessions of the last process go on");
    }
    run(cores, pieces);
}

/// Closes a connection that nobody knows: its instance ends.
fn close((name, descriptor): (String, OwnedFd)) {
    warn!(name, "a connection of an instance that nobody knows any more is closed");
    drop(UnixStream::from(descriptor).shutdown(std::net::Shutdown::Both));
    descriptors::remove(&name);
}

/// Decides what comes back.
struct Sorter<'a> {
    gate: &'a Gate,
    policy: &'a Policy,
    state: &'a Arc<State>,
    instances: HashMap<u64, Returned>,
    pieces: Vec<Piece>,
}

impl Sorter<'_> {
    /// The server of this name, where the operator still makes the same processes of it.
    fn server(&self, name: &str, likeness: &str) -> Option<&Arc<Server>> {
        let server = self.policy.servers.get(name)?;
        match &server.settings.transport {
            Transport::Stdio(stdio) if self.state.likeness(stdio) == likeness => Some(server),
            _ => None,
        }
    }

    fn verdicts(&self, known: &entry::Server) {
        if let Some(server) = self.server(&known.name, &known.likeness) {
            server.eras.restore(known.legacy, known.modern);
        }
    }

    fn instance(&mut self, mut entry: entry::Instance, (name, descriptor): (String, OwnedFd)) {
        let Some(server) = self.server(&entry.server, &entry.likeness).cloned() else {
            return close((name, descriptor));
        };
        let (number, pid, cut) = (entry.number, entry.pid, entry.cut);
        let (role, introduction) = (entry.role.clone(), entry.introduction.clone());
        let left = entry.left.take();
        entry.cut = cut && left.is_none();
        let (keep, stream) = (Keep::with(self.state, entry), UnixStream::from(descriptor));
        let again = Again { keep, pid, role, stream, left, cut };
        self.instances.insert(number, Returned { server, again, introduction });
    }

    /// Whether a session comes back.
    fn session(&mut self, entry: &entry::Session) -> bool {
        let restored = self.earlier(entry).is_some();
        if !restored {
            info!(client = entry.client, view = entry.view, "a session ends: what it stood on is no longer configured");
        }
        restored
    }

    fn earlier(&mut self, entry: &entry::Session) -> Option<()> {
        let id = SessionId::parse(&entry.id)?;
        let view = self.policy.view(&entry.view);
        let known = entry.client.strip_prefix("key:").is_none_or(|key| self.policy.client(key).is_some());
        // Its record may say that it idles for longer than it does.
        let idle = clock::unix_millis().saturating_sub(entry.used).saturating_sub(USE_SAID_EVERY);
        let earlier = |kind| Earlier { id, client: entry.client.as_str().into(), view: entry.view.clone(), kind, idle };
        match &entry.kind {
            entry::Kind::Mirrored { server, endpoint, upstream } => {
                let server = Arc::clone(self.policy.servers.get(server)?);
                let mirrored = Mirrored {
                    endpoint: server.endpoint_of(endpoint)?,
                    upstream: HeaderValue::from_bytes(&upstream.0).ok()?,
                    server,
                };
                let same = view.and_then(|view| view.single()).is_some_and(|now| Arc::ptr_eq(now, &mirrored.server));
                if !same || !known {
                    self.pieces.push(Piece::Farewell(mirrored));
                    return None;
                }
                self.gate.sessions.open_again(earlier(Kind::Mirrored(mirrored)));
            }
            entry::Kind::Hosted(hosted) => {
                let view = view.filter(|view| known && hosted.merged == view.single().is_none())?;
                let legs = Legs::of(hosted, &view.servers, &mut self.instances);
                let kept = entry::Hosted { legs: legs.noted, ..hosted.clone() };
                let kind = Kind::Hosted(Box::new(Hosted::again(&kept, self.state.first_event())?));
                let session = self.gate.sessions.open_again(earlier(kind));
                self.pieces.push(Piece::Session { session, instances: legs.instances, legs: legs.http, entry: kept });
            }
        }
        Some(())
    }

    /// What belongs to no session; gives back how many instances go on in all.
    fn rest(&mut self) -> usize {
        let of_sessions = self.pieces.iter().map(|piece| match piece {
            Piece::Session { instances, .. } => instances.len(),
            Piece::Instance(_) | Piece::Farewell(_) => 0,
        });
        let mut all: usize = of_sessions.sum();
        for (_, returned) in self.instances.drain() {
            let useful = match &returned.again.role {
                Role::Spare => true,
                Role::Dedicated => false,
                Role::Shared { owner, .. } => returned.introduction.is_some() || !needs_introduction(owner),
            };
            if useful {
                all += 1;
                self.pieces.push(Piece::Instance(returned));
            } else {
                debug!(pid = returned.again.pid, "an instance of the last process ends: nobody goes on with it");
                drop(returned.again.stream.shutdown(std::net::Shutdown::Both));
                returned.again.keep.end();
            }
        }
        all
    }
}

/// The legs of a session that can go on.
#[derive(Default)]
struct Legs {
    noted: BTreeMap<String, entry::Leg>,
    instances: Vec<Returned>,
    http: Vec<(Arc<Server>, Conversation)>,
}

impl Legs {
    /// A leg that cannot is opened anew by the next call.
    fn of(hosted: &entry::Hosted, servers: &[Arc<Server>], instances: &mut HashMap<u64, Returned>) -> Self {
        let mut legs = Self::default();
        for (name, noted) in &hosted.legs {
            let Some(server) = servers.iter().find(|server| server.settings.name == *name) else { continue };
            let goes_on = match noted {
                entry::Leg::Instance(number) => instances.remove(number).map(|instance| legs.instances.push(instance)),
                entry::Leg::Http { endpoint, session, revision } => conversation(server, endpoint, session, revision)
                    .map(|conversation| legs.http.push((Arc::clone(server), conversation))),
            };
            if goes_on.is_some() {
                legs.noted.insert(name.clone(), noted.clone());
            }
        }
        legs
    }
}

fn conversation(
    server: &Server,
    endpoint: &str,
    session: &Option<entry::Text>,
    revision: &Option<String>,
) -> Option<Conversation> {
    let session = session.as_ref().map(|session| HeaderValue::from_bytes(&session.0)).transpose().ok()?;
    let revision = revision.as_ref().map(|revision| HeaderValue::from_str(revision)).transpose().ok()?;
    Some(Conversation { endpoint: server.endpoint_of(endpoint)?, session, revision })
}

/// Has the cores work on the pieces, each in turn, and waits until all is done.
fn run(cores: &Cores, pieces: Vec<Piece>) {
    let mut shares: Vec<Vec<Piece>> = (0..cores.count()).map(|_| Vec::new()).collect();
    for (number, piece) in pieces.into_iter().enumerate() {
        shares[number % cores.count()].push(piece);
    }
    let (done, waited) = std::sync::mpsc::channel::<()>();
    for (core, share) in shares.into_iter().enumerate() {
        let done = done.clone();
        let sent = cores.try_spawn(core, move |core| async move {
            share.into_iter().for_each(|piece| piece.begin(&core));
            drop(done);
        });
        if let Err(problem) = sent {
            warn!("what the last process left does not go on: {problem}");
        }
    }
    drop(done);
    // Disconnected is what says that all of them are done.
    let _ = waited.recv();
}

impl Piece {
    fn begin(self, core: &Rc<Core>) {
        match self {
            Self::Session { session, instances, legs, entry } => {
                let Some(hosted) = session.hosted() else { return };
                instances.into_iter().for_each(|returned| returned.for_session(core, &session, hosted));
                for (server, conversation) in legs {
                    let leg = Leg::http(server, Era::Legacy, conversation);
                    hosted.leg_again(leg.clone());
                    tokio::task::spawn_local(overhear::follow(Rc::clone(core), leg, Arc::downgrade(&session)));
                }
                let policy = core.policy();
                let watched = entry.watched.iter().filter(|(_, uris)| !uris.is_empty());
                for (server, uris) in watched {
                    if let Some(server) = policy.view(&session.view).and_then(|view| view.server(server)) {
                        watched::again(core, server, &session, hosted, uris);
                    }
                }
            }
            Self::Instance(returned) => returned.for_all(),
            Self::Farewell(mirrored) => farewell::tell(core, vec![mirrored]),
        }
    }
}

impl Returned {
    fn for_session(self, core: &Rc<Core>, session: &Arc<Session>, hosted: &Hosted) {
        let (unasked, said) = mpsc::channel(UNASKED);
        let Some(instances) = self.server.instances() else { return };
        let Some(link) = instances.add_again(self.again, Some(Serves::Session(unasked))) else { return };
        let leg = Leg::stdio(Arc::clone(&self.server), Era::Legacy, link);
        hosted.leg_again(leg.clone());
        tokio::task::spawn_local(overhear::pass_on(Rc::clone(core), said, leg, Arc::downgrade(session)));
    }

    fn for_all(self) {
        let Self { server, again, introduction } = self;
        let serves = match &again.role {
            Role::Shared { everybody: true, .. } => Some(Serves::Everybody),
            Role::Shared { everybody: false, .. } => Some(Serves::Client),
            Role::Spare | Role::Dedicated => None,
        };
        let Some(link) = server.instances().and_then(|instances| instances.add_again(again, serves)) else { return };
        let leg = |era| Leg::stdio(Arc::clone(&server), era, link.clone());
        match introduction {
            Some(Introduction::Own { revision, answer }) => {
                if let (Some(revision), Ok(answer)) = (Revision::parse(&revision), Message::parse(answer.0)) {
                    let introduced = Introduced { leg: leg(revision.era()), answer };
                    server.discovery.introduced_again(revision, introduced);
                }
            }
            Some(Introduction::Client { client, revision }) => {
                if let Some(revision) = Revision::parse(&revision) {
                    server.discovery.shared_again(&client, revision, leg(Era::Legacy).to_shared());
                }
            }
            Some(Introduction::Holder { client, capabilities, answer }) => {
                if let Ok(introduction) = Message::parse(answer.0) {
                    let leg = leg(Era::Legacy).to_shared();
                    server.kept.again(client, capabilities.0.to_vec(), leg, introduction);
                }
            }
            None => {}
        }
    }
}
