//! Answers without an end, line by line.

use std::path::PathBuf;

use bytes::{Buf, Bytes, BytesMut};
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::time::{Duration, timeout};
use toolgate_admin_api::{ApiError, Exit};

use super::{ANSWER_LIMIT, AdminClient, READ_TIMEOUT, broken, silent};
use crate::failure::Failure;

/// A daemon that says nothing for as long is not there any more: a stream has a heartbeat at least every ten seconds.
const QUIET: Duration = Duration::from_secs(30);

/// Lines of a stream, as the daemon says them.
#[derive(Debug)]
pub(crate) struct LineStream {
    path: PathBuf,
    body: Incoming,
    held: BytesMut,
    /// The connection ends with it.
    _sender: SendRequest<Full<Bytes>>,
}

impl AdminClient {
    /// Follows a route without an end, which has the connection for itself.
    pub(crate) async fn follow(mut self, route: &str) -> Result<LineStream, Failure> {
        let request = Request::get(route).header(header::HOST, "toolgate").body(Full::default());
        let request = request.map_err(|error| Failure::local("The request cannot be made", error))?;
        let response = timeout(READ_TIMEOUT, self.sender.send_request(request))
            .await
            .map_err(|_| silent(&self.path))?
            .map_err(|error| broken(&self.path, &error))?;
        let status = response.status();
        if status.is_success() {
            let body = response.into_body();
            return Ok(LineStream { path: self.path, body, held: BytesMut::new(), _sender: self.sender });
        }
        let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
        let error = body.ok().and_then(|body| serde_json::from_slice::<ApiError>(&body.to_bytes()).ok());
        Err(error.map_or_else(
            || Failure::new(Exit::Failed, format!("{} answers {status}.", self.path.display())),
            Failure::from,
        ))
    }
}

impl LineStream {
    /// The next line, without its end; nothing when the daemon has ended it.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line = self.held.split_to(end).freeze();
                self.held.advance(1);
                return Ok(Some(line));
            }
            if self.held.len() > ANSWER_LIMIT {
                return Err(Failure::new(Exit::Failed, "A line of the daemon has no end."));
            }
            let frame = timeout(QUIET, self.body.frame()).await.map_err(|_| silent(&self.path))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&self.path, &error)),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.held.extend_from_slice(data);
                    }
                }
            }
        }
    }
}
