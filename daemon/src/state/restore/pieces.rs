//! What is brought back on the cores: links and legs, each on the core that it is given to.
//!
//! The restoration has decided what goes on and written it down; nothing here fails but for want of
//! a place, and then the instance ends.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;
use toolgate_protocol::revision::{Era, Revision};
use tracing::warn;

use crate::core::Core;
use crate::cores::Cores;
use crate::message::Message;
use crate::policy::Policy;
use crate::relay::crossing::watched;
use crate::relay::{farewell, overhear};
use crate::servers::Server;
use crate::servers::discovery::Introduced;
use crate::servers::http_call::Conversation;
use crate::servers::leg::Leg;
use crate::servers::queue::Flow;
use crate::servers::stdio::again::Again;
use crate::servers::stdio::link::Serves;
use crate::sessions::{Asked, Hosted, Mirrored, Session, UNASKED};
use crate::state::entry::{self, Introduction, Role};

/// An instance and its server.
pub(super) struct Returned {
    pub(super) server: Arc<Server>,
    pub(super) again: Again,
    pub(super) introduction: Option<Introduction>,
}

/// A session whose end is the gate.
pub(super) struct Resumed {
    pub(super) session: Arc<Session>,
    /// Instances that are there for it alone.
    pub(super) instances: Vec<Returned>,
    /// Its conversations with HTTP servers.
    pub(super) conversations: Vec<(Arc<Server>, Conversation)>,
    /// What these servers asked, and nobody will answer.
    pub(super) asked: Vec<entry::Asked>,
    /// Resources that it watches at modern servers, by server.
    pub(super) watched: BTreeMap<String, Vec<String>>,
}

/// What is done on a core.
pub(super) enum Piece {
    /// A session is connected again.
    Session(Resumed),
    /// An instance that belongs to no session.
    Instance(Returned),
    /// A server is told that a session which mirrored its own is over.
    Farewell(Mirrored),
}

/// Has the cores work on the pieces, each in turn, and waits until all is done.
pub(super) fn run(cores: &Cores, pieces: Vec<Piece>) {
    let mut shares: Vec<Vec<Piece>> = (0..cores.count()).map(|_| Vec::new()).collect();
    for (number, piece) in pieces.into_iter().enumerate() {
        shares[number % cores.count()].push(piece);
    }
    let (done, waited) = std::sync::mpsc::channel::<()>();
    for (core, share) in shares.into_iter().enumerate() {
        let done = done.clone();
        let sent = cores.try_spawn(core, move |core| async move {
            for piece in share {
                piece.begin(&core);
            }
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
            Self::Session(resumed) => resumed.begin(core),
            Self::Instance(returned) => returned.for_all(),
            Self::Farewell(mirrored) => farewell::tell(core, vec![mirrored]),
        }
    }
}

impl Resumed {
    fn begin(self, core: &Rc<Core>) {
        let Self { session, instances, conversations, asked, watched } = self;
        let Some(hosted) = session.hosted() else { return };
        for returned in instances {
            returned.for_session(core, &session, hosted);
        }
        for (server, conversation) in conversations {
            let leg = Leg::http(server, Era::Legacy, conversation);
            hosted.leg_again(leg.clone());
            for asked in asked.iter().filter(|asked| asked.server == leg.server.settings.name) {
                // Whoever was to answer is gone.
                overhear::refuse(core, Asked { leg: leg.clone(), id: asked.id.0.clone() });
            }
            tokio::task::spawn_local(overhear::follow(Rc::clone(core), leg, Arc::downgrade(&session), Flow::default()));
        }
        let policy = core.policy();
        for (server, uris) in watched.into_iter().filter(|(_, uris)| !uris.is_empty()) {
            let server = policy.view(&session.view).and_then(|view| view.server(&server));
            if let Some(server) = server.and_then(|server| met(&policy, server, &session.client)) {
                watched::again(core, &server, &session, hosted, &uris);
            }
        }
    }
}

/// The server as a session's client meets it; none where nobody can tell yet who that is.
fn met(policy: &Policy, server: &Arc<Server>, client: &str) -> Option<Arc<Server>> {
    if !server.has_facets() {
        return Some(Arc::clone(server));
    }
    Some(server.met_by(policy.client(client.strip_prefix("key:")?)?))
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
        if let Some(introduction) = introduction {
            introduce(&server, introduction, |era| Leg::stdio(Arc::clone(&server), era, link));
        }
    }
}

/// Has those who look for a shared instance find that the gate was introduced to it.
fn introduce(server: &Server, introduction: Introduction, leg: impl FnOnce(Era) -> Leg) {
    match introduction {
        Introduction::Own { revision, answer } => {
            if let (Some(revision), Ok(answer)) = (Revision::parse(&revision), Message::parse(answer.0)) {
                server.discovery.introduced_again(revision, Introduced { leg: leg(revision.era()), answer });
            }
        }
        Introduction::Client { client, revision } => {
            if let Some(revision) = Revision::parse(&revision) {
                server.discovery.shared_again(&client, revision, leg(Era::Legacy).to_shared());
            }
        }
        Introduction::Holder { client, capabilities, answer } => {
            if let Ok(introduction) = Message::parse(answer.0) {
                server.kept.again(client, capabilities.0.to_vec(), leg(Era::Legacy).to_shared(), introduction);
            }
        }
    }
}
