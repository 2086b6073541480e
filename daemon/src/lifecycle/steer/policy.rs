//! Which rule decides about a call that somebody might make: asked of the same rights that decide about calls.

use std::sync::Arc;

use toolgate_admin_api as api;
use toolgate_protocol::json::{Found, encode_str};

use super::super::daemon::Daemon;
use crate::admin::PolicyOperations;
use crate::identity::rights::{Condition, Kind, Outcome};
use crate::identity::{Client, Persona};
use crate::message::Message;
use crate::policy::Policy;
use crate::stages::authorise::{self, Refused};
use crate::steering::clients::Holds;

/// Characters of a value that are shown.
const MOST_VALUE: usize = 200;

impl PolicyOperations for Daemon {
    fn explain_policy(&self, query: &api::PolicyQuery) -> Result<api::PolicyExplained, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let client = self.somebody(&policy, query)?;
        let (kind, server, name) = wanted(query)?;
        let message = message(kind, query)?;
        let mut explained = api::PolicyExplained {
            client: query.client.clone(),
            kind: kind.word().to_owned(),
            server: server.to_owned(),
            name: name.to_owned(),
            roles: client.roles().map(str::to_owned).collect(),
            scopes: client.scopes().map(str::to_owned).collect(),
            ..api::PolicyExplained::default()
        };
        let by_hand = query.client.as_ref().and_then(|id| self.gate.steering.book().clients.get(id).cloned());
        let its_key = client.suspension.as_ref().filter(|holds| holds.is_on()).map(Holds::told);
        if let Some(suspension) = by_hand.or(its_key) {
            explained.rule = format!("suspended by {}", api::Shown(&suspension.who));
            explained.answer = Some(suspension.say);
            return Ok(explained);
        }
        let Some(running) = policy.servers.get(server) else {
            return Err(no_server(&policy, server));
        };
        let (ruling, decided) = authorise::named(&client, running, (kind, name), name, &message);
        explained.allowed = decided.is_ok();
        explained.rule = ruling.map_or_else(|| "nothing narrows it".to_owned(), |ruling| ruling.rule.to_string());
        explained.answer = decided.err().map(|refused| match refused {
            Refused::Unknown => format!("Unknown {}: {name}.", kind.word()),
            Refused::Told(failure) => failure.message,
        });
        if kind == Kind::Tool
            && let Some(rights) = &client.rights
        {
            explained.conditions = rights.conditions(server, name).map(|one| condition(one, &message)).collect();
        }
        Ok(explained)
    }
}

impl Daemon {
    /// The client that is named, or whoever would have these roles and scopes.
    fn somebody(&self, policy: &Policy, query: &api::PolicyQuery) -> Result<Arc<Client>, api::ApiError> {
        let Some(id) = &query.client else { return nobody(policy, query) };
        if !query.roles.is_empty() || !query.scopes.is_empty() {
            return Err(wrong("client", "A client has the roles and scopes that it has.", "Name a client, or roles."));
        }
        let id = self.known_client(id)?;
        let of_address = Client::address_of(id);
        let of_key = id.strip_prefix("key:").and_then(|key| self.gate.client_of_key(key));
        let client = of_address.map(|address| Arc::new(Client::of_address(address))).or(of_key);
        client.ok_or_else(|| wrong("client", "There is no such client.", "`toolgate clients list` has all."))
    }
}

fn nobody(policy: &Policy, query: &api::PolicyQuery) -> Result<Arc<Client>, api::ApiError> {
    if query.roles.is_empty() && query.scopes.is_empty() {
        return Err(wrong("client", "Nothing says who would call.", "Name a client, or roles or scopes of one."));
    }
    let known = &policy.settings.roles;
    let roles = query.roles.iter().map(|name| {
        known.get(name).map(Arc::clone).ok_or_else(|| {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            let remedy = if names.is_empty() {
                "There are none.".to_owned()
            } else {
                format!("Known are {}.", names.join(", "))
            };
            wrong("roles", &format!("There is no role {}.", api::Shown(name)), &remedy)
        })
    });
    let persona = Persona {
        id: "somebody".to_owned(),
        roles: roles.collect::<Result<_, _>>()?,
        scopes: query.scopes.clone(),
        ..Persona::default()
    };
    Ok(Arc::new(Client::new(persona)))
}

/// What is meant: its kind, its server, and its name there.
fn wanted(query: &api::PolicyQuery) -> Result<(Kind, &str, &str), api::ApiError> {
    let all = [(Kind::Tool, &query.tool), (Kind::Resource, &query.resource), (Kind::Prompt, &query.prompt)];
    let mut named = all.into_iter().filter_map(|(kind, name)| Some((kind, name.as_deref()?)));
    let (Some((kind, text)), None) = (named.next(), named.next()) else {
        let remedy = "Write one of tool, resource and prompt, as SERVER/NAME.";
        return Err(wrong("tool", "It is not one thing that is asked about.", remedy));
    };
    match text.split_once('/').filter(|(server, name)| !server.is_empty() && !name.is_empty()) {
        Some((server, name)) => Ok((kind, server, name)),
        None => Err(wrong(kind.word(), "A name has a server before its slash.", "Write it as SERVER/NAME.")),
    }
}

/// The call as it would come, read as calls are.
fn message(kind: Kind, query: &api::PolicyQuery) -> Result<Message, api::ApiError> {
    let arguments = query.arguments.as_deref().unwrap_or("{}");
    if query.arguments.is_some() && kind != Kind::Tool {
        return Err(wrong("arguments", "Only arguments of tools are looked at.", "Leave them out."));
    }
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{},"arguments":{arguments}}}}}"#,
        encode_str("any")
    );
    let message = Message::parse(text.into()).map_err(|problem| {
        wrong("arguments", &format!("A call with these arguments is refused: {problem}."), "Send an object of JSON.")
    })?;
    let whole = message.envelope.arguments.is_some_and(|span| span.of(&message.bytes).first() == Some(&b'{'));
    if whole { Ok(message) } else { Err(wrong("arguments", "Arguments are an object.", "Send an object of JSON.")) }
}

fn condition(condition: &Condition, message: &Message) -> api::PolicyCondition {
    let arguments = message.envelope.arguments.map(|span| (&*message.bytes, span));
    let outcome = condition.judge(arguments);
    let value = arguments.and_then(|(text, span)| match condition.argument.find(text, span) {
        Found::Value(value) => Some(String::from_utf8_lossy(value.of(text)).chars().take(MOST_VALUE).collect()),
        Found::Absent | Found::Ambiguous => None,
    });
    let word = match outcome {
        Outcome::Holds => "holds",
        Outcome::Fails(_) => "fails",
        Outcome::Absent { .. } => "absent",
        Outcome::Ambiguous => "ambiguous",
    };
    api::PolicyCondition {
        rule: condition.rule.to_string(),
        argument: condition.argument.as_str().to_owned(),
        wants: condition.tests.iter().map(ToString::to_string).collect(),
        value,
        holds: outcome.passes(),
        outcome: word.to_owned(),
    }
}

fn no_server(policy: &Policy, server: &str) -> api::ApiError {
    let disabled = policy.settings.servers.contains_key(server);
    let is = if disabled { "is disabled" } else { "does not exist" };
    api::ApiError::new(api::ErrorCode::NotFound, format!("The server {} {is}.", api::Shown(server)))
        .remedy("`toolgate server list` has those that there are.")
        .field("tool")
}

fn wrong(field: &str, message: &str, remedy: &str) -> api::ApiError {
    api::ApiError::new(api::ErrorCode::BadRequest, message).remedy(remedy).field(field)
}
