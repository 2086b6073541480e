//! A batch (revision 2025-03-26): each of its messages goes the rest of the way as a call of its own.
//!
//! `pipeline` comes here in the place of a single message. Each is authorised, counted, queued and recorded as if it
//! had been posted alone, and no server ever sees an array.

use std::sync::Arc;

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use toolgate_protocol::bridge::batch::{self, Batch};
use toolgate_protocol::envelope::{ScanError, Shape};
use toolgate_protocol::error::PARSE_ERROR;
use toolgate_protocol::revision::{Era, Revision};

use super::{read, session};
use crate::body::Body;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::pipeline;
use crate::relay::together::{self, Part};
use crate::sessions::Kind as Served;

/// Whether a body may be a batch, as far as its request's headers tell. Of revisions that send a header, only this one
/// has them (2025-06-18, "Protocol Version Header").
pub fn may_be(stated: Option<&str>, body: &[u8]) -> bool {
    let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    is_array && stated.is_none_or(|stated| stated == Revision::V2025_03_26.as_str())
}

/// Serves the messages of a batch and answers with what came of them.
pub async fn serve(call: &mut Call, body: Bytes) -> Result<Response<Body>, Failure> {
    session::find(call)?;
    if !is_agreed(call) {
        return Err(read::unreadable(call, body, &ScanError::Batch));
    }
    let Batch { parts, answers } = match batch::split(&body) {
        Ok(batch) => batch,
        Err(refusal) => {
            call.salvaged = Some(body);
            let kind = if refusal.code() == PARSE_ERROR { Kind::Parse } else { Kind::InvalidRequest };
            return Err(Failure::new(kind, refusal.to_string()));
        }
    };
    let headers = Arc::new(headers(call));
    let (said, heard) = mpsc::channel(together::UNREAD);
    let mut running = JoinSet::new();
    let mut refused = None;
    for part in parts {
        let message = Message { bytes: body.slice(part.span.start()..part.span.end()), envelope: part.envelope };
        let is_request = message.shape() == Shape::Request;
        let part = call.part(&headers, message);
        if is_request {
            running.spawn_local(Part::of(&part, &said).serve(part));
            continue;
        }
        // What is told comes before what is asked behind it.
        let response = pipeline::part(part).await;
        if !response.status().is_success() {
            refused.get_or_insert(response);
        }
    }
    drop(said);
    let answered = together::answer(&call.core, answers, heard, running).await;
    Ok(answered.or(refused).unwrap_or_else(accepted))
}

/// What a single message of a batch must be beside what any message must.
pub fn fits(call: &Call) -> Result<(), Failure> {
    let message = call.message();
    if Era::of_request(None, &message.envelope, &message.bytes) == Era::Modern {
        return Err(Failure::new(
            Kind::InvalidRequest,
            "Revision 2026-07-28 has no batches. Post this request by itself.",
        ));
    }
    read::needs_id(message)
}

/// A session whose revision only its server knows would state any later one in its header.
fn is_agreed(call: &Call) -> bool {
    match call.session.as_ref().map(|(session, _)| &session.kind) {
        Some(Served::Hosted(hosted)) => hosted.revision == Revision::V2025_03_26,
        Some(Served::Mirrored(_)) | None => true,
    }
}

/// The gate reads each answer before the client does, so that none may be compressed for the client.
fn headers(call: &Call) -> HeaderMap {
    let mut headers = (*call.headers).clone();
    headers.remove(ACCEPT_ENCODING);
    headers
}

fn accepted() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_a_batch_where_no_later_revision_is_stated() {
        for (stated, body, wanted) in [
            (None, " \r\n[1]", true),
            (Some("2025-03-26"), "[", true),
            (Some("2025-06-18"), "[1]", false),
            (Some("2026-07-28"), "[1]", false),
            (None, "{}", false),
            (None, "", false),
        ] {
            assert_eq!(may_be(stated, body.as_bytes()), wanted, "{stated:?} {body}");
        }
    }
}
