//! Where a named request goes, under which name, and whether its client may use it: decided once,
//! before anything is counted and before any server hears of it.

use toolgate_protocol::bridge::listen::Filter;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;
use toolgate_protocol::names as joined;

use crate::call::Call;
use crate::failure::{self, Failure};
use crate::identity::rights::{Kind, Ruling};
use crate::message::Message;
use crate::relay::names;
use crate::stages::authorise;

/// Authorises a request, and in a merged view finds its server.
pub fn route(call: &mut Call) -> Result<(), Failure> {
    let Some(message) = call.message.as_ref().filter(|message| message.shape() != Shape::Response) else {
        return Ok(());
    };
    // A method that the era does not have names nothing; whoever answers says so.
    let Some(method) = message.envelope.known_method.filter(|method| method.exists_in(call.era)) else {
        let (ruling, decided) = nameless(call, message);
        call.ruling = ruling;
        return decided;
    };
    if message.shape() == Shape::Notification {
        return Ok(());
    }
    if method == Method::Listen {
        let (ruling, decided) = subscriptions(call, message);
        call.ruling = ruling;
        return decided;
    }
    let (ruling, routed) = match call.view().single() {
        Some(server) if call.client().rights.is_none() && call.view().offers_all(call.client(), server) => {
            return Ok(());
        }
        Some(server) => {
            let (ruling, decided) = names::authorise(call, server, method, message);
            (ruling, decided.map(|()| None))
        }
        None if method.named_by().is_some() => {
            let (ruling, routed) = names::route(call, method, message);
            (ruling, routed.map(Some))
        }
        None => return Ok(()),
    };
    call.ruling = ruling;
    call.routed = routed?;
    Ok(())
}

/// A method that no rule knows could do anything, with an answer or without: it is closed to whoever may not use
/// everything.
fn nameless(call: &Call, message: &Message) -> (Option<Ruling>, Result<(), Failure>) {
    if call.client().rights.is_none() {
        return (None, Ok(()));
    }
    let method = message.method();
    let text = format!("The method {} does not exist here.", names::brief(&method));
    (Some(Ruling::of_no_method()), Err(Failure::new(failure::Kind::MethodUnknown, text)))
}

/// A subscription names resources in its filter; each must be open to the client.
fn subscriptions(call: &Call, message: &Message) -> (Option<Ruling>, Result<(), Failure>) {
    let Some(rights) = call.client().rights.as_ref().filter(|rights| rights.closes_names()) else {
        return (None, Ok(()));
    };
    let filter = match Filter::of_request(&message.bytes, &message.envelope) {
        Ok(filter) => filter,
        Err(bad) => return (None, Err(Failure::new(failure::Kind::InvalidParams, bad.to_string()))),
    };
    for uri in filter.uris() {
        let single = call.view().single().map(|server| (server.settings.name.as_str(), uri.as_str()));
        let named = single.or_else(|| joined::split_uri(uri));
        let ruling = named.map(|(server, own)| rights.rule(Kind::Resource, server, own));
        if ruling.as_ref().is_none_or(|ruling| !ruling.allowed) {
            let more = |(server, own)| authorise::step_up(call.client(), server, (Kind::Resource, own), uri);
            let failure = named.and_then(more).unwrap_or_else(|| names::unknown(Method::ResourcesSubscribe, uri));
            return (ruling, Err(failure));
        }
    }
    (None, Ok(()))
}
