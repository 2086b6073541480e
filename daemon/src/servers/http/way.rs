//! How a call gets to a server that may speak HTTP/2: in a stream of a connection, or over HTTP/1.1 where the server has
//! chosen that.

use std::sync::Arc;

use tokio::time::Instant;

use super::answer::{Answer, AnswerBody, Timing};
use super::error::{SendError, SendErrorKind};
use super::lanes::{Lane, Lease};
use super::line::Handed;
use super::opening::{self, For};
use super::request::Outgoing;
use super::streamed::{self, Patience, Streamed};
use super::{Endpoint, HttpClient};

/// How a call goes to a server that may speak HTTP/2.
pub(super) enum Way {
    Stream(Lease),
    /// In HTTP/1.1.
    Plain,
}

impl HttpClient {
    /// A stream of a connection of HTTP/2, once there is one.
    pub(super) async fn way(&self, lane: &Arc<Lane>, index: usize, total: Option<Instant>) -> Result<Way, SendError> {
        if lane.is_plain() {
            return Ok(Way::Plain);
        }
        if lane.line.is_empty()
            && let Some(lease) = lane.take(self.pool())
        {
            if lease.is_old && self.pool().has_room(index) {
                opening::begin(self, lane, index, For::Later);
            }
            return Ok(Way::Stream(lease));
        }
        self.wait(lane, index, total).await
    }

    async fn wait(&self, lane: &Arc<Lane>, index: usize, total: Option<Instant>) -> Result<Way, SendError> {
        let (pool, deadline) = (self.pool(), Instant::now() + self.server.timeout.connect);
        let handed = lane.line.join();
        // Those before it may have left.
        lane.serve(pool);
        if lane.is_at_bound()
            && let Some(lanes) = pool.lanes()
        {
            lanes.serve_from_others(self.core, index, pool);
        }
        opening::begin(self, lane, index, For::Line);
        match tokio::time::timeout_at(total.map_or(deadline, |total| total.min(deadline)), handed).await {
            Ok(Ok(Handed::Stream(lease))) => Ok(Way::Stream(lease)),
            Ok(Ok(Handed::Plain)) => Ok(Way::Plain),
            Ok(Ok(Handed::Failed(error))) => Err(error),
            Err(_) if total.is_some_and(|total| total <= deadline) => {
                Err(SendError::unsent(SendErrorKind::TotalTimeout, "the call took longer than `timeout.total`"))
            }
            Ok(Err(_)) | Err(_) => Err(lane.late()),
        }
    }

    /// The answer in a stream of its own.
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
