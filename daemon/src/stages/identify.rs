//! Who calls: by a credential of the request, else by the connection's certificate, else by address.
//!
//! What is shown is all that counts: a credential that is wrong is refused, and no weaker one is looked at instead.

use std::sync::Arc;

use http::HeaderName;
use http::header::AUTHORIZATION;

use crate::call::Call;
use crate::clock;
use crate::config::settings::AuthMethod;
use crate::failure::{Failure, Kind};
use crate::identity::Client;
use crate::identity::failures::Method;
use crate::identity::key::{self, Owner};
use crate::identity::store::index::Known;
use crate::listen::certified::Certified;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Puts the client into the call.
pub fn identify(call: &mut Call) -> Result<(), Failure> {
    let client = if call.entrance.listener.auth.is_empty() {
        Arc::new(Client::of_address(call.address))
    } else {
        by_any_method(call)?
    };
    call.mark.of_client(client.number);
    call.client = Some(client);
    Ok(())
}

/// The order is that of `identity.md`.
fn by_any_method(call: &Call) -> Result<Arc<Client>, Failure> {
    let accepts = |method| call.entrance.listener.auth.contains(&method);
    if let Some(credential) = presented(call) {
        return by_credential(call, credential);
    }
    if accepts(AuthMethod::Certificate)
        && let Some(certified) = call.connection.certified()
    {
        return by_certificate(call, certified);
    }
    let by_address = || call.policy.machines.at(call.address).filter(|_| !hides_its_client(call));
    if accepts(AuthMethod::Address)
        && let Some(client) = by_address()
    {
        return Ok(Arc::clone(client));
    }
    Err(missing(call))
}

fn by_credential(call: &Call, credential: &str) -> Result<Arc<Client>, Failure> {
    let failures = &call.core.gate.failures;
    failures.admit(call.address, credential, clock::nanos_at(call.started)).map_err(|wait| {
        let text = "Too many wrong credentials came from your address. Check yours, and try again later.";
        Failure::new(Kind::AuthenticationBlocked, text).retry_after(wait)
    })?;
    let found = if call.entrance.listener.auth.contains(&AuthMethod::Key) {
        by_key(call, credential)
    } else {
        Err(refused("This listener accepts no API keys: send no credential in a header."))
    };
    match &found {
        Ok(_) => failures.succeed(credential),
        Err(failure) if failure.kind == Kind::Unauthenticated => failed(call, Method::Credential),
        // The gate's own trouble is not the client's.
        Err(_) => {}
    }
    found
}

fn by_key(call: &Call, text: &str) -> Result<Arc<Client>, Failure> {
    let unknown = || refused("This API key is not known here. Ask the operator of this gate for one.");
    let presented = key::parse(text).ok_or_else(unknown)?;
    let (now, keys) = (clock::unix_millis(), &call.core.gate.keys);
    match key::find(presented, call.policy.proofs(), keys.index(), now).ok_or_else(unknown)? {
        Owner::Configured(client) => Ok(client),
        Owner::Stored(known) => stored(call, presented.id, known, now),
    }
}

/// The client of a key of the store whose secret was shown.
fn stored(call: &Call, id: &str, known: Known, now: u64) -> Result<Arc<Client>, Failure> {
    let decision = call.core.gate.keys.decide(id, known, &call.policy.settings).map_err(|problem| {
        Failure::new(Kind::Internal, "The gate cannot read its keys now. Try again later.").because(problem)
    })?;
    if decision.revoked {
        return Err(refused("This API key was revoked. Ask the operator of this gate for another."));
    }
    if decision.expires_ms.is_some_and(|end| end <= now) {
        return Err(refused("This API key has expired. Ask the operator of this gate for another."));
    }
    if !decision.comes_from(call.address) {
        // Whoever has stolen it learns nothing.
        let unknown = refused("This API key is not known here. Ask the operator of this gate for one.");
        return Err(unknown.because(format_args!("the key {id} may not come from {}", call.address)));
    }
    if let Some(lacks) = &decision.lacks {
        let failure = refused(
            "This API key cannot be used now: the gate's configuration lacks what bounds it. Tell its operator.",
        );
        return Err(failure.because(format_args!("the key {id} belongs to the {lacks}, which no file has")));
    }
    decision.use_now(now);
    Ok(Arc::clone(&decision.client))
}

fn by_certificate(call: &Call, certified: &Certified) -> Result<Arc<Client>, Failure> {
    let any = call.entrance.listener.any_certificate;
    certified.client(&call.policy.certified, any, &call.core.gate.holders).ok_or_else(|| {
        failed(call, Method::Certificate);
        let text = "Your certificate stands for nobody here. Ask the operator of this gate to name it.";
        Failure::new(Kind::CertificateRefused, text)
    })
}

/// A proxy that names nobody speaks for everybody behind it: its address says nothing of whoever calls.
fn hides_its_client(call: &Call) -> bool {
    call.proxied.is_none() && call.entrance.listener.trusts(call.connection.peer.ip())
}

fn failed(call: &Call, method: Method) {
    let rules = call.policy.settings.authentication.failures.as_ref().filter(|_| !hides_its_client(call));
    call.core.gate.failures.fail(call.address, method, rules, clock::nanos_at(call.started));
}

/// The credential, from the one place where it was put; empty where that holds no credential that is known here.
fn presented(call: &Call) -> Option<&str> {
    if call.headers.contains_key(AUTHORIZATION) {
        let bearer = call.header(AUTHORIZATION).and_then(|value| value.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        return Some(bearer.map_or("", |(_, token)| token.trim()));
    }
    if call.headers.contains_key(API_KEY) {
        return Some(call.header(API_KEY).unwrap_or_default());
    }
    call.key_in_path.as_deref()
}

/// What whoever has shown nothing is to do.
fn missing(call: &Call) -> Failure {
    let auth = &call.entrance.listener.auth;
    if auth.contains(&AuthMethod::Key) {
        return refused("Send an API key as `Authorization: Bearer tg_…`, or as `X-API-Key: tg_…`.");
    }
    if auth.contains(&AuthMethod::Certificate) {
        let text = "Connect with a client certificate that the operator of this gate knows.";
        return Failure::new(Kind::CertificateRefused, text);
    }
    let text = "Nobody is known at your address. The gate's operator can add it to a [machine.NAME].";
    Failure::new(Kind::AddressRefused, text)
}

fn refused(message: &str) -> Failure {
    Failure::new(Kind::Unauthenticated, message)
}
