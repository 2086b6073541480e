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
use crate::identity::rights::{self, Ruling};
use crate::message::Message;
use crate::observe::is_unfit;
use crate::servers::Server;
use crate::stages::authorise::{self, Wanted};

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

/// Decides about what a request to the only server of its view names.
pub fn authorise(
    call: &Call,
    server: &Server,
    method: Method,
    message: &Message,
) -> (Option<Ruling>, Result<(), Failure>) {
    let Some(name) = named(method, message) else { return (None, Ok(())) };
    let kind = kind(method, message);
    authorise::decide(call, Wanted { server, method, kind, own: &name, offered: &name }, message)
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

/// Finds the server of a request in a merged view, decides about the name, and gives it back its original form.
pub fn route(call: &Call, method: Method, message: &Message) -> (Option<Ruling>, Result<Routed, Failure>) {
    let missing = || Failure::new(Kind::InvalidParams, "The request names nothing that the gate could route it by.");
    let Some(offered) = named(method, message) else { return (None, Err(missing())) };
    let Some((server, own)) = behind(call, is_by_uri(method, message), &offered) else {
        return (None, Err(unknown(method, &offered)));
    };
    let wanted = Wanted { server, method, kind: kind(method, message), own, offered: &offered };
    let (ruling, decided) = authorise::decide(call, wanted, message);
    let routed = decided.and_then(|()| {
        let edit = rename(message, method, own).ok_or_else(missing)?;
        let text = splice::apply(&message.bytes, &mut [edit]);
        let renamed = Message::parse(text.into());
        let renamed = renamed.map_err(|problem| Failure::new(Kind::InvalidRequest, problem.to_string()))?;
        Ok(Routed { server: Arc::clone(server), name: own.to_owned(), message: renamed })
    });
    (ruling, routed)
}

/// Whether what a header names is offered to the client.
fn may_use(call: &Call, server: &Server, method: Method, own: &str) -> bool {
    match rights::Kind::of(method) {
        None => call.client().may_reach(&server.settings.name),
        Some(rights::Kind::Tool) => {
            let merged = call.view().single().is_none();
            let offered = if merged { names::join(&server.settings.name, own).into() } else { Cow::Borrowed(own) };
            call.view().offers(call.client(), server, own, &offered)
        }
        Some(kind) => call.client().may_use(kind, &server.settings.name, own),
    }
}

/// What a request's name names.
fn kind(method: Method, message: &Message) -> Option<rights::Kind> {
    match method.named_by()? {
        NamedBy::Reference if is_by_uri(method, message) => Some(rights::Kind::Resource),
        NamedBy::Reference => Some(rights::Kind::Prompt),
        _ => rights::Kind::of(method),
    }
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
