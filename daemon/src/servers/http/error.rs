//! Why a request to a server brought no answer, or an answer no end.
//!
//! Made by this module's parts, read by the forward stage, which decides about retries.
//! `sent` must be true as soon as one byte may have left: it is what makes a retry safe.

use std::borrow::Cow;
use std::fmt;

use tokio::time::Instant;

use crate::coding::decode::Problem;

/// What kept an answer from arriving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendErrorKind {
    /// The request itself cannot be written: a header with a control character, an unknown endpoint.
    Request,
    /// A secret that the server wants with every request is missing.
    Secret,
    /// The server's bound of connections was reached for the whole connect timeout.
    Bound,
    /// The same of the endpoint's bound.
    EndpointBound,
    /// The same of the bound of connections to all servers.
    GateBound,
    /// The endpoint's name has no address.
    Resolve,
    /// The endpoint's name has only addresses that may not be connected to.
    Forbidden,
    /// No address accepted the connection.
    Connect,
    /// The connection did not stand, TLS included, within the connect timeout.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// No answer within the first-byte timeout after the last byte sent, or no progress in sending for as long.
    FirstByteTimeout,
    /// The whole call took longer than its total timeout.
    TotalTimeout,
    /// The connection ended before any byte of the answer.
    Closed,
    /// The answer's head is not HTTP, is ambiguous, too large or cut off; or the connection breaks the rules of HTTP/2.
    Malformed,
}

impl SendErrorKind {
    /// Whether a bound of connections was reached: it says nothing of the server.
    #[must_use]
    pub fn is_bound(self) -> bool {
        matches!(self, Self::Bound | Self::EndpointBound | Self::GateBound)
    }

    /// What is written about a bound that was reached.
    fn bound(self) -> &'static str {
        match self {
            Self::EndpointBound => {
                "all of the endpoint's `pool.max_per_endpoint` were in use for the whole of `timeout.connect`"
            }
            Self::GateBound => "all of `daemon.max_server_connections` were in use for the whole of `timeout.connect`",
            _ => "all of `pool.max_connections` were in use for the whole of `timeout.connect`",
        }
    }

    /// One word for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Secret => "secret",
            Self::Bound => "bound",
            Self::EndpointBound => "endpoint_bound",
            Self::GateBound => "gate_bound",
            Self::Resolve => "resolve",
            Self::Forbidden => "forbidden",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::Closed => "closed",
            Self::Malformed => "malformed",
        }
    }
}

/// A request that brought no answer.
#[derive(Debug, Clone)]
pub struct SendError {
    /// The class of the failure.
    pub kind: SendErrorKind,
    /// Whether any byte of the request may have left. If not, the server cannot have acted.
    pub sent: bool,
    /// Whether the connection had served a call before.
    pub reused: bool,
    /// A sentence for the operator, without a full stop.
    pub cause: Cow<'static, str>,
}

impl SendError {
    /// A failure before anything left.
    pub(super) fn unsent(kind: SendErrorKind, cause: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, sent: false, reused: false, cause: cause.into() }
    }

    /// A bound that was reached before anything left.
    pub(super) fn at(bound: SendErrorKind) -> Self {
        Self::unsent(bound, bound.bound())
    }

    /// No answer to what was sent: the whole call's time is over, or only the time to the first byte.
    pub(super) fn no_progress(total: Option<Instant>) -> Self {
        if total.is_some_and(|total| total <= Instant::now()) {
            return Self::sent(SendErrorKind::TotalTimeout, "the call took longer than `timeout.total`");
        }
        Self::sent(SendErrorKind::FirstByteTimeout, "the server did not answer within `timeout.first_byte`")
    }

    /// A failure after something may have left.
    pub(super) fn sent(kind: SendErrorKind, cause: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, sent: true, reused: false, cause: cause.into() }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl std::error::Error for SendError {}

/// Why a body ended before its end.
#[derive(Debug)]
pub enum BodyError {
    /// The connection failed.
    Io(std::io::Error),
    /// The connection ended before the announced end of the body.
    Truncated,
    /// The chunked coding is broken; what is wrong with it.
    Malformed(&'static str),
    /// The whole call took longer than its total timeout.
    TotalTimeout,
    /// Nothing followed the head within the first-byte timeout.
    Silent,
    /// The server compressed it, and it cannot be decoded.
    Coding(Problem),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the connection failed within the answer: {error}"),
            Self::Truncated => f.write_str("the server closed the connection within its answer"),
            Self::Malformed(what) => write!(f, "the server's answer is not valid HTTP: {what}"),
            Self::TotalTimeout => f.write_str("the call took longer than `timeout.total`"),
            Self::Silent => f.write_str("nothing followed the answer's head within `timeout.first_byte`"),
            Self::Coding(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Truncated | Self::Malformed(_) | Self::TotalTimeout | Self::Silent | Self::Coding(_) => None,
        }
    }
}
