//! What the last process left, brought back before the first call of this one.
//!
//! First it is decided what still fits the configuration, and written down anew; then links begin on
//! the cores, in turn. What nobody claims is closed, so that its instance ends.

mod pieces;

use std::collections::{BTreeMap, HashMap};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use http::HeaderValue;
use tracing::{debug, info};

use self::pieces::{Piece, Resumed, Returned};
use super::entry::{self, Entry, Role};
use super::{Keep, Left, State, descriptors};
use crate::clock;
use crate::config::settings::Transport;
use crate::cores::Cores;
use crate::gate::Gate;
use crate::policy::Policy;
use crate::servers::http_call::Conversation;
use crate::servers::stdio::again::Again;
use crate::servers::{Server, leg, needs_introduction};
use crate::sessions::{Earlier, Hosted, Kind, Mirrored, SessionId, USE_SAID_EVERY};

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
    let (mut known, mut gone) = (HashMap::new(), 0_usize);
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
                } else {
                    gone += 1;
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
    if found > 0 || instances > 0 || gone > 0 {
        // Gone: ended meanwhile, or systemd did not keep them.
        info!(sessions = restored, lost = found - restored, instances, gone, "sessions of the last process go on");
    }
    // A session that looks for an instance which it shares must find it.
    let (instances, others): (Vec<_>, Vec<_>) =
        pieces.into_iter().partition(|piece| matches!(piece, Piece::Instance(_)));
    pieces::run(cores, instances);
    pieces::run(cores, others);
}

/// Closes a connection that nobody goes on with: its instance ends.
fn close((name, descriptor): (String, OwnedFd)) {
    info!(name, "a connection that systemd kept is closed: nobody goes on with its instance");
    drop(UnixStream::from(descriptor).shutdown(Shutdown::Both));
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

    /// What a server speaks is known only of processes that go on: another program may be behind its name.
    fn verdicts(&self, known: &entry::Server) {
        let goes_on = self.instances.values().any(|instance| instance.server.settings.name == known.name);
        if let Some(server) = self.server(&known.name, &known.likeness).filter(|_| goes_on) {
            server.eras.restore(known.legacy, known.modern);
        }
    }

    fn instance(&mut self, mut entry: entry::Instance, (name, descriptor): (String, OwnedFd)) {
        let server = self.server(&entry.server, &entry.likeness).filter(|_| !entry.leaving).cloned();
        let Some(server) = server else { return close((name, descriptor)) };
        let (number, pid) = (entry.number, entry.pid);
        let (role, introduction) = (entry.role.clone(), entry.introduction.clone());
        let (left, cut) = self.state.left_of(&mut entry);
        // What is still to be written begins within a line.
        entry.cut = left.as_ref().map_or(cut, |left| !left.unwritten.0.is_empty());
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
        let known = entry.client.strip_prefix("key:").is_none_or(|key| self.gate.client_of_key(key).is_some());
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
                let restored = Hosted::again(hosted, self.state.first_event(), self.state.first_id())?;
                let Legs { noted, instances, conversations } = Legs::of(hosted, &view.servers, &mut self.instances);
                restored.note_again(noted);
                let session = self.gate.sessions.open_again(earlier(Kind::Hosted(Box::new(restored))));
                let (asked, watched) = (hosted.asked.clone(), hosted.watched.clone());
                self.pieces.push(Piece::Session(Resumed { session, instances, conversations, asked, watched }));
            }
        }
        Some(())
    }

    /// What belongs to no session; gives back how many instances go on in all.
    fn rest(&mut self) -> usize {
        let of_sessions = self.pieces.iter().map(|piece| match piece {
            Piece::Session(resumed) => resumed.instances.len(),
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
                drop(returned.again.stream.shutdown(Shutdown::Both));
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
    conversations: Vec<(Arc<Server>, Conversation)>,
}

impl Legs {
    /// A leg that cannot is opened anew by the next call.
    fn of(hosted: &entry::Hosted, servers: &[Arc<Server>], instances: &mut HashMap<u64, Returned>) -> Self {
        let mut legs = Self::default();
        for (name, noted) in &hosted.legs {
            let Some(server) = servers.iter().find(|server| server.settings.name == *name) else { continue };
            let goes_on = match noted {
                entry::Leg::Instance(number) => instances.remove(number).map(|instance| legs.instances.push(instance)),
                entry::Leg::Http { endpoint, session, revision } => {
                    conversation(server, endpoint, session.as_ref(), revision.as_ref())
                        .map(|conversation| legs.conversations.push((Arc::clone(server), conversation)))
                }
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
    session: Option<&entry::Text>,
    revision: Option<&String>,
) -> Option<Conversation> {
    let session = session.map(|session| HeaderValue::from_bytes(&session.0)).transpose().ok()?;
    let revision = revision.map(|revision| HeaderValue::from_str(revision)).transpose().ok()?;
    Some(Conversation { endpoint: Some(server.endpoint_of(endpoint)?), session, revision })
}
