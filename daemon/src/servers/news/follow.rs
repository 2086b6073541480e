//! Listening to a server for its readers, where no session does: on the leg of its discovery.
//!
//! It begins with the first reader and ends with the last, or with the server. What was missed
//! in between counts as changed. Nothing but list changes passes: the leg is shared by all.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use toolgate_protocol::bridge::listen::{Filter, List};
use toolgate_protocol::envelope;
use toolgate_protocol::revision::{Era, Revision};
use tracing::debug;

use super::{Heard, Word, announced};
use crate::core::Core;
use crate::listen::drain::Phase;
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::Server;
use crate::servers::discovery::{self, Introduced, introduced};
use crate::servers::exchange::Step;
use crate::servers::http_stream::{Stream, Unasked};
use crate::servers::leg::Leg;

/// Before a server is listened to anew; doubles while that fails.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// How often it is looked whether somebody else introduced the gate anew.
const LOOK: Duration = Duration::from_secs(5);

/// How listening ended.
enum End {
    /// The server has nothing to announce, or its instance was ended by the gate: it is not
    /// disturbed, or started, until somebody else wants something of it.
    Silent,
    /// The stream or the instance ended by itself.
    Lost,
    /// It could not be listened to.
    Failed,
}

/// Subscribes to a server's news and sees to it that somebody listens, in a revision that the
/// server was introduced in.
pub fn hear(core: &Rc<Core>, server: &Arc<Server>, revision: Revision) -> Heard {
    let heard = server.news.subscribe();
    if server.news.take_up(revision) {
        tokio::task::spawn_local(follow(Rc::clone(core), Arc::clone(server), revision));
    }
    heard
}

async fn follow(core: Rc<Core>, server: Arc<Server>, revision: Revision) {
    loop {
        tokio::select! {
            () = server.news.unheard() => {}
            // An instance may outlive the gate: it is told that nobody listens.
            () = core.drain.reached(Phase::Finishing) => return,
            never = listen(&core, &server, revision) => match never {}
        }
        if server.news.let_go(revision) {
            return;
        }
    }
}

async fn listen(core: &Rc<Core>, server: &Arc<Server>, revision: Revision) -> Infallible {
    let mut pause = PAUSE;
    let mut missed = false;
    loop {
        let end = match introduced(core, server, revision).await {
            Ok(known) => {
                if missed {
                    publish_all(server, &known);
                }
                let end = attend(core, server, &known).await;
                missed = true;
                if matches!(end, End::Silent) {
                    anew(server, revision, &known).await;
                    continue;
                }
                end
            }
            Err(_) => End::Failed,
        };
        if matches!(end, End::Lost) {
            pause = PAUSE;
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Waits until the gate was introduced in another conversation than `known`.
async fn anew(server: &Server, revision: Revision, known: &Arc<Introduced>) {
    while server.discovery.known(revision).is_none_or(|now| Arc::ptr_eq(&now, known)) {
        sleep(LOOK).await;
    }
}

fn pass_on(server: &Server, message: &[u8]) {
    if let Some(list) = envelope::scan(message).ok().as_ref().and_then(announced) {
        // Before anybody hears of it and asks.
        server.lists_changed();
        server.news.publish_change(list);
    }
}

fn publish_all(server: &Server, known: &Introduced) {
    server.news.publish_changes(List::ALL.into_iter().filter(|list| known.announces(*list)));
}

async fn attend(core: &Rc<Core>, server: &Server, known: &Introduced) -> End {
    if !List::ALL.into_iter().any(|list| known.announces(list)) {
        return End::Silent;
    }
    let leg = &known.leg;
    if leg.era == Era::Modern {
        return subscription(core, server, known).await;
    }
    let Some(stream) = Stream::new(core, leg, None) else { return instance(server, leg).await };
    let end = stream_of(server, stream).await;
    if matches!(end, End::Lost) {
        discovery::forget_all(server);
    }
    end
}

/// What the shared instance says outside of calls.
async fn instance(server: &Server, leg: &Leg) -> End {
    let Some(news) = leg.news() else { return End::Silent };
    let mut said = news.subscribe();
    while let Some(word) = said.next().await {
        match word {
            Word::Said(message) => {
                if envelope::scan(&message).is_ok_and(|envelope| announced(&envelope).is_some()) {
                    server.lists_changed();
                }
                server.news.publish(message);
            }
            Word::Lagged => {
                server.lists_changed();
                server.news.publish_changes(List::ALL);
            }
        }
    }
    if leg.was_told_to_end() { End::Silent } else { End::Lost }
}

/// The stream of the gate's own session at an HTTP server.
async fn stream_of(server: &Server, mut stream: Stream) -> End {
    loop {
        match stream.next().await {
            Unasked::Message(message) => pass_on(server, &message),
            Unasked::Reopened => server.news.publish_changes(List::ALL),
            Unasked::Refused => return End::Silent,
            Unasked::Lost => return End::Lost,
        }
    }
}

/// A subscription of the gate's own (2026-07-28, "Subscriptions").
async fn subscription(core: &Rc<Core>, server: &Server, known: &Introduced) -> End {
    let exchange = known.leg.call(core, &subscribe(known), &Provenance::own()).await;
    let mut exchange = match exchange {
        Ok(exchange) => exchange,
        Err(failure) => {
            debug!(server = server.settings.name, %failure, "a server could not be listened to");
            return End::Failed;
        }
    };
    let mut acknowledged = false;
    loop {
        match exchange.next().await {
            Step::Related(message) => {
                acknowledged = true;
                pass_on(server, &message);
            }
            // An error instead of the acknowledgement: it takes no subscriptions.
            Step::Final(_) if !acknowledged => return End::Silent,
            Step::Lost(_) if !acknowledged => return End::Failed,
            Step::Final(_) | Step::Lost(_) => return if known.leg.was_told_to_end() { End::Silent } else { End::Lost },
        }
    }
}

fn subscribe(known: &Introduced) -> Message {
    let wanted = Filter::new(|list| known.announces(list), Vec::new()).to_json();
    discovery::own(format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"notifications":{wanted},{}}}}}"#,
        discovery::own_meta()
    ))
}

#[cfg(test)]
mod tests;
