//! What a modern client's subscription hears of a legacy server.
//!
//! Changes of lists come from the server's news, which all clients share, and from the session that is
//! held for the client, where its calls have opened one. Updates of resources come from that session,
//! where they are subscribed to for as long as the client listens.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use toolgate_protocol::bridge::listen::{self, Filter, Interest, List};
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::MODERN;
use tracing::debug;

use crate::core::Core;
use crate::failure::Failure;
use crate::listen::drain::Phase;
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::eras::{self, introduced_in_any};
use crate::servers::kept::{self, Holder, Kept, Owner};
use crate::servers::news::{self, Heard, Word};
use crate::servers::{Server, discovery};

/// An open ear.
pub struct Listened {
    /// What of the filter the server keeps.
    pub granted: Filter,
    lists: Heard,
    own: Option<Own>,
    subscribed: Option<Subscribed>,
    /// What is to be said because something was missed.
    missed: VecDeque<Bytes>,
}

/// The client's own session, heard for its lists. It may be opened, idle out and be opened again; to
/// listen opens none, since that may start an instance.
struct Own {
    server: Arc<Server>,
    owner: Owner,
    heard: Option<Heard>,
    /// Which one was heard last: one that has ended has nothing more to say.
    last: Weak<Kept>,
}

/// Resources that are subscribed to until this is dropped.
struct Subscribed {
    core: Rc<Core>,
    kept: Arc<Kept>,
    uris: Vec<String>,
    updates: Heard,
}

impl Listened {
    /// Subscribes to what is wanted and offered; URIs are the server's own.
    pub async fn open(
        core: &Rc<Core>,
        server: &Arc<Server>,
        holder: Holder<'_>,
        wanted: &Filter,
    ) -> Result<Self, Failure> {
        let known = introduced_in_any(core, server, MODERN).await?;
        let mut granted = wanted.granted(known.capabilities_raw().unwrap_or(b"{}"));
        let lists = news::hear(core, server, eras::met(server, MODERN));
        let holder = server.holder(holder);
        if holder.client == Holder::EVERYBODY.client {
            // What an instance for everybody says of resources reaches nobody.
            for uri in granted.uris().to_vec() {
                granted.withhold(&uri);
            }
        }
        let subscribed = if granted.uris().is_empty() {
            None
        } else {
            let kept = kept::session(core, server, holder).await?;
            Some(Subscribed::begin(core, kept, &mut granted).await)
        };
        // A session that is watched is heard already, and one that all share is the server's news.
        let is_own = subscribed.is_none() && holder.client != Holder::EVERYBODY.client;
        let own = is_own.then(|| Own::new(server, holder.owner()));
        Ok(Self { granted, lists, own, subscribed, missed: VecDeque::new() })
    }

    /// The next notification, in the server's own words; `None` once nothing more will come. A
    /// dropped future has taken nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(message) = self.missed.pop_front() {
                return Some(message);
            }
            let word = tokio::select! {
                word = self.lists.next() => word?,
                word = own(&mut self.own) => word,
                word = next(&mut self.subscribed) => word?,
            };
            match word {
                Word::Said(message) => {
                    let parsed = Message::parse(message).ok();
                    let wanted = parsed.filter(|one| self.granted.matches(&one.bytes, &one.envelope));
                    if let Some(message) = wanted {
                        return Some(message.bytes);
                    }
                }
                // Whoever missed something takes all of it for changed.
                Word::Lagged => self.missed.extend(everything(&self.granted)),
            }
        }
    }
}

/// A notification for each thing that is listened to.
fn everything(granted: &Filter) -> Vec<Bytes> {
    let lists = List::ALL.into_iter().filter(|list| granted.wants(*list)).map(listen::announcement);
    let resources = granted.uris().iter().map(|uri| listen::update(uri));
    lists.chain(resources).map(Bytes::from).collect()
}

async fn next(subscribed: &mut Option<Subscribed>) -> Option<Word> {
    match subscribed {
        Some(subscribed) => subscribed.updates.next().await,
        None => std::future::pending().await,
    }
}

async fn own(own: &mut Option<Own>) -> Word {
    match own {
        Some(own) => own.next().await,
        None => std::future::pending().await,
    }
}

impl Own {
    fn new(server: &Arc<Server>, owner: Owner) -> Self {
        Self { server: Arc::clone(server), owner, heard: None, last: Weak::new() }
    }

    /// The next word of whichever session is open. A dropped future has taken nothing.
    async fn next(&mut self) -> Word {
        loop {
            if let Some(heard) = &mut self.heard {
                if let Some(word) = heard.next().await {
                    return word;
                }
                self.heard = None;
            }
            // Before the look: one that is opened after it ends this wait.
            let opened = self.server.kept.opened();
            match self.server.kept.living(&self.server, &self.owner).await {
                Some(kept) if !std::ptr::eq(self.last.as_ptr(), Arc::as_ptr(&kept)) => {
                    self.heard = Some(kept.hear_early());
                    self.last = Arc::downgrade(&kept);
                }
                _ => opened.await,
            }
        }
    }
}

impl Subscribed {
    async fn begin(core: &Rc<Core>, kept: Arc<Kept>, granted: &mut Filter) -> Self {
        let updates = kept.hear();
        let mut subscribed = Self { core: Rc::clone(core), uris: granted.uris().to_vec(), kept, updates };
        let kept = Arc::clone(&subscribed.kept);
        let mut interest = kept.interest.lock().await;
        for uri in interest.enter(&subscribed.uris) {
            if let Err(failure) = say(core, &kept, Method::ResourcesSubscribe, &uri).await {
                debug!(server = kept.leg.server.settings.name, %failure, "a server does not take a subscription");
                granted.withhold(&uri);
                drop(interest.leave(std::slice::from_ref(&uri)));
                subscribed.uris.retain(|known| *known != uri);
            }
        }
        subscribed
    }
}

async fn say(core: &Rc<Core>, kept: &Kept, method: Method, uri: &str) -> Result<(), Failure> {
    let request = Interest::request(b"1", uri, method == Method::ResourcesSubscribe);
    let request = discovery::own(String::from_utf8_lossy(&request).into_owned());
    let answer = kept.leg.call(core, &request, &Provenance::own()).await?.answer().await?;
    if answer.is_error() { Err(super::refused(&kept.leg.server)) } else { Ok(()) }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        // A core that ends has no runtime to say anything with, and takes the session along.
        if self.core.drain.phase() >= Phase::Ending {
            return;
        }
        let (core, kept, uris) = (Rc::clone(&self.core), Arc::clone(&self.kept), std::mem::take(&mut self.uris));
        tokio::task::spawn_local(async move {
            let mut interest = kept.interest.lock().await;
            for uri in interest.leave(&uris) {
                drop(say(&core, &kept, Method::ResourcesUnsubscribe, &uri).await);
            }
        });
    }
}
