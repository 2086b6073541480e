//! The table of answers without an end: a row per thing that can be followed.
//!
//! `serve` looks a request up here before it looks for a route. They are reads, so the view socket suffices.

use std::sync::Arc;

use toolgate_admin_api::{ApiError, ErrorCode, Socket};

use super::lines::Lines;
use super::operations::Operations;
use super::tail;
use super::watch::Hub;
use super::watch::question::Asked;

/// What can be followed through a socket.
pub(super) struct Streams {
    pub(super) operations: Arc<dyn Operations>,
    pub(super) watches: Hub,
}

/// One thing that can be followed.
pub(super) struct Stream {
    pub(super) path: &'static str,
    /// Gets the query, and the socket that it came on. Runs on the sockets' loop: it begins, and waits for nothing.
    pub(super) open: fn(&Streams, &str, Socket) -> Result<Lines, ApiError>,
}

/// All of them.
pub(super) static STREAMS: &[Stream] = &[
    Stream { path: "/v1/watch", open: |streams, query, socket| Ok(streams.watches.open(Asked::read(query)?, socket)) },
    Stream { path: "/v1/requests/tail", open: |streams, query, _| tail::open(streams.operations.as_ref(), query) },
];

/// The row of a path.
pub(super) fn find(path: &str) -> Option<&'static Stream> {
    STREAMS.iter().find(|stream| stream.path == path)
}

impl Stream {
    /// Begins the stream.
    pub(super) fn begin(
        &self,
        streams: &Streams,
        head: &http::request::Parts,
        socket: Socket,
    ) -> Result<Lines, ApiError> {
        if head.method != http::Method::GET {
            return Err(ApiError::new(ErrorCode::MethodNotAllowed, "This path takes GET only."));
        }
        (self.open)(streams, head.uri.query().unwrap_or_default(), socket)
    }
}
