//! What happens to a call before its server is disturbed, and to its answer before its client gets it.
//!
//! The relays ask [`before`] once they know server and message: it refuses, answers by itself, or puts a [`Reception`]
//! into the call, which the answer goes through. Where nothing is configured that is one branch.

mod guard;
mod reception;

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use toolgate_protocol::json::Span;
use toolgate_protocol::list;
use toolgate_protocol::method::Method;
use toolgate_protocol::tool_result;

use self::guard::Guard;
pub use self::reception::Reception;
use crate::body::Body;
use crate::call::Call;
use crate::config::settings::{self, Guard as Rule};
use crate::failure::Failure;
use crate::message::Message;
use crate::relay::answer::json_answer;
use crate::servers::{Server, catalog};

/// What one server's tools and answers are held to, and what is known of them.
#[derive(Debug)]
pub struct Answers {
    rules: settings::Answers,
    guard: Arc<Guard>,
}

impl Answers {
    /// Rules of a server of which nothing is known yet.
    pub fn new(rules: &settings::Answers) -> Self {
        Self { rules: rules.clone(), guard: Arc::default() }
    }

    /// The same knowledge under other rules.
    #[must_use]
    pub fn under(&self, rules: &settings::Answers) -> Self {
        Self { rules: rules.clone(), guard: Arc::clone(&self.guard) }
    }

    /// Whether lists of this kind have to be read on their way.
    pub fn reads(&self, list: Method) -> bool {
        list == Method::ToolsList && self.rules.guard != Rule::Off
    }

    /// Learns from a page of tools what they are.
    pub fn saw_tools(&self, page: &Bytes, result: Span, server: &str) {
        if !self.reads(Method::ToolsList) {
            return;
        }
        let tools = list::items(page, result, "tools");
        self.guard.learn(page, &tools, server);
    }

    /// What an operator should know, a sentence each.
    pub fn told(&self) -> Vec<String> {
        self.guard.told()
    }

    /// Calls whose arguments did not fit.
    pub fn violations(&self) -> u64 {
        self.guard.violations()
    }

    /// Whether calls pass as if nothing of this were there.
    pub fn is_idle(&self) -> bool {
        self.rules.guard == Rule::Off && self.rules.max_result.is_none()
    }
}

/// Looks at a request before its server is disturbed, `message` as that server knows its names. An answer is all that
/// its client gets.
pub async fn before(
    call: &mut Call,
    server: &Arc<Server>,
    message: &Message,
) -> Result<Option<Response<Body>>, Failure> {
    if server.answers.is_idle() {
        return Ok(None);
    }
    match message.envelope.known_method {
        Some(Method::ToolsCall) => tool_call(call, server, message).await,
        _ => Ok(None),
    }
}

async fn tool_call(
    call: &mut Call,
    server: &Arc<Server>,
    message: &Message,
) -> Result<Option<Response<Body>>, Failure> {
    let Some(tool) = message.envelope.name_str(&message.bytes) else { return Ok(None) };
    let answers = &server.answers;
    if answers.rules.guard != Rule::Off
        && let Some(answer) = guarded(call, server, &tool, message).await
    {
        return Ok(Some(json_answer(call.era, answer)));
    }
    if answers.rules.max_result.is_some() {
        call.reception = Some(Box::new(Reception::new(call, server, &tool)));
    }
    Ok(None)
}

/// What the caller is told of arguments that do not fit, where they must.
async fn guarded(call: &Call, server: &Arc<Server>, tool: &str, message: &Message) -> Option<Bytes> {
    let (guard, name) = (&server.answers.guard, &server.settings.name);
    let strict = server.answers.rules.guard == Rule::Strict;
    let arguments = match message.envelope.arguments {
        Some(span) => message.bytes.slice(span.range()),
        None => Bytes::from_static(b"{}"),
    };
    if strict && !guard.knows(tool) {
        // A server that cannot be asked will not run the call either.
        let _ = Box::pin(catalog::tools_again(&call.core, server)).await;
    }
    let mut violations = guard.check(tool, &arguments, strict).await.err()?;
    if strict && Box::pin(catalog::tools_again(&call.core, server)).await.is_some() {
        // What is known may be what the tool wanted before it was changed.
        violations = guard.check(tool, &arguments, true).await.err()?;
    }
    guard.log(name, tool, &call.client().owner, &violations, strict);
    if !strict {
        return None;
    }
    let text = format!(
        "The arguments do not fit the input schema of {tool}, so it was not called. Mend them and call it again:{}",
        violations.told
    );
    Some(tool_result::execution_error(call.era, message.id().unwrap_or(b"null"), &text).into())
}
