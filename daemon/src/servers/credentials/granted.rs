//! Requests that show a token which was granted for a time.

use std::rc::Rc;
use std::sync::Arc;

use super::oauth::Tokens;
use crate::core::Core;
use crate::failure::Failure;
use crate::servers::Server;
use crate::servers::http::Answer;
use crate::servers::http_call::{self, Request};

/// Sends a request with a token, and once more with another one where the server refuses the first.
///
/// A 401 says that the request lacks a valid credential (RFC 9110, section 15.5.2): nothing of it was executed, so that it
/// may be sent again whatever it asks for.
pub async fn send(
    core: &Rc<Core>,
    server: &Arc<Server>,
    tokens: &Arc<Tokens>,
    request: &Request<'_>,
) -> Result<Answer, Failure> {
    tokens.ready().await?;
    let used = tokens.shown();
    let answer = http_call::sent(core, server, request).await?;
    if answer.status != 401 {
        tokens.taken();
        return Ok(answer);
    }
    if !tokens.refused(used.as_ref()) {
        return Ok(answer);
    }
    // With its connection: nobody waits for one and holds another.
    drop(answer);
    tokens.ready().await?;
    let used = tokens.shown();
    let answer = http_call::sent(core, server, request).await?;
    if answer.status == 401 {
        tokens.refused(used.as_ref());
    } else {
        tokens.taken();
    }
    Ok(answer)
}
