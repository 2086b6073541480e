//! What a hosted session's record says, and how a later process goes on from it.
//!
//! The session calls `save` when something changed that a client or a server is about to rely on;
//! the restoration makes a session of what the record says, and takes up its legs.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use toolgate_protocol::envelope::{self, Shape};
use toolgate_protocol::revision::Revision;

use super::{Answerer, Hosted};
use crate::lock::lock;

use crate::message::Message;
use crate::servers::leg::Leg;
use crate::sessions::{Outbox, Session, Streams};
use crate::state::entry;

/// What a session's client has not read at an orderly end is kept up to this many bytes.
const UNREAD_BYTES: usize = 64 << 10;

/// What a session's client says is kept up to this many bytes in all; with more the session ends with the
/// process. Else a client would decide how large the state is.
const SAID_BYTES: usize = 64 << 10;

impl Hosted {
    /// A session of an earlier process, without its legs. The events of its stream go on behind `event`,
    /// and what servers ask is numbered from `first` on: an answer to what was asked before has another
    /// number. `None` where its record says nothing that can be understood.
    pub fn again(entry: &entry::Hosted, event: u64, first: u64) -> Option<Self> {
        let revision = Revision::parse(&entry.revision)?;
        let initialize = Message::parse(entry.initialize.0.clone()).ok()?;
        let streams = Streams::default();
        let outbox = Outbox::again(&streams, entry.stream, event);
        for message in &entry.unread {
            drop(outbox.deliver(&message.0));
        }
        let hosted = Self::with(revision, initialize, entry.merged, streams, outbox);
        hosted.next_asked.store(first, Ordering::Relaxed);
        *lock(&hosted.log_level) = entry.log_level.as_ref().map(|level| level.0.clone());
        Some(hosted)
    }

    /// Has its record go on with these legs of an earlier process, each of which is about to be taken up.
    pub fn note_again(&self, legs: BTreeMap<String, entry::Leg>) {
        *lock(&self.noted) = legs;
    }

    /// Says which session it is the kind of, once.
    pub fn belong_to(&self, session: &Arc<Session>) {
        drop(self.session.set(Arc::downgrade(session)));
    }

    /// Has its record say what has changed; [`Hosted::kept`] tells when a client or a server may rely on it.
    pub fn save(&self) {
        if let Some(session) = self.session.get().and_then(Weak::upgrade) {
            session.save();
        }
    }

    /// Waits until what was saved is written, but not for long.
    pub async fn kept(&self) {
        if let Some(session) = self.session.get().and_then(Weak::upgrade) {
            session.kept().await;
        }
    }

    /// Takes up the leg to a server that an earlier process opened.
    pub fn leg_again(&self, leg: Leg) {
        let name = leg.server.settings.name.clone();
        lock(&self.legs).insert(name, Arc::new(tokio::sync::Mutex::new(Some(leg))));
    }

    /// Has a later process go on with this leg.
    pub async fn note_leg(&self, leg: &Leg) {
        let name = leg.server.settings.name.clone();
        match leg.entry() {
            Some(entry) => drop(lock(&self.noted).insert(name, entry)),
            None => drop(lock(&self.noted).remove(&name)),
        }
        self.save();
        self.kept().await;
    }

    /// What its record says. While the process runs, what waits for the client is no part of it: it may
    /// be handed over at any moment.
    /// `None` where the client said more than is kept.
    pub fn entry(&self, settles: bool) -> Option<entry::Hosted> {
        let log_level = self.log_level().map(entry::Text);
        let watched: BTreeMap<_, _> =
            lock(&self.watched).iter().map(|(server, watched)| (server.clone(), watched.uris())).collect();
        let level = log_level.as_ref().map_or(0, |level| level.0.len());
        let said = self.initialize.bytes.len() + level + watched.values().flatten().map(String::len).sum::<usize>();
        if said > SAID_BYTES {
            return None;
        }
        let unread = if settles { self.outbox.unread() } else { Vec::new() };
        let mut room = UNREAD_BYTES;
        Some(entry::Hosted {
            revision: self.revision.as_str().to_owned(),
            initialize: self.initialize.bytes[..].into(),
            merged: self.merged,
            stream: self.outbox.number(),
            log_level,
            legs: lock(&self.noted).clone(),
            asked: lock(&self.asked).values().filter_map(Answerer::entry).collect(),
            watched,
            unread: unread
                .into_iter()
                .filter(|message| !is_request(message))
                .take_while(|message| {
                    room = room.saturating_sub(message.len());
                    room > 0
                })
                .map(entry::Text)
                .collect(),
        })
    }
}

impl Answerer {
    /// What a later process has to answer: an instance's own record says the same of it.
    pub(super) fn entry(&self) -> Option<entry::Asked> {
        match self {
            Self::Server(asked) if asked.leg.conversation().is_some() => {
                let server = asked.leg.server.settings.name.clone();
                Some(entry::Asked { server, id: entry::Text(asked.id.clone()) })
            }
            Self::Server(_) | Self::Call(_) => None,
        }
    }
}

/// Whether a server asks something: a later process has answered it before it can be handed over.
fn is_request(message: &[u8]) -> bool {
    envelope::scan(message).is_ok_and(|envelope| envelope.shape == Shape::Request)
}
