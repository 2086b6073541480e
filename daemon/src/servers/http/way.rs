//! How a call gets to a server that may speak HTTP/2: in a stream of a connection that is there, or is opened for all who
//! wait; or over HTTP/1.1, where the server has chosen it.

use std::sync::Arc;

use tokio::time::Instant;

use super::answer::{Answer, AnswerBody, Timing};
use super::conn::Conn;
use super::connect::Speech;
use super::error::{SendError, SendErrorKind};
use super::lanes::{Lane, Lease};
use super::pool::Place;
use super::request::Outgoing;
use super::streamed::{self, Patience, Streamed};
use super::{Endpoint, HttpClient};
use crate::servers::queue::Permit;

/// A connection that a call has for itself, the right to it, and when it was had.
pub(super) type Own = (Permit, Conn, Instant);

/// How a call goes to a server that may speak HTTP/2.
pub(super) enum Way {
    Stream(Lease),
    /// In HTTP/1.1; over the connection on which the server has said so, if it is the first one.
    Plain(Option<Box<Own>>),
}

impl HttpClient {
    /// The same of connections that calls share: one is as good as many.
    pub(super) async fn warm_up(&self, lane: &Arc<Lane>, there: &Endpoint, endpoint: usize) -> Result<(), SendError> {
        if self.server.bounds.min_idle > 0 && lane.len() == 0 && self.server.pool.has_room(endpoint) {
            match self.way(lane, there, endpoint, Instant::now(), None).await? {
                Way::Plain(Some(own)) => {
                    let (_permit, conn, now) = *own;
                    self.server.pool.put(self.core, endpoint, conn, now);
                }
                Way::Plain(None) | Way::Stream(_) => {}
            }
        }
        Ok(())
    }

    /// A stream of a connection of HTTP/2, which is opened where there is none with room; or how it goes without, where
    /// the server has chosen HTTP/1.1.
    pub(super) async fn way(
        &self,
        lane: &Arc<Lane>,
        endpoint: &Endpoint,
        index: usize,
        now: Instant,
        total: Option<Instant>,
    ) -> Result<Way, SendError> {
        let (pool, lanes) = (self.pool(), self.pool().lanes());
        if let Some(lease) = lane.take(pool) {
            return Ok(Way::Stream(lease));
        }
        let deadline = now + self.server.timeout.connect;
        let waiting = lane.wait();
        loop {
            let changed = waiting.changed();
            if let Some(lease) = lane.take(pool) {
                return Ok(Way::Stream(lease));
            }
            if lane.is_plain() {
                return Ok(Way::Plain(None));
            }
            if let Some(failure) = waiting.failure() {
                return Err(failure);
            }
            match pool.try_permit(index) {
                Some(permit) => {
                    if let Some(opening) = lane.open() {
                        match self.open(lane, endpoint, index, permit, total).await {
                            Ok(None) => continue,
                            Ok(own) => return Ok(Way::Plain(own)),
                            Err(error) => {
                                opening.failed(&error);
                                return Err(error);
                            }
                        }
                    }
                }
                None => {
                    if let Some(lease) = lanes.and_then(|lanes| lanes.take_from_others(self.core, index, pool)) {
                        return Ok(Way::Stream(lease));
                    }
                }
            }
            let waited = tokio::time::timeout_at(total.map_or(deadline, |total| total.min(deadline)), changed);
            waited.await.map_err(|_| waiting.late())?;
        }
    }

    /// Opens a connection that calls can share; or it is this call's own, where the server has chosen HTTP/1.1.
    async fn open(
        &self,
        lane: &Arc<Lane>,
        endpoint: &Endpoint,
        index: usize,
        permit: Permit,
        total: Option<Instant>,
    ) -> Result<Option<Box<Own>>, SendError> {
        let pool = self.pool();
        let Place::New(slot) = pool.place(self.core, index, Instant::now(), false).await else {
            return Err(SendError::at(SendErrorKind::Bound));
        };
        let (stream, right) = self.connect(endpoint, pool.try_open_one(), Speech::Http2, total).await?;
        if endpoint.target.is_secure() && !stream.has_chosen_http2() {
            lane.has_chosen_plain();
            return Ok(Some(Box::new((permit, Conn::new(stream, (slot, right)), Instant::now()))));
        }
        lane.start(stream, (permit, slot, right)).await.map(|()| None).map_err(|error| {
            SendError::unsent(SendErrorKind::Connect, format!("a connection of HTTP/2 cannot be begun: {error}"))
        })
    }

    /// The answer over a shared connection.
    pub(super) async fn streamed(
        &self,
        lease: Lease,
        endpoint: &Endpoint,
        request: &Outgoing<'_>,
        started: Instant,
        total: Option<Instant>,
    ) -> Result<Answer, SendError> {
        let (sending, reused) = (Instant::now(), lease.reused);
        let first_byte = request.first_byte.unwrap_or(self.server.timeout.first_byte);
        let how = (&endpoint.template, &self.proofs, endpoint.target.is_secure());
        let Streamed { status, headers, body } =
            streamed::exchange(lease, how, request, Patience { first_byte, total }).await?;
        let arrived = Instant::now();
        Ok(Answer {
            status,
            headers,
            body: AnswerBody::flowing(body),
            reused,
            arrived,
            timing: Timing { connect: sending - started, first_byte: arrived - sending },
            endpoint: request.endpoint,
            attempt: None,
        })
    }
}
