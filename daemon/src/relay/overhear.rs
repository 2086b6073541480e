//! What a server of a hosted session says outside of calls, passed to the session's own stream.
//!
//! An HTTP server says it on its GET stream, an instance among its lines. Requests of servers get
//! ids of ours on the way; the HTTP server's session ends together with ours.

use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::sleep;
use toolgate_protocol::{envelope, tasks};
use tracing::debug;

use super::announce;
use crate::core::Core;
use crate::provenance::Provenance;
use crate::servers::exchange::refusal;
use crate::servers::http_stream::{Stream, Unasked};
use crate::servers::leg::Leg;
use crate::servers::news::announced;
use crate::servers::queue::Flow;
use crate::sessions::{Asked, Hosted, Kind, Outward, Session};
use crate::tasks::Whose;

/// How often a quiet stream looks whether its session is still there.
const LOOK: Duration = Duration::from_secs(5);

/// Follows the server's stream for as long as the session lives, as one of the streams of `flow`, then ends the server's session.
pub async fn follow(core: Rc<Core>, leg: Leg, session: Weak<Session>, flow: Flow) {
    let Some(mut stream) = Stream::new(&core, &leg, Some(flow)) else { return };
    let mut gone = std::pin::pin!(gone(&session));
    loop {
        let heard = tokio::select! {
            heard = stream.next() => heard,
            () = &mut gone => break,
        };
        match heard {
            Unasked::Message(message) => {
                let Some(session) = session.upgrade() else { break };
                deliver(message, &core, &leg, &session).await;
            }
            Unasked::Reopened => {}
            Unasked::Refused | Unasked::Lost => {
                gone.await;
                break;
            }
        }
    }
    stream.end().await;
}

async fn gone(session: &Weak<Session>) {
    while session.strong_count() > 0 {
        sleep(LOOK).await;
    }
}

/// Passes on what an instance says, until it or the session ends.
pub async fn pass_on(core: Rc<Core>, mut said: mpsc::Receiver<Bytes>, leg: Leg, session: Weak<Session>) {
    while let Some(message) = said.recv().await {
        let Some(session) = session.upgrade() else { return };
        deliver(message, &core, &leg, &session).await;
    }
    if leg.is_ended()
        && let Some(session) = session.upgrade()
        && let Kind::Hosted(hosted) = &session.kind
    {
        hosted.forget_asked(&leg);
    }
}

async fn deliver(message: Bytes, core: &Rc<Core>, leg: &Leg, session: &Arc<Session>) {
    let Kind::Hosted(hosted) = &session.kind else { return };
    let Some(message) = hosted.with_own_token(leg, message) else { return };
    let outward = hosted.outward(leg, message);
    // What it asks is kept before anybody can answer it.
    hosted.kept().await;
    match outward {
        Outward::Pass(message) => {
            let whose = || Whose::new(&core.gate.tasks, &session.client, &leg.server, hosted.is_merged());
            let own = if tasks::mentions(&message) { whose().outward(message) } else { Some(message) };
            let Some(message) = own else { return };
            match envelope::scan(&message).ok().as_ref().and_then(announced) {
                Some(list) => {
                    leg.server.lists_changed();
                    announce::tell(core, session, list, message);
                }
                None => say(core, hosted, &message),
            }
        }
        Outward::Refuse(asked) => refuse(core, asked),
        Outward::Nothing => {}
    }
}

/// Puts a message where the session's stream finds it.
pub fn say(core: &Rc<Core>, hosted: &Hosted, message: &[u8]) {
    unseen(core, hosted, hosted.outbox.deliver(message));
}

/// Refuses what servers asked in messages that the client will never see.
pub fn unseen(core: &Rc<Core>, hosted: &Hosted, gone: Vec<Bytes>) {
    for asked in gone.into_iter().filter_map(|gone| hosted.unseen(gone)) {
        refuse(core, asked);
    }
}

/// Tells a server that its request will not be answered, lest it wait.
pub fn refuse(core: &Rc<Core>, asked: Asked) {
    let core = Rc::clone(core);
    tokio::task::spawn_local(async move {
        let sent = asked.leg.send(&core, refusal(&asked.id), &Provenance::own()).await;
        if let Err(failure) = sent {
            debug!(server = asked.leg.server.settings.name, %failure, "a server was not told that its request is refused");
        }
    });
}
