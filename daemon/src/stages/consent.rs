//! What a user has to allow first: calls to a server that acts for its users, of a client that none of them allowed it.
//!
//! The client is led to a page of the gate's own, in the way in which it can be: by URL elicitation, else in words. Nothing
//! runs meanwhile, so that the retry is a fresh call.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use toolgate_protocol::bridge::capabilities::Ask;
use toolgate_protocol::bridge::url;
use toolgate_protocol::envelope::{self, Shape};
use toolgate_protocol::error::{URL_ELICITATION_REQUIRED, error_body};
use toolgate_protocol::json::encode_str;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::Era;

use crate::body::Body;
use crate::call::{Call, CallId};
use crate::failure::{Failure, Kind};
use crate::grants::pages;
use crate::relay::answer::json_answer;
use crate::relay::lists;
use crate::servers::Server;

/// Asks the client to have its user allow what it calls; `None` where nobody has to, or somebody has.
pub fn ask(call: &Call) -> Result<Option<Response<Body>>, Failure> {
    let server = call.view().single().or_else(|| call.routed.as_ref().map(|routed| &routed.server));
    match server {
        Some(server) if server.users().is_some() && needs_a_user(call, server) => required(call, server),
        _ => Ok(None),
    }
}

/// Whether a request is one that only a user's own token will do for.
fn needs_a_user(call: &Call, server: &Server) -> bool {
    let Some(message) = call.message.as_ref().filter(|message| message.shape() == Shape::Request) else { return false };
    match message.envelope.known_method {
        Some(Method::Initialize | Method::Discover | Method::Ping | Method::SetLevel) => false,
        Some(method) if lists::is_list(method) => !server.is_open_to_all(),
        // Lists of such servers do not change before a user comes.
        Some(Method::Listen) => false,
        _ => true,
    }
}

/// The answer that leads to the page.
fn required(call: &Call, server: &Arc<Server>) -> Result<Option<Response<Body>>, Failure> {
    let Some(users) = server.users() else { return Ok(None) };
    let url = pages::start_url(call, users, server);
    let name = &server.settings.name;
    let shows_urls = Ask::Url.is_declared(&declared(call));
    if !shows_urls {
        return Err(Failure::new(
            Kind::NoCredential,
            format!(
                "The server {name} acts for its users, and none of them has allowed this client anything yet. Ask the user to open {url} in a browser within 10 minutes and to allow it; then call again."
            ),
        ));
    }
    let message = call.message();
    let words = format!("Allow this client to act for you at the server {name}, then call again.");
    let elicitation = format!(
        r#"{{"mode":"url","elicitationId":"{}","url":{},"message":{}}}"#,
        CallId::mint(),
        encode_str(&url),
        encode_str(&words)
    );
    let data = format!(r#"{{"callId":"{}","reason":"no-credential","elicitations":[{elicitation}]}}"#, call.id);
    let error = error_body(message.id(), URL_ELICITATION_REQUIRED, &words, Some(data.as_bytes()));
    if call.era == Era::Legacy {
        return Ok(Some(json_answer(Era::Legacy, error.into())));
    }
    // In the modern era the same wish is a result (2026-07-28, "Multi Round-Trip Requests").
    let read = envelope::scan(&error).ok();
    let method = message.envelope.known_method;
    let asked = read.and_then(|read| url::required(&error, &read, method, &declared(call)));
    Ok(Some(json_answer(Era::Modern, Bytes::from(asked.unwrap_or(error)))))
}

/// The client's capabilities, in modern words.
fn declared(call: &Call) -> Vec<u8> {
    match call.era {
        Era::Modern => {
            let message = call.message();
            message.raw(message.envelope.client_capabilities).unwrap_or(b"{}").to_vec()
        }
        Era::Legacy => {
            let hosted = call.session.as_ref().and_then(|(session, _)| session.hosted());
            hosted.map_or_else(|| b"{}".to_vec(), |hosted| hosted.declared.capabilities.clone())
        }
    }
}
