//! A call over HTTP that is made once more: where nothing of it was sent, or where its tool may be repeated.
//!
//! A tool may be repeated where its server annotates it so *and* the operator lists it. What further tries may cost is
//! bounded by the server's budget, and all of them together have the time of one call.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use toolgate_protocol::retry;
use tracing::debug;

use super::Server;
use super::catalog::{self, Tools};
use super::endpoints::To;
use super::http::{Answer, SendErrorKind};
use super::http_call::{Request, Unanswered, admit, settle, way_in};
use crate::clock;
use crate::config::settings::Retry;
use crate::core::Core;
use crate::failure::Failure;
use crate::policy::Names;

/// Whether a status says that a server in front of the server, or the server at its start, has not worked on a call.
/// It may have all the same.
pub(super) fn is_missed(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// How a try ended.
type Outcome = Result<Answer, Box<Unanswered>>;

/// Goes on after a first try that brought no answer, or none of the server's own; the last outcome counts.
pub(super) async fn follow(
    core: &Rc<Core>,
    server: &Arc<Server>,
    request: &Request<'_>,
    first: Box<Outcome>,
) -> Result<Answer, Failure> {
    let mut last = *first;
    if let Some(rules) = server.endpoints.retry() {
        let patience = request.first_byte.unwrap_or(server.settings.timeout.first_byte);
        let deadline = deadline(&last, server.settings.timeout.connect + patience);
        for number in 1..rules.attempts {
            let Some((tried, sent)) = tried(&last) else { break };
            if sent && !may_repeat(core, server, request.tool().as_deref(), &rules, deadline).await {
                break;
            }
            let to = if matches!(request.to, To::Session(_)) { request.to } else { To::AnyBut(tried) };
            let pause = pause(server, to, number);
            let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(pause);
            if left.is_zero() || !server.endpoints.budget.spend() {
                break;
            }
            sleep(pause).await;
            let again = Request { to, first_byte: Some(left.min(patience)), ..*request };
            // Where nothing may be tried any more, what went wrong before says more.
            let Ok((endpoint, attempt)) = admit(server, &again) else { break };
            debug!(server = server.settings.name, number, "a call is tried once more");
            // With its connection: nobody waits for one and holds another.
            drop(last);
            server.endpoints.tries_again();
            let sent = way_in(core, server, request).send(again.outgoing(endpoint, &[again.body()])).await;
            last = settle(server, &again, (endpoint, attempt), sent);
        }
    }
    last.map_err(|unanswered| unanswered.failure)
}

/// All tries together have the time of one.
fn deadline(first: &Outcome, time: Duration) -> Instant {
    let began = match first {
        Ok(answer) => answer.attempt.as_ref().map(|attempt| attempt.began()),
        Err(unanswered) => Some(unanswered.began),
    };
    let spent = began.map_or(0, clock::millis_since);
    Instant::now() + time.saturating_sub(Duration::from_millis(spent))
}

/// Where it was tried and whether it may have been worked on; `None` where another try is of no use.
fn tried(last: &Outcome) -> Option<(usize, bool)> {
    match last {
        Ok(answer) => is_missed(answer.status).then_some((answer.endpoint, true)),
        Err(unanswered) => match unanswered.kind {
            kind if kind.is_bound() => None,
            SendErrorKind::Request | SendErrorKind::Secret | SendErrorKind::TotalTimeout => None,
            _ => Some((unanswered.endpoint, unanswered.sent)),
        },
    }
}

/// Another endpoint is tried at once, the same one after a while.
fn pause(server: &Server, to: To, number: u32) -> Duration {
    if server.endpoints.are_several() && !matches!(to, To::Session(_)) && number == 1 {
        return Duration::ZERO;
    }
    Duration::from_millis(retry::pause(number, server.endpoints.chance()))
}

/// Whether the operator and the server itself say that a tool may be called twice.
async fn may_repeat(
    core: &Rc<Core>,
    server: &Arc<Server>,
    tool: Option<&str>,
    rules: &Retry,
    deadline: Instant,
) -> bool {
    let Some(tool) = tool.filter(|_| !rules.idempotent.allow.is_empty()) else { return false };
    if !Names::new(&rules.idempotent).pass(tool) {
        return false;
    }
    // To list tools is a call of its own, which may come here: a future of unknown size ends the recursion.
    let listing: Pin<Box<dyn Future<Output = Result<Arc<Tools>, Failure>>>> = Box::pin(catalog::tools(core, server));
    let listed = timeout(deadline.saturating_duration_since(Instant::now()), listing).await;
    matches!(listed, Ok(Ok(tools)) if tools.get(tool).is_some_and(|tool| tool.may_be_repeated))
}
