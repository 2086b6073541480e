//! Whether a client may do what its request names: by the name, and by the arguments.
//!
//! Asked by `route` once it is known where a name leads. Denied and unknown look the same to whoever may not know; what
//! is allowed but for its arguments says what they must be.

use std::sync::Arc;

use toolgate_protocol::json;
use toolgate_protocol::method::Method;

use crate::call::Call;
use crate::failure::{Failure, Kind as Why};
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

/// Refuses a path behind which nothing is open to the client: it looks like one that does not exist.
pub fn path(call: &Call) -> Result<(), Failure> {
    let client = call.client();
    if client.rights.is_none() || call.view().servers.iter().any(|server| client.may_reach(&server.settings.name)) {
        return Ok(());
    }
    Err(super::secure::nothing_here())
}

/// Decides, and says by which rule where there is one.
pub fn decide(call: &Call, wanted: Wanted<'_>, message: &Message) -> (Option<Ruling>, Result<(), Failure>) {
    let unknown = || Err(names::unknown(wanted.method, wanted.offered));
    let (server, client) = (&wanted.server.settings.name, call.client());
    let Some(kind) = wanted.kind else {
        return (None, if client.may_reach(server) { Ok(()) } else { unknown() });
    };
    if kind == Kind::Tool
        && let Some(ruling) = not_offered(call, wanted)
    {
        return (Some(ruling), unknown());
    }
    let ruling = client.rights.as_ref().map(|rights| rights.rule(kind, server, wanted.own));
    if ruling.as_ref().is_some_and(|ruling| !ruling.allowed) {
        return (ruling, unknown());
    }
    if kind != Kind::Tool {
        return (ruling, Ok(()));
    }
    // Who could use it otherwise reads that it is switched off.
    if let Some(off) = wanted.server.off.refusal(wanted.own) {
        return (Some(denied("switched off by hand")), Err(off));
    }
    let refused = client.rights.as_ref().and_then(|rights| by_arguments(rights, wanted, message));
    match refused {
        Some((ruling, failure)) => (Some(ruling), Err(failure)),
        None => (ruling, Ok(())),
    }
}

/// The configuration's own word on a tool that it leaves out for everybody.
fn not_offered(call: &Call, wanted: Wanted<'_>) -> Option<Ruling> {
    if !wanted.server.tools.pass(wanted.own) {
        return Some(denied(&format!("server.{}.tools", wanted.server.settings.name)));
    }
    (!call.view().selects(wanted.offered)).then(|| denied(&format!("profile.{}.tools", call.view().name)))
}

fn denied(rule: &str) -> Ruling {
    Ruling { allowed: false, rule: rule.into() }
}

fn by_arguments(rights: &Rights, wanted: Wanted<'_>, message: &Message) -> Option<(Ruling, Failure)> {
    let arguments = message.envelope.arguments.map(|span| (&*message.bytes, span));
    let (condition, outcome) = rights.refuse(&wanted.server.settings.name, wanted.own, arguments)?;
    let ruling = Ruling { allowed: false, rule: Arc::clone(&condition.rule) };
    Some((ruling, refusal(wanted.offered, condition, outcome)))
}

fn refusal(offered: &str, condition: &Condition, outcome: Outcome<'_>) -> Failure {
    let (tool, argument) = (names::brief(offered), condition.argument.as_str());
    let message = match outcome {
        Outcome::Fails(test) => format!("You may call {tool} only where its argument {argument} is {test}."),
        Outcome::Ambiguous => {
            format!("The argument {argument} of {tool} stands there twice, or beside one spelt in other letters. Send it once.")
        }
        Outcome::Absent { .. } | Outcome::Holds => {
            format!("You may call {tool} only with the argument {argument}, and it is missing.")
        }
    };
    Failure::new(Why::Forbidden, message).with_data(format!("\"argument\":{}", json::encode_str(argument)))
}
