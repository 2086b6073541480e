//! Compression of answers, where the listener offers it and the client asks for it.
//!
//! Whole answers of JSON only: an event must not wait in an encoder for the next one. Long bodies are encoded slice by
//! slice, with others' turns between.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body as _, Frame, SizeHint};
use toolgate_protocol::coding::{Accepted, Coding};

use crate::body::{Body, BodyError};
use crate::call::Call;
use crate::coding::encode::{self, Encoder};
use crate::core::Core;
use crate::observe::ledger::said;

/// Below this, the coding's own bytes and both sides' work cost more than they save.
const LEAST: u64 = 1024;
/// Bytes that are encoded in one turn: about a millisecond of gzip.
const SLICE: usize = 32 * 1024;
/// Encoders of a core that wait for slow clients or servers; each holds 0.4 MiB (gzip) to 2 MiB (br).
const AT_ONCE: u32 = 32;

/// What a compressed answer says before it is compressed, for whoever records the call.
#[derive(Clone, Default)]
pub struct Plain(Rc<Cell<bool>>);

impl Plain {
    /// Whether it says that the call failed.
    pub fn is_error(&self) -> bool {
        self.0.get()
    }

    /// Looks at a piece of it.
    fn saw(&self, piece: &[u8]) {
        if !self.0.get() && said::is_error(piece) {
            self.0.set(true);
        }
    }
}

/// Compresses an answer where that is wanted; gives what it says in plain where it did.
pub fn answer(call: &Call, response: &mut Response<Body>) -> Option<Plain> {
    let offered = &call.entrance.listener.compression;
    if offered.is_empty() || !may_be(response) {
        return None;
    }
    // A cache between must not give to one client what another asked for.
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    let accepted = Accepted::new(call.headers.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes));
    let coding = accepted.best(offered)?;
    let said = Plain::default();
    let body = std::mem::take(response.body_mut());
    let coded = match body {
        Body::Full(plain) if plain.len() <= SLICE => {
            said.saw(&plain);
            whole(coding, plain)
        }
        long => sliced(&call.core, coding, long, &said),
    };
    match coded {
        Ok(body) => {
            *response.body_mut() = body;
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
            Some(said)
        }
        Err(plain) => {
            *response.body_mut() = plain;
            None
        }
    }
}

/// Whether an answer gains by it, and stays true: a strong validator is one of exact bytes.
fn may_be(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let size = response.body().size_hint();
    size.exact().is_none_or(|size| size >= LEAST)
        && is_json(headers)
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(ETAG)
        && !headers.get_all(CACHE_CONTROL).iter().any(|value| forbids(value.as_bytes()))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or(kind).trim_ascii();
    kind.eq_ignore_ascii_case(b"application/json")
}

/// RFC 9111, section 5.2.2.6.
fn forbids(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

/// The body coded, or as it was where that made it no smaller.
fn whole(coding: Coding, plain: Bytes) -> Result<Body, Body> {
    match encode::whole(coding, &plain) {
        Some(coded) if coded.len() < plain.len() => Ok(coded.into()),
        _ => Err(plain.into()),
    }
}

fn sliced(core: &Rc<Core>, coding: Coding, body: Body, said: &Plain) -> Result<Body, Body> {
    let Some(place) = Place::take(core) else { return Err(body) };
    match Encoder::new(coding) {
        Some(encoder) => Ok(Body::stream(Compressed {
            body,
            said: said.clone(),
            left: Bytes::new(),
            encoder: Some(encoder),
            worked: false,
            _place: place,
        })),
        None => Err(body),
    }
}

/// A place among the encoders of a core.
struct Place(Rc<Core>);

impl Place {
    fn take(core: &Rc<Core>) -> Option<Self> {
        let taken = core.encoders.get();
        (taken < AT_ONCE).then(|| {
            core.encoders.set(taken + 1);
            Self(Rc::clone(core))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.encoders.set(self.0.encoders.get() - 1);
    }
}

/// A long body on its way through an encoder.
struct Compressed {
    body: Body,
    said: Plain,
    /// Of the piece that came last.
    left: Bytes,
    /// Gone at the end.
    encoder: Option<Encoder>,
    /// A slice was encoded since others had their turn.
    worked: bool,
    _place: Place,
}

impl Compressed {
    /// Encodes a slice; what comes out of it may have to wait for the next.
    fn slice(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Some(encoder) = &mut self.encoder else { return Ok(None) };
        let slice = self.left.split_to(self.left.len().min(SLICE));
        self.worked = true;
        let made = encoder.push(&slice).map_err(BodyError::new)?;
        Ok(Some(made).filter(|made| !made.is_empty()))
    }
}

impl http_body::Body for Compressed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            // Whoever writes the body asks for more until there is none: without this, until its end.
            if std::mem::take(&mut this.worked) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !this.left.is_empty() {
                match this.slice() {
                    Ok(None) => continue,
                    Ok(Some(made)) => return Poll::Ready(Some(Ok(Frame::data(made)))),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
            }
            if this.encoder.is_none() {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    this.left = frame.into_data().unwrap_or_default();
                    this.said.saw(&this.left);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let rest = this.encoder.take().map_or(Ok(Bytes::new()), Encoder::finish);
                    return Poll::Ready(Some(rest.map(Frame::data).map_err(BodyError::new)));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
