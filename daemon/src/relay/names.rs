//! Whose name a call carries: the server it goes to, the name it has there, and whether the
//! client may use it.

use std::borrow::Cow;
use std::sync::Arc;

use toolgate_protocol::json;
use toolgate_protocol::method::{Method, NamedBy};
use toolgate_protocol::names;
use toolgate_protocol::splice::{self, Edit};

use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::observe::is_unfit;
use crate::servers::Server;

/// Where a named request goes.
#[derive(Debug, Clone)]
pub struct Routed {
    /// The server.
    pub server: Arc<Server>,
    /// Its name there.
    pub name: String,
    /// The request as that server knows the name.
    pub message: Message,
}

/// Checks that the client may use what a request to the only server of its view names.
pub fn authorise(call: &Call, server: &Server, method: Method, message: &Message) -> Result<(), Failure> {
    let Some(name) = named(method, message) else { return Ok(()) };
    if may_use(call, server, method, &name) { Ok(()) } else { Err(refusal(call, server, method, (&name, &name))) }
}

/// The server and the name there that a name in a header leads to, where the call's client may use it.
pub fn leads<'c, 'n: 'c>(call: &'c Call, method: Method, name: &'n str) -> Option<(&'c Arc<Server>, &'c str)> {
    let (server, own) = if let Some(server) = call.view().single() {
        (server, name)
    } else {
        behind(call, method.named_by() == Some(NamedBy::Uri), name)?
    };
    may_use(call, server, method, own).then_some((server, own))
}

/// The server of a name in a merged view, and its own name for it. What is offered under an alias
/// is what it is: rules know it by its own name.
fn behind<'c, 'n: 'c>(call: &'c Call, by_uri: bool, offered: &'n str) -> Option<(&'c Arc<Server>, &'c str)> {
    let (server, own) = if by_uri { names::split_uri(offered) } else { names::split(offered) }?;
    let server = call.view().server(server)?;
    let alias = if by_uri { None } else { server.settings.aliases.own(own) };
    Some((server, alias.unwrap_or(own)))
}

/// Finds the server of a request in a merged view and gives the name back its original form.
pub fn route(call: &Call, method: Method, message: &Message) -> Result<Routed, Failure> {
    let missing = || Failure::new(Kind::InvalidParams, "The request names nothing that the gate could route it by.");
    let offered = named(method, message).ok_or_else(missing)?;
    let by_uri = is_by_uri(method, message);
    let Some((server, own)) = behind(call, by_uri, &offered) else { return Err(unknown(method, &offered)) };
    if !may_use(call, server, method, own) {
        return Err(refusal(call, server, method, (own, &offered)));
    }
    let edit = rename(message, method, own).ok_or_else(missing)?;
    let text = splice::apply(&message.bytes, &mut [edit]);
    let renamed =
        Message::parse(text.into()).map_err(|problem| Failure::new(Kind::InvalidRequest, problem.to_string()))?;
    Ok(Routed { server: Arc::clone(server), name: own.to_owned(), message: renamed })
}

fn may_use(call: &Call, server: &Server, method: Method, own: &str) -> bool {
    if method != Method::ToolsCall {
        return call.client().may_use(&server.settings.name, own);
    }
    let merged = call.view().single().is_none();
    let offered = if merged { names::join(&server.settings.name, own).into() } else { Cow::Borrowed(own) };
    call.view().offers(call.client(), server, own, &offered)
}

fn named(method: Method, message: &Message) -> Option<String> {
    match method.named_by()? {
        NamedBy::Reference => {
            let reference = message.envelope.reference?;
            let span =
                json::get(&message.bytes, reference, "name").or_else(|| json::get(&message.bytes, reference, "uri"))?;
            Some(json::decode_str(span.of(&message.bytes)).into_owned())
        }
        NamedBy::Name | NamedBy::Uri | NamedBy::TaskId => {
            message.envelope.target_str(&message.bytes).map(Cow::into_owned)
        }
    }
}

fn is_by_uri(method: Method, message: &Message) -> bool {
    match method.named_by() {
        Some(NamedBy::Uri) => true,
        Some(NamedBy::Reference) => {
            message.envelope.reference.is_some_and(|reference| json::get(&message.bytes, reference, "name").is_none())
        }
        _ => false,
    }
}

fn rename(message: &Message, method: Method, own: &str) -> Option<Edit<'static>> {
    let span = match method.named_by()? {
        NamedBy::Reference => {
            let reference = message.envelope.reference?;
            json::get(&message.bytes, reference, "name").or_else(|| json::get(&message.bytes, reference, "uri"))?
        }
        _ => message.envelope.target(&message.bytes)?,
    };
    Some(Edit::replace(span, json::encode_str(own).into_bytes()))
}

/// Why a name may not be used: a tool that is off says so to those who could use it otherwise.
fn refusal(call: &Call, server: &Server, method: Method, (own, offered): (&str, &str)) -> Failure {
    let off = if method == Method::ToolsCall { server.off.refusal(own) } else { None };
    off.filter(|_| call.view().would_offer(call.client(), server, own, offered))
        .unwrap_or_else(|| unknown(method, offered))
}

/// Denied and unknown look the same to whoever may not know.
pub fn unknown(method: Method, name: &str) -> Failure {
    let what = match method.named_by() {
        Some(NamedBy::Uri) => "resource",
        Some(NamedBy::Reference) => "prompt or resource template",
        Some(NamedBy::TaskId) => "task",
        _ if method == Method::ToolsCall => "tool",
        _ => "prompt",
    };
    let name = brief(name);
    Failure::new(Kind::NameUnknown, format!("Unknown {what}: {name}. List what there is and use a name from there."))
}

/// A name as a refusal quotes it: without what steers a terminal, and no longer than one may be.
pub fn brief(name: &str) -> String {
    name.chars().filter(|character| !is_unfit(*character)).take(64).collect()
}
