//! One request and its answer in a stream of HTTP/2.
//!
//! Called by the client's send, instead of the exchange and the body of HTTP/1.1; what a request is made of is written by
//! the same template.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use tokio::time::{Instant, Sleep};

use super::error::{BodyError, SendError, SendErrorKind};
use super::exchange::INTERIM;
use super::head::{self, HEADER_LINES, Headers};
use super::lanes::Lease;
use super::proof::Proofs;
use super::request::{Outgoing, Template};
use crate::clock;
use crate::servers::endpoints::Attempt;

/// Bytes of a request that are handed over at once.
const PIECE: usize = 16 * 1024;
/// Nanoseconds without an answer before it is asked whether the connection is still alive.
const SILENT: u64 = 1_000_000_000;
/// Bytes of an answer that are gathered with its head.
const GATHERED: usize = 64 * 1024;

/// The head of an answer, and its body.
pub(super) struct Streamed {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Flowing,
}

/// Until when something must happen.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// From the last byte sent to the head; without progress in sending as long.
    pub(super) first_byte: Duration,
    /// The whole call.
    pub(super) total: Option<Instant>,
}

/// Sends `request` and waits for the head of its answer.
pub(super) async fn exchange(
    lease: Lease,
    (template, proofs, secure): (&Template, &Proofs, bool),
    request: &Outgoing<'_>,
    patience: Patience,
) -> Result<Streamed, SendError> {
    let length: usize = request.body.iter().map(|piece| piece.len()).sum();
    let mut text = Vec::new();
    template.encode(request, proofs, length, &mut text)?;
    let head = head_of(&text, secure)
        .ok_or_else(|| SendError::unsent(SendErrorKind::Request, "the request cannot be written in HTTP/2"))?;
    let mut unheard = Unheard { lease: Some(lease), since: clock::nanos() };
    let (answer, rest) = unheard.lease().send.send_request(head, length == 0).map_err(|error| {
        unheard.lease().retire();
        refused(&error, false, true)
    })?;
    let mut sending = Sending { answer, rest, pieces: Pieces { of: request.body, left: length }, interim: 0 };
    let mut late = pin!(tokio::time::sleep(patience.first_byte));
    let answered = poll_fn(|cx| {
        if sending.poll_send(cx) {
            late.as_mut().reset(Instant::now() + patience.first_byte);
        }
        if let Poll::Ready(answered) = sending.poll_answer(cx) {
            return Poll::Ready(Some(answered));
        }
        if let Some(total) = patience.total.filter(|total| *total < late.deadline()) {
            late.as_mut().reset(total);
        }
        late.as_mut().poll(cx).map(|()| None)
    })
    .await;
    match answered {
        Some(Ok(answer)) => {
            // What was kept free for the rest of the request is others'.
            sending.rest.reserve_capacity(0);
            Streamed::new(answer, sending.rest, unheard.answered(), late.deadline(), patience.total)
        }
        Some(Err(Lost::Interim)) => {
            Err(SendError::sent(SendErrorKind::Malformed, "the server sends one interim answer after the other"))
        }
        Some(Err(Lost::By(error))) => {
            let lease = unheard.answered();
            // A stream that is refused says nothing of its connection: whether to try again is the caller's to say.
            if !error.is_reset() {
                lease.retire();
            }
            Err(refused(&error, true, lease.reused && !error.is_reset()))
        }
        None => Err(SendError::no_progress(patience.total)),
    }
}

/// A call that has no answer yet. Where it ends without one, and its connection has been silent all the time, the connection
/// takes no more calls.
struct Unheard {
    lease: Option<Lease>,
    since: u64,
}

impl Unheard {
    fn lease(&mut self) -> &mut Lease {
        self.lease.as_mut().expect("until it is answered")
    }

    fn answered(mut self) -> Lease {
        self.lease.take().expect("it is answered once")
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        if let Some(lease) = &self.lease
            && clock::nanos().saturating_sub(self.since) >= SILENT
        {
            lease.retire_where_silent(self.since);
        }
    }
}

/// A request on its way.
struct Sending<'a> {
    answer: ResponseFuture,
    rest: SendStream<Bytes>,
    pieces: Pieces<'a>,
    /// Interim answers so far.
    interim: usize,
}

/// Why there is no answer.
enum Lost {
    By(h2::Error),
    Interim,
}

impl Sending<'_> {
    /// Hands over as much of the body as there is room for; whether any of it was.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.pieces.left;
        while self.pieces.left > 0 {
            self.rest.reserve_capacity(self.pieces.left.min(PIECE));
            let room = match self.rest.capacity() {
                0 => match self.rest.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(room))) => room,
                    // What became of the stream is said by its answer.
                    Poll::Ready(Some(Err(_)) | None) | Poll::Pending => break,
                },
                room => room,
            };
            let data = self.pieces.take(room.min(PIECE));
            let is_last = self.pieces.left == 0;
            if self.rest.send_data(data, is_last).is_err() {
                self.pieces.left = 0;
            }
        }
        self.pieces.left < before
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<RecvStream>, Lost>> {
        while let Poll::Ready(Some(interim)) = self.answer.poll_informational(cx) {
            self.interim += 1;
            match interim {
                Ok(_) if self.interim <= INTERIM => {}
                Ok(_) => return Poll::Ready(Err(Lost::Interim)),
                Err(error) => return Poll::Ready(Err(Lost::By(error))),
            }
        }
        Pin::new(&mut self.answer).poll(cx).map_err(Lost::By)
    }
}

/// The body of a request that is not handed over yet.
struct Pieces<'a> {
    of: &'a [&'a [u8]],
    left: usize,
}

impl Pieces<'_> {
    /// The next bytes, `most` of them or fewer.
    fn take(&mut self, most: usize) -> Bytes {
        let take = self.left.min(most);
        let all: usize = self.of.iter().map(|piece| piece.len()).sum();
        let (mut skip, mut data) = (all - self.left, BytesMut::with_capacity(take));
        for piece in self.of {
            let from = skip.min(piece.len());
            skip -= from;
            let to = piece.len().min(from + take - data.len());
            data.extend_from_slice(&piece[from..to]);
        }
        self.left -= take;
        data.freeze()
    }
}

/// The head of a request from the text of HTTP/1.1 that the template has written.
fn head_of(text: &[u8], secure: bool) -> Option<Request<()>> {
    let mut lines = text.split(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\r"));
    let mut first = lines.next()?.split(|byte| *byte == b' ');
    let (method, target) = (first.next()?, first.next()?);
    let (mut headers, mut authority) = (HeaderMap::new(), None);
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (HeaderName::from_bytes(&line[..colon]).ok()?, line[colon + 1..].trim_ascii());
        if name == HOST {
            authority = Some(value);
        } else {
            headers.append(name, HeaderValue::from_bytes(value).ok()?);
        }
    }
    let scheme = if secure { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(authority?).path_and_query(target).build().ok()?;
    let mut request = Request::builder().method(method).uri(uri).body(()).ok()?;
    *request.headers_mut() = headers;
    Some(request)
}

/// Why there is no answer. Nothing was done of a request that the server says it has not taken up (RFC 9113, 8.7).
fn refused(error: &h2::Error, sent: bool, reused: bool) -> SendError {
    let unread = error.is_remote()
        && match error.reason() {
            Some(Reason::REFUSED_STREAM) => error.is_reset(),
            Some(Reason::NO_ERROR) => error.is_go_away(),
            _ => false,
        };
    // What this side has found.
    let kind = if error.is_library() { SendErrorKind::Malformed } else { SendErrorKind::Closed };
    let cause = format!("the connection failed before the answer: {error}").into();
    SendError { kind, sent: sent && !unread, reused, cause }
}

impl Streamed {
    fn new(
        answer: Response<RecvStream>,
        rest: SendStream<Bytes>,
        lease: Lease,
        due: Instant,
        total: Option<Instant>,
    ) -> Result<Self, SendError> {
        let (head, stream) = answer.into_parts();
        let status = head.status.as_u16();
        if !(200..600).contains(&status) {
            return Err(SendError::sent(SendErrorKind::Malformed, "the status is not one of HTTP"));
        }
        if head.headers.len() > HEADER_LINES {
            return Err(SendError::sent(SendErrorKind::Malformed, "the head has too many header lines"));
        }
        let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let total = total.map(|total| Box::pin(tokio::time::sleep_until(total)));
        let mut body = Flowing {
            stream,
            early: Bytes::new(),
            left: length,
            is_cut: false,
            failed: None,
            since: clock::nanos(),
            due,
            awaited: None,
            total,
            attempt: None,
            _rest: rest,
            lease,
        };
        body.gather(head::bodiless(status));
        Ok(Self { status, headers: headers_of(&head.headers), body })
    }
}

/// The headers that concern the message.
fn headers_of(map: &HeaderMap) -> Headers {
    let message = map.iter().filter(|(name, _)| *name != CONTENT_LENGTH && !head::is_hop_by_hop(name.as_str()));
    Headers::of(message.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes().trim_ascii())))
}

/// A body that is arriving. Dropped before its end it resets the stream: that is how a call is cancelled.
pub(super) struct Flowing {
    stream: RecvStream,
    /// What had arrived with the head.
    early: Bytes,
    /// Bytes that are to come, where the server has said so.
    left: Option<u64>,
    /// Its status allows none: whatever comes is not read.
    is_cut: bool,
    /// How it ended while it was gathered.
    failed: Option<h2::Error>,
    /// When the head was there, on the clock of what is read.
    since: u64,
    /// When something must have followed it.
    due: Instant,
    awaited: Option<Pin<Box<Sleep>>>,
    total: Option<Pin<Box<Sleep>>>,
    /// Told how the answer ends.
    pub(super) attempt: Option<Box<Attempt>>,
    /// A request that the server has not read to its end is not cancelled while it still answers.
    _rest: SendStream<Bytes>,
    lease: Lease,
}

impl Flowing {
    /// The whole body, where it has arrived.
    pub(super) fn whole(&mut self) -> Option<Bytes> {
        let is_whole = self.is_cut || self.failed.is_none() && self.stream.is_end_stream();
        is_whole.then(|| std::mem::take(&mut self.early))
    }

    /// What has arrived of one that is not whole.
    pub(super) fn arrived(&self) -> &[u8] {
        &self.early
    }

    /// How much is to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }

    /// Has it fail where nothing of it comes within the time that its head had.
    pub(super) fn expect_soon(&mut self) {
        if self.early.is_empty() {
            self.awaited = Some(Box::pin(tokio::time::sleep_until(self.due)));
        }
    }

    /// Takes what has arrived already; nothing where the status allows no body.
    fn gather(&mut self, bodiless: bool) {
        if bodiless {
            self.is_cut = true;
            return;
        }
        let mut gathered = BytesMut::new();
        let mut nobody = Context::from_waker(Waker::noop());
        while gathered.len() < GATHERED {
            match self.stream.poll_data(&mut nobody) {
                Poll::Ready(Some(Ok(data))) => {
                    self.release(data.len());
                    if gathered.is_empty() && self.stream.is_end_stream() {
                        self.early = data;
                        return;
                    }
                    gathered.extend_from_slice(&data);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.failed = Some(error);
                    break;
                }
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        self.early = gathered.freeze();
    }

    /// Lets the server send as many bytes more.
    fn release(&mut self, count: usize) {
        // Fails only where the stream has ended.
        let _ = self.stream.flow_control().release_capacity(count);
    }

    /// The next bytes; `None` at the end.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            return Poll::Ready(Some(Ok(self.counted(early))));
        }
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(broken(error))));
        }
        loop {
            match self.stream.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) if data.is_empty() && !self.stream.is_end_stream() => {}
                Poll::Ready(Some(Ok(data))) => {
                    self.release(data.len());
                    self.awaited = None;
                    return Poll::Ready(Some(Ok(self.counted(data))));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(broken(error)))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        let is_over = |timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>| {
            timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready())
        };
        if is_over(&mut self.total, cx) {
            return Poll::Ready(Some(Err(BodyError::TotalTimeout)));
        }
        if is_over(&mut self.awaited, cx) {
            self.lease.retire_where_silent(self.since);
            return Poll::Ready(Some(Err(BodyError::Silent)));
        }
        Poll::Pending
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&self) -> bool {
        self.early.is_empty() && self.failed.is_none() && self.stream.is_end_stream()
    }

    fn counted(&mut self, data: Bytes) -> Bytes {
        self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        data
    }
}

impl std::fmt::Debug for Flowing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flowing").field("left", &self.left).finish_non_exhaustive()
    }
}

fn broken(error: h2::Error) -> BodyError {
    if error.is_io() {
        return BodyError::Io(error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()));
    }
    BodyError::Io(io::Error::other(error))
}
