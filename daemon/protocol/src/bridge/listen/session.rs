//! What a legacy session hears of a modern server, by listen streams that the gate opens for it.
//! Called at `initialize`, at each `resources/subscribe` and `resources/unsubscribe`, and for each message of a stream.
//! Must hold: a stream that lacks something is replaced only after its successor was acknowledged, so that no change
//! falls between the two; a legacy client never sees a subscription's id.

use super::Filter;
use crate::bridge::request::Declared;
use crate::bridge::{members, meta};
use crate::envelope::Envelope;
use crate::method::Method;

/// What became of a message of a listen stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is for the client, like this.
    Tell(Vec<u8>),
    /// The stream is open: the one before may be closed, and requests to subscribe that wait may be answered.
    Acknowledged,
    /// It is not for the client.
    Nothing,
}

/// The interest of one session.
#[derive(Clone, Debug)]
pub struct Session {
    wanted: Filter,
    /// What the newest stream was asked for; `None` while there is none.
    asked: Option<Filter>,
    /// What the server granted of it.
    granted: Filter,
    /// The server's capabilities, raw.
    capabilities: Vec<u8>,
}

impl Session {
    /// A session that wants to hear of all lists whose changes the server announces. `capabilities` are the server's,
    /// raw, as the client was told them.
    #[must_use]
    pub fn new(capabilities: &[u8]) -> Self {
        let wanted = Filter::new(|_| true, Vec::new()).granted(capabilities);
        Self { wanted, asked: None, granted: Filter::default(), capabilities: capabilities.to_vec() }
    }

    /// The client subscribes to a resource. False when the server offers no subscriptions, or too many are wanted; the
    /// request is then to be refused.
    pub fn subscribe(&mut self, uri: &str) -> bool {
        let one = Filter::new(|_| false, vec![uri.to_owned()]).granted(&self.capabilities);
        if self.wanted.uris.iter().any(|known| known == uri) {
            return true;
        }
        if one.is_empty() || self.wanted.uris.len() >= super::MAX_URIS {
            return false;
        }
        self.wanted.uris.push(uri.to_owned());
        true
    }

    /// The resources that the client subscribed to.
    #[must_use]
    pub fn uris(&self) -> &[String] {
        &self.wanted.uris
    }

    /// The client wants to hear no more of a resource. The stream stays as it is, and what it says of it is dropped.
    pub fn unsubscribe(&mut self, uri: &str) {
        self.wanted.withhold(uri);
    }

    /// The request that opens a stream for everything that is wanted, when the newest stream lacks something. `id` is
    /// raw, and new at the server.
    #[must_use = "the stream must be opened"]
    pub fn open(&mut self, id: &[u8], client: &Declared) -> Option<Vec<u8>> {
        let suffices = match &self.asked {
            Some(asked) => asked.covers(&self.wanted),
            None => self.wanted.is_empty(),
        };
        if suffices {
            return None;
        }
        self.asked = Some(self.wanted.clone());
        Some(self.wanted.request(id, client))
    }

    /// The newest stream has ended: the next [`Session::open`] asks for everything again.
    pub fn lost(&mut self) {
        self.asked = None;
        self.granted = Filter::default();
    }

    /// Whether the server has granted a resource: a request to subscribe to it may be answered.
    #[must_use]
    pub fn has_granted(&self, uri: &str) -> bool {
        self.granted.uris.iter().any(|granted| granted == uri)
    }

    /// A message came on a stream. `is_newest` is false for a stream that is being replaced.
    pub fn heard(&mut self, text: &[u8], envelope: &Envelope, is_newest: bool) -> Outcome {
        if envelope.known_method == Some(Method::SubscriptionAcknowledged) {
            if !is_newest {
                return Outcome::Nothing;
            }
            self.granted = Filter::of_acknowledgement(text, envelope);
            return Outcome::Acknowledged;
        }
        if !self.wanted.matches(text, envelope) {
            return Outcome::Nothing;
        }
        Outcome::Tell(members::strip(text, envelope, &[meta::SUBSCRIPTION_ID], &[]))
    }
}
