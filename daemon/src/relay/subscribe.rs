//! `subscriptions/listen` where the gate is its end: on merged views, and in front of legacy servers.
//!
//! The first message is the acknowledgement with what the servers together honour; afterwards each
//! server's notifications follow under the client's subscription (2026-07-28, "Subscriptions").

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use toolgate_protocol::bridge::listen::{self, Filter, List};
use toolgate_protocol::envelope;
use toolgate_protocol::json;
use toolgate_protocol::names;
use toolgate_protocol::revision::Era;
use toolgate_protocol::spaced::{Next, Spaced};
use tracing::warn;

use super::crossing::listened::Listened;
use super::links;
use super::stream::{Events, Gone, KEEP_ALIVE};
use crate::body::Body;
use crate::call::Call;
use crate::clock;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::identity::Client;
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::exchange::{Exchange, Step};
use crate::servers::kept::Holder;
use crate::servers::news::{Heard, Word, announced};
use crate::servers::queue::{Flow, Permit};
use crate::servers::{Server, eras};
use crate::sessions::CHANGE_GAP;

/// How long the acknowledgement waits for one of several servers.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before a server that is missing is asked again; doubles while it stays away.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Notifications that a client may have unread.
const BUFFER: usize = 256;

/// What the client hears of one server.
struct Ear {
    server: Arc<Server>,
    granted: Filter,
    by: By,
    /// What the gate itself has to say of a server that it withholds tools of.
    gate: Option<Heard>,
    /// The same of tools that an operator switches off and on.
    off: Option<watch::Receiver<u64>>,
    /// The right to a stream of the server's.
    _permit: Permit,
}

enum By {
    Modern(Box<Exchange>),
    Legacy(Box<Listened>),
}

/// Opens the stream.
pub async fn listen(call: &mut Call) -> Result<Response<Body>, Failure> {
    let message = call.message().clone();
    let wanted = Filter::of_request(&message.bytes, &message.envelope)
        .map_err(|bad| Failure::new(Kind::InvalidParams, bad.to_string()))?;
    let merged = call.view().single().is_none();
    let (ears, missing) = opened(call, &message, &wanted, merged).await?;
    let granted = granted(&ears, merged);
    let (events, response) = Events::open(&call.core);
    let id = message.id_bytes();
    tokio::task::spawn_local(async move {
        // A client that is gone needs nothing more.
        drop(feed((ears, missing), &granted, merged, &id, &events).await);
    });
    Ok(response)
}

/// An ear for each server that answers in time, in the order of the view, and what would be one for each
/// of the others.
async fn opened(
    call: &Call,
    message: &Message,
    wanted: &Filter,
    merged: bool,
) -> Result<(Vec<Ear>, Vec<Opening>), Failure> {
    let mut asked = JoinSet::new();
    let open = call.view().servers.iter().filter(|server| call.client().may_reach(&server.settings.name));
    for (place, server) in open.enumerate() {
        let wanted = if merged { own(wanted, &server.settings.name) } else { wanted.clone() };
        if merged && wanted.is_empty() {
            continue;
        }
        let opening = Opening {
            core: Rc::clone(&call.core),
            from: call.provenance(),
            client: Arc::clone(call.client()),
            server: Arc::clone(server),
            message: message.clone(),
            wanted,
        };
        asked.spawn_local(async move { (place, timeout(PATIENCE, opening.ear()).await, opening) });
    }
    let mut answered = asked.join_all().await;
    answered.sort_by_key(|(place, ..)| *place);
    let (mut ears, mut missing) = (Vec::new(), Vec::new());
    for (_, opened, opening) in answered {
        let name = &opening.server.settings.name;
        match opened {
            Ok(Ok(ear)) => {
                ears.push(ear);
                continue;
            }
            // One of many costs its own notifications only.
            Ok(Err(failure)) if !merged => return Err(failure),
            Err(_) if !merged => return Err(Failure::new(Kind::ServerTimeout, "The server did not answer in time.")),
            Ok(Err(failure)) => warn!(server = name, %failure, "a server is missing from a subscription"),
            Err(_) => warn!(server = name, "a server is missing from a subscription: it did not answer in time"),
        }
        missing.push(opening);
    }
    Ok((ears, missing))
}

/// What it takes to hear one server for a client.
struct Opening {
    core: Rc<Core>,
    from: Provenance,
    client: Arc<Client>,
    server: Arc<Server>,
    message: Message,
    wanted: Filter,
}

impl Opening {
    async fn ear(&self) -> Result<Ear, Failure> {
        let Self { core, from, client, server, message, wanted } = self;
        let capabilities = message.raw(message.envelope.client_capabilities).unwrap_or(b"{}");
        let server = Arc::clone(server);
        if !eras::speaks(core, &server, Era::Modern).await {
            let holder = Holder { client: &client.id, capabilities, info: message.raw(message.envelope.client_info) };
            let listened = Listened::open(core, &server, holder, wanted).await?;
            return Ok(Ear {
                granted: listened.granted.clone(),
                server,
                by: By::Legacy(Box::new(listened)),
                gate: None,
                off: None,
                _permit: Permit::default(),
            });
        }
        let permit = server.open_stream(Flow::of(client)).await?;
        let leg = server.modern_leg(&client.id, capabilities).await?;
        let mut exchange = leg.call(core, &with_filter(message, wanted), from).await?;
        match exchange.next().await {
            Step::Related(acknowledged) => {
                let acknowledged = Message::parse(acknowledged).ok();
                let granted =
                    acknowledged.and_then(|message| Filter::of_request(&message.bytes, &message.envelope).ok());
                let granted = granted.unwrap_or_default();
                let speaks = server.answers.blocks() && granted.wants(List::Tools);
                let gate = speaks.then(|| server.news.subscribe());
                let off = granted.wants(List::Tools).then(|| server.off.follow());
                Ok(Ear { server, granted, by: By::Modern(Box::new(exchange)), gate, off, _permit: permit })
            }
            Step::Lost(failure) => Err(failure),
            Step::Final(_) => Err(Failure::new(Kind::ServerGarbage, "The server acknowledged no subscription.")),
        }
    }

    /// Waits until the server that was missing would be heard.
    async fn back(self) {
        let mut pause = PAUSE;
        loop {
            sleep(pause).await;
            if let Ok(Ok(_ear)) = timeout(PATIENCE, self.ear()).await {
                return;
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}

/// What of a merged filter is one server's: all lists, and its resources under the URIs that it knows.
fn own(wanted: &Filter, server: &str) -> Filter {
    let own = wanted.uris().iter().filter_map(|uri| names::split_uri(uri)).filter(|(owner, _)| *owner == server);
    Filter::new(|list| wanted.wants(list), own.map(|(_, uri)| uri.to_owned()).collect())
}

/// The request with another filter; the client's own bytes otherwise.
fn with_filter(message: &Message, wanted: &Filter) -> Message {
    let filter = message.envelope.params.and_then(|params| json::get(&message.bytes, params, "notifications"));
    let changed = message.with(&[(filter, wanted.to_json().as_bytes())]);
    Message::parse(changed.into()).unwrap_or_else(|_| message.clone())
}

fn granted(ears: &[Ear], merged: bool) -> Filter {
    let uris = ears.iter().flat_map(|ear| {
        let name = &ear.server.settings.name;
        ear.granted.uris().iter().map(move |uri| if merged { names::join_uri(name, uri) } else { uri.clone() })
    });
    Filter::new(|list| ears.iter().any(|ear| ear.granted.wants(list)), uris.collect())
}

/// Acknowledges, then passes on what the servers say until the first of them ends, or one that was missing
/// is back: the client then opens a new stream, which it could not know to do while the others still speak.
async fn feed(
    (ears, missing): (Vec<Ear>, Vec<Opening>),
    granted: &Filter,
    merged: bool,
    id: &[u8],
    events: &Events,
) -> Result<(), Gone> {
    events.message(&listen::acknowledgement(id, granted)).await?;
    let (sender, mut said) = mpsc::channel(BUFFER);
    let mut hearing = JoinSet::new();
    for ear in ears {
        hearing.spawn_local(ear.hear(sender.clone(), merged));
    }
    for opening in missing {
        hearing.spawn_local(opening.back());
    }
    let mut lists = [const { Spaced::new(CHANGE_GAP) }; 3];
    loop {
        let message = tokio::select! {
            Some(message) = said.recv() => message,
            Some(_) = hearing.join_next() => return events.message(&listen::end(id)).await,
            () = due(&lists) => {
                for message in lists.iter_mut().filter_map(|list| list.due(clock::millis())) {
                    say(&message, id, events).await?;
                }
                continue;
            }
            () = sleep(KEEP_ALIVE) => {
                events.keep_alive().await?;
                continue;
            }
            () = events.gone() => return Err(Gone),
        };
        match message.envelope.known_method.and_then(List::of) {
            // Several servers that change at once are one change.
            Some(list) => match lists[list as usize].note(clock::millis(), message) {
                Next::Now(message) => say(&message, id, events).await?,
                Next::At(_) | Next::Superseding => {}
            },
            None => say(&message, id, events).await?,
        }
    }
}

async fn due(lists: &[Spaced<Message>]) {
    match lists.iter().filter_map(Spaced::next).min() {
        Some(time) => sleep(Duration::from_millis(time.saturating_sub(clock::millis()))).await,
        None => std::future::pending().await,
    }
}

/// A notification under the client's subscription.
async fn say(message: &Message, id: &[u8], events: &Events) -> Result<(), Gone> {
    events.message(&listen::tagged(&message.bytes, &message.envelope, id)).await
}

impl Ear {
    /// Says what the server says until either side is gone.
    async fn hear(mut self, sender: mpsc::Sender<Message>, merged: bool) {
        loop {
            let said = tokio::select! {
                said = self.by.next() => said,
                () = tools_changed(&mut self.gate) => Some(listen::announcement(List::Tools).into()),
                () = switched(&mut self.off) => Some(listen::announcement(List::Tools).into()),
                () = sender.closed() => return,
            };
            let Some(said) = said else { return };
            let Ok(message) = Message::parse(said) else { continue };
            let offered = if merged { links::updated(&self.server.settings.name, message) } else { message.bytes };
            let Ok(message) = Message::parse(offered) else { continue };
            if sender.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// Waits until other tools are off than before.
async fn switched(off: &mut Option<watch::Receiver<u64>>) {
    if let Some(off) = off
        && off.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Waits until the gate has another view of a server's tools than before.
async fn tools_changed(gate: &mut Option<Heard>) {
    if let Some(heard) = gate {
        while let Some(word) = heard.next().await {
            let Word::Said(message) = word else { return };
            if envelope::scan(&message).is_ok_and(|envelope| announced(&envelope) == Some(List::Tools)) {
                return;
            }
        }
    }
    std::future::pending::<()>().await;
}

impl By {
    async fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Legacy(listened) => listened.next().await,
            Self::Modern(exchange) => match exchange.next().await {
                Step::Related(message) => Some(message),
                Step::Final(_) | Step::Lost(_) => None,
            },
        }
    }
}
