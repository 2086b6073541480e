//! Whether a client may do what its request names: by the name, and by the arguments.
//!
//! Asked by `route` once it is known where a name leads. Denied and unknown look the same to whoever may not know; what
//! is allowed but for its arguments says what they must be.

use std::sync::Arc;

use toolgate_protocol::json;
use toolgate_protocol::method::Method;

use crate::call::Call;
use crate::failure::{Failure, Kind as Why};
use crate::identity::Client;
use crate::identity::rights::{Condition, Kind, Outcome, Rights, Ruling};
use crate::message::Message;
use crate::relay::names;
use crate::servers::Server;

/// What a request wants.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The server that has it.
    pub server: &'a Server,
    /// The request's method.
    pub method: Method,
    /// What its name names; none where rules know no such names, as of tasks.
    pub kind: Option<Kind>,
    /// The server's own name for it.
    pub own: &'a str,
    /// The name that the client used.
    pub offered: &'a str,
}

/// Refuses the path of a server or profile of which nothing is open to the client: it looks like one that does not
/// exist. `/mcp` itself exists for everybody.
pub fn path(call: &mut Call) -> Result<(), Failure> {
    let (client, view) = (call.client(), call.view());
    let open = || view.servers.iter().any(|server| client.may_reach(&server.settings.name));
    if client.rights.is_none() || view.name.is_empty() || open() {
        return Ok(());
    }
    call.ruling = Some(denied("nothing behind the path is open"));
    Err(super::secure::nothing_here())
}

/// Decides, and says by which rule where there is one.
pub fn decide(call: &Call, wanted: Wanted<'_>, message: &Message) -> (Option<Ruling>, Result<(), Failure>) {
    let unknown = || Err(names::unknown(wanted.method, wanted.offered));
    let client = call.client();
    let Some(kind) = wanted.kind else {
        let reached = client.may_reach(&wanted.server.settings.name);
        return (None, if reached { Ok(()) } else { unknown() });
    };
    if kind == Kind::Tool && !call.view().selects(wanted.offered) {
        return (Some(denied(&format!("profile.{}.tools", call.view().name))), unknown());
    }
    let (ruling, decided) = named(client, wanted.server, (kind, wanted.own), wanted.offered, message);
    match decided {
        Ok(()) => (ruling, Ok(())),
        Err(Refused::Unknown) => (ruling, unknown()),
        Err(Refused::Told(failure)) => (ruling, Err(*failure)),
    }
}

/// Why a call is refused.
#[derive(Debug)]
pub enum Refused {
    /// The client may not know of it.
    Unknown,
    /// It may, and reads this.
    Told(Box<Failure>),
}

/// The same without a call, whatever path it would come to: by what the server is configured to offer, by the client's
/// rights, by what is switched off by hand, and by the arguments in `message`.
pub fn named(
    client: &Client,
    server: &Server,
    (kind, own): (Kind, &str),
    offered: &str,
    message: &Message,
) -> (Option<Ruling>, Result<(), Refused>) {
    let name = &server.settings.name;
    if kind == Kind::Tool && !server.tools.pass(own) {
        return (Some(denied(&format!("server.{name}.tools"))), Err(Refused::Unknown));
    }
    let ruling = client.rights.as_ref().map(|rights| rights.rule(kind, name, own));
    if ruling.as_ref().is_some_and(|ruling| !ruling.allowed) {
        let refused = match step_up(client, name, (kind, own), offered) {
            Some(failure) => Refused::Told(Box::new(failure)),
            None => Refused::Unknown,
        };
        return (ruling, Err(refused));
    }
    if kind != Kind::Tool {
        return (ruling, Ok(()));
    }
    // Who could use it otherwise reads that it is switched off.
    if let Some(off) = server.off.refusal(own) {
        return (Some(denied("switched off by hand")), Err(Refused::Told(Box::new(off))));
    }
    match client.rights.as_ref().and_then(|rights| by_arguments(rights, name, (own, offered), message)) {
        Some((ruling, failure)) => (Some(ruling), Err(Refused::Told(Box::new(failure)))),
        None => (ruling, Ok(())),
    }
}

/// The refusal of what a token of the same client opens that has more scopes (MCP, "Scope Challenge Handling"); `None`
/// where none does, or the client may not know of it.
#[must_use]
pub fn step_up(client: &Client, server: &str, (kind, own): (Kind, &str), offered: &str) -> Option<Failure> {
    let scopes = client.rights.as_ref()?.wanting(kind, server, own)?;
    let message = format!(
        "Your token lacks a scope that the {} {} needs. Ask its issuer for one with all of: {scopes}.",
        kind.word(),
        names::brief(offered)
    );
    Some(Failure::new(Why::ScopeInsufficient, message).with_scopes(&scopes))
}

fn denied(rule: &str) -> Ruling {
    Ruling { allowed: false, rule: rule.into() }
}

fn by_arguments(
    rights: &Rights,
    server: &str,
    (own, offered): (&str, &str),
    message: &Message,
) -> Option<(Ruling, Failure)> {
    let arguments = message.envelope.arguments.map(|span| (&*message.bytes, span));
    let (condition, outcome) = rights.refuse(server, own, arguments)?;
    let ruling = Ruling { allowed: false, rule: Arc::clone(&condition.rule) };
    Some((ruling, refusal(offered, condition, outcome)))
}

fn refusal(offered: &str, condition: &Condition, outcome: Outcome<'_>) -> Failure {
    let (tool, argument) = (names::brief(offered), condition.argument.as_str());
    let message = match outcome {
        Outcome::Fails(test) => format!("You may call {tool} only where its argument {argument} is {test}."),
        Outcome::Ambiguous => {
            format!(
                "The argument {argument} of {tool} stands there twice, or beside one spelt in other letters. Send it once."
            )
        }
        Outcome::Absent { .. } | Outcome::Holds => {
            format!("You may call {tool} only with the argument {argument}, and it is missing.")
        }
    };
    Failure::new(Why::Forbidden, message).with_data(format!("\"argument\":{}", json::encode_str(argument)))
}
