//! List changes on their way to a hosted session: from servers that it has no leg of its own to.
//!
//! Begins when a session opens its stream, and ends with the session. However many servers
//! announce, a session hears of each kind at once and then at most once per gap.

use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use toolgate_protocol::bridge::listen::{self, List};
use toolgate_protocol::envelope;
use toolgate_protocol::revision::{Era, Revision};
use toolgate_protocol::spaced::Next;

use super::overhear::say;
use crate::call::Call;
use crate::clock;
use crate::core::Core;
use crate::servers::discovery::introduced;
use crate::servers::news::{self, Heard, Word};
use crate::servers::{Server, eras};
use crate::sessions::{Hosted, Kind, Session};

/// Has the call's session hear what the servers of its view announce, from now on.
pub fn follow_all(call: &Call, session: &Arc<Session>, hosted: &Hosted) {
    let open = call.view().servers.iter().filter(|server| call.client().may_reach(&server.settings.name));
    for server in open.filter(|server| hosted.begin_hearing(&server.settings.name)) {
        let heard = if server.is_open_to_all() {
            news::hear(&call.core, server, eras::met(server, hosted.revision))
        } else {
            // Nobody may listen at it before a user has come: then the gate itself says that its lists are others.
            server.news.subscribe()
        };
        let follower = Follower { core: Rc::clone(&call.core), session: Arc::downgrade(session) };
        let (server, ended) = (Arc::clone(server), hosted.outbox.ended());
        tokio::task::spawn_local(async move {
            tokio::select! {
                () = follower.server(server, heard) => {}
                () = ended => {}
            }
        });
    }
}

/// Has a session hear what an instance announces that it shares with others.
pub fn follow_instance(core: &Rc<Core>, heard: Heard, session: &Arc<Session>, hosted: &Hosted) {
    let follower = Follower { core: Rc::clone(core), session: Arc::downgrade(session) };
    let ended = hosted.outbox.ended();
    tokio::task::spawn_local(async move {
        tokio::select! {
            () = follower.instance(heard) => {}
            () = ended => {}
        }
    });
}

struct Follower {
    core: Rc<Core>,
    session: Weak<Session>,
}

impl Follower {
    /// Hears a server for as long as the session's path leads to it, also as what a reload makes of it.
    async fn server(&self, mut server: Arc<Server>, mut heard: Heard) {
        loop {
            while let Some(word) = heard.next().await {
                let Some(session) = self.session.upgrade() else { return };
                let Kind::Hosted(hosted) = &session.kind else { return };
                // A session with a leg of its own hears it there; on a modern leg nothing comes unasked, and of tools
                // that are withheld or switched off only the gate can tell.
                let has_leg = hosted.living_leg(&server).await.is_some_and(|leg| leg.era == Era::Legacy);
                if !has_leg || server.answers.blocks() || server.off.was_used() {
                    self.pass_on(&session, word);
                }
            }
            let Some(next) = self.successor(&server) else { return };
            server = next;
            let Some(revision) = self.revision().map(|revision| eras::met(&server, revision)) else { return };
            heard = news::hear(&self.core, &server, revision);
            let known = introduced(&self.core, &server, revision).await;
            let Some(session) = self.session.upgrade() else { return };
            let lists = List::ALL.into_iter().filter(|list| known.as_ref().is_ok_and(|known| known.announces(*list)));
            tell_all(&self.core, &session, lists);
        }
    }

    async fn instance(&self, mut heard: Heard) {
        while let Some(word) = heard.next().await {
            let Some(session) = self.session.upgrade() else { return };
            self.pass_on(&session, word);
        }
    }

    fn pass_on(&self, session: &Arc<Session>, word: Word) {
        match word {
            Word::Said(message) => {
                if let Some(list) = envelope::scan(&message).ok().as_ref().and_then(news::announced) {
                    tell(&self.core, session, list, message);
                }
            }
            Word::Lagged => tell_all(&self.core, session, List::ALL),
        }
    }

    /// What runs under the server's name now; `None` where the session is not to hear it any more.
    fn successor(&self, server: &Server) -> Option<Arc<Server>> {
        let session = self.session.upgrade()?;
        let Kind::Hosted(hosted) = &session.kind else { return None };
        let name = &server.settings.name;
        let policy = self.core.policy();
        let next = policy.view(&session.view).and_then(|view| view.server(name)).and_then(|next| next.like(server));
        if next.is_none() {
            hosted.end_hearing(name);
        }
        next.filter(|next| next.generation != server.generation)
    }

    fn revision(&self) -> Option<Revision> {
        match &self.session.upgrade()?.kind {
            Kind::Hosted(hosted) => Some(hosted.revision),
            Kind::Mirrored(_) => None,
        }
    }
}

/// Tells a session that these lists may have changed. One that it was just told of comes later than the others.
fn tell_all(core: &Rc<Core>, session: &Arc<Session>, lists: impl IntoIterator<Item = List>) {
    for list in lists {
        tell(core, session, list, listen::announcement(list).into());
    }
}

/// Tells a session that a list changed, unless it has just been told.
pub fn tell(core: &Rc<Core>, session: &Arc<Session>, list: List, message: Bytes) {
    let Kind::Hosted(hosted) = &session.kind else { return };
    let next = hosted.changes(list).note(clock::millis(), message);
    match next {
        Next::Now(message) => say_once(core, hosted, &message),
        Next::At(time) => {
            let (core, session) = (Rc::clone(core), Arc::downgrade(session));
            tokio::task::spawn_local(tell_at(core, session, list, time));
        }
        Next::Superseding => {}
    }
}

async fn tell_at(core: Rc<Core>, session: Weak<Session>, list: List, time: u64) {
    sleep(Duration::from_millis(time.saturating_sub(clock::millis()))).await;
    let Some(session) = session.upgrade() else { return };
    let Kind::Hosted(hosted) = &session.kind else { return };
    let due = hosted.changes(list).due(clock::millis());
    if let Some(message) = due {
        say_once(&core, hosted, &message);
    }
}

/// A client that does not read must not have its mailbox filled with the same announcement.
fn say_once(core: &Rc<Core>, hosted: &Hosted, message: &[u8]) {
    if !hosted.outbox.holds(message) {
        say(core, hosted, message);
    }
}

#[cfg(test)]
mod tests;
