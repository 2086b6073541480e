//! One request and the head of its answer, on one connection.
//!
//! Called by the client's send. Interim answers are skipped; what follows the final head stays in the
//! connection's input for the body.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::conn::{self, Conn, Written};
use super::error::{SendError, SendErrorKind};
use super::head::{self, EndOfHead, Head};
use super::proof::Proofs;
use super::request::{Outgoing, Template};

/// Interim answers (1xx) before the final one.
pub(super) const INTERIM: usize = 8;

/// Sends `request` and waits for the final head. `now` is the time, `total` when the whole call must have ended.
pub(super) async fn exchange(
    conn: &mut Conn,
    (template, proofs): (&Template, &Proofs),
    request: &Outgoing<'_>,
    first_byte: Duration,
    now: Instant,
    total: Option<Instant>,
) -> Result<Head, SendError> {
    let length = request.body.iter().map(|piece| piece.len()).sum();
    let mut start = conn::blank();
    template.encode(request, proofs, length, &mut start)?;

    let mut sent = false;
    let written = conn.write(start, request.body, &mut sent, now, first_byte).await;
    let (failure, written) = match written {
        Some((Written::Whole, at)) => (None, at),
        Some((Written::Partly(error), at)) if sent => (Some(error), at),
        Some((Written::Partly(error), _)) => return Err(closed(error.as_ref(), false)),
        None => return Err(SendError { sent, ..SendError::no_progress(total) }),
    };

    let deadline = written + first_byte;
    conn.set_deadline(total.map_or(deadline, |total| total.min(deadline)));
    let mut head = read_final_head(conn, failure.as_ref().and_then(Option::as_ref), total).await?;
    // After a request that was not sent whole, the server cannot tell where the next one begins.
    head.keep_alive &= failure.is_none();
    Ok(head)
}

async fn read_final_head(
    conn: &mut Conn,
    failure: Option<&io::Error>,
    total: Option<Instant>,
) -> Result<Head, SendError> {
    for _ in 0..=INTERIM {
        let head = read_head(conn, failure, total).await?;
        match head.status {
            101 => return Err(malformed("the server switches protocols, which was not asked for")),
            100..=199 => {}
            200..=599 => return Ok(head),
            _ => return Err(malformed("the status is not one of HTTP")),
        }
    }
    Err(malformed("the server sends one interim answer after the other"))
}

async fn read_head(conn: &mut Conn, failure: Option<&io::Error>, total: Option<Instant>) -> Result<Head, SendError> {
    let mut end = EndOfHead::default();
    loop {
        if let Some(length) = end.find(&conn.input).map_err(malformed)? {
            return head::parse(conn.input.split_to(length).freeze()).map_err(malformed);
        }
        let nothing_yet = conn.input.is_empty();
        match conn.fill().await {
            Some(Ok(0)) if nothing_yet => return Err(closed(failure, !conn.sent_nothing())),
            Some(Ok(0)) => return Err(malformed("the connection ended within the head")),
            Some(Ok(_)) => {}
            Some(Err(error)) if nothing_yet => {
                return Err(closed(failure.or(Some(&error)), !conn.sent_nothing()));
            }
            Some(Err(_)) => return Err(malformed("the connection failed within the head")),
            None => return Err(SendError::no_progress(total)),
        }
    }
}

fn malformed(what: &'static str) -> SendError {
    SendError::sent(SendErrorKind::Malformed, format!("the server's answer cannot be read: {what}"))
}

fn closed(error: Option<&io::Error>, sent: bool) -> SendError {
    let cause = match error {
        None => "the server closed the connection without an answer".into(),
        Some(error) => format!("the connection failed before the answer: {error}").into(),
    };
    SendError { kind: SendErrorKind::Closed, sent, reused: false, cause }
}
