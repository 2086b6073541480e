//! What happens to a call before its server is disturbed, and to its answer before its client gets it.
//!
//! The relays ask [`before`] once they know server and message: it refuses, answers by itself, or puts a [`Reception`]
//! into the call, which the answer goes through. Where nothing is configured that is one branch.

mod guard;
pub mod pins;
mod reception;

use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::Response;
use toolgate_protocol::json::Span;
use toolgate_protocol::list;
use toolgate_protocol::method::Method;
use toolgate_protocol::pins::Hash;
use toolgate_protocol::tool_result;

use self::guard::Guard;
use self::pins::{Change, NotApproved, Pinned, Pins};
pub use self::reception::Reception;
use crate::body::Body;
use crate::call::Call;
use crate::config::settings::{self, Guard as Rule, Pin};
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::relay::answer::json_answer;
use crate::relay::names::brief;
use crate::servers::{Server, catalog};

/// What one server's tools and answers are held to, and what is known of them.
#[derive(Debug)]
pub struct Answers {
    rules: settings::Answers,
    guard: Arc<Guard>,
    pinned: Option<Pinned>,
}

impl Answers {
    /// Rules of a server of which nothing is known yet.
    pub fn new(rules: &settings::Answers) -> Self {
        Self { rules: rules.clone(), guard: Arc::default(), pinned: None }
    }

    /// The same, with what all servers' tools were like.
    #[must_use]
    pub fn with_pins(self, pins: &Arc<Pins>, server: &str) -> Self {
        let pinned = self.pinned.or_else(|| Some(Pinned::new(pins, server))).filter(|_| self.rules.pin != Pin::Off);
        Self { pinned, ..self }
    }

    /// The same knowledge under other rules.
    #[must_use]
    pub fn under(&self, rules: &settings::Answers) -> Self {
        Self { rules: rules.clone(), guard: Arc::clone(&self.guard), pinned: self.pinned.clone() }
    }

    /// Whether lists of this kind have to be read on their way.
    pub fn reads(&self, list: Method) -> bool {
        list == Method::ToolsList && (self.rules.guard != Rule::Off || self.pinned.is_some())
    }

    /// Learns from a page of tools what they are.
    pub fn saw_tools(&self, page: &Bytes, result: Span, server: &str) {
        if !self.reads(Method::ToolsList) {
            return;
        }
        let tools = list::items(page, result, "tools");
        if self.rules.guard != Rule::Off {
            self.guard.learn(page, &tools, server);
        }
        if let Some(pinned) = &self.pinned {
            pinned.see(page, &tools, self.blocks());
        }
    }

    /// Whether tools that change are withheld: then the gate has to be able to say that they are back.
    pub fn blocks(&self) -> bool {
        self.rules.pin == Pin::Block
    }

    /// Whether a tool is kept from clients, since it is not what was accepted.
    pub fn withholds(&self, tool: &str) -> bool {
        self.blocks() && self.pinned.as_ref().is_some_and(|pinned| pinned.is_changed(tool))
    }

    /// Changed tools that wait for approval.
    pub fn changes(&self) -> Vec<Change> {
        self.pinned.as_ref().map(Pinned::changes).unwrap_or_default()
    }

    /// Accepts what a tool claims now; with `dry_run` only says whether that could be.
    pub fn approve(&self, tool: &str, hash: Option<&Hash>, dry_run: bool) -> Result<(), NotApproved> {
        self.pinned.as_ref().ok_or(NotApproved::Unchanged)?.approve(tool, hash, dry_run)
    }

    /// What an operator should know, a sentence each.
    pub fn told(&self) -> Vec<String> {
        let changed = self.pinned.iter().flat_map(|pinned| pinned.told(self.blocks()));
        let unchecked = (self.rules.guard != Rule::Off).then(|| self.guard.told());
        changed.chain(unchecked.into_iter().flatten()).collect()
    }

    /// Calls whose arguments did not fit.
    pub fn violations(&self) -> u64 {
        self.guard.violations()
    }

    /// Whether calls pass as if nothing of this were there.
    pub fn is_idle(&self) -> bool {
        self.rules.guard == Rule::Off && self.rules.max_result.is_none() && !self.blocks()
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
    if answers.blocks() {
        // Known to be what it was a minute ago at most, or since the server last said that something changed.
        let _ = Box::pin(catalog::tools(&call.core, server)).await;
        if answers.withholds(&tool) {
            return Err(withheld(&tool));
        }
    }
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

fn withheld(tool: &str) -> Failure {
    let tool = brief(tool);
    Failure::new(
        Kind::NameUnknown,
        format!("The tool {tool} is not what it was when it was accepted, and is withheld until its operator has approved the change. Do without it."),
    )
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

/// SHA-256.
fn hash(text: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
    hash
}
