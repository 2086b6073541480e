//! Who calls: by a credential of the request, else by the connection's certificate, else by address.
//!
//! What is shown is all that counts: a credential that is wrong is refused, and no weaker one is looked at instead.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::header::AUTHORIZATION;

use crate::call::Call;
use crate::clock;
use crate::config::settings::AuthMethod;
use crate::failure::{Failure, Kind};
use crate::identity::Client;
use crate::identity::failures::Method;
use crate::identity::key::{self, Owner};
use crate::identity::resource::Resource;
use crate::identity::store::index::Known;
use crate::identity::token::{self, Flaw, Unverified, Verified};
use crate::listen::certified::Certified;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a client waits whose token nobody can judge now.
const LATER: Duration = Duration::from_secs(5);

/// What a client has shown, by its form.
#[derive(Clone, Copy)]
enum Credential<'a> {
    Key(&'a str),
    Token(&'a str),
}

/// Puts the client into the call.
pub async fn identify(call: &mut Call) -> Result<(), Failure> {
    let client = if call.entrance.listener.auth.is_empty() {
        Arc::new(Client::of_address(call.address))
    } else {
        by_any_method(call).await?
    };
    call.mark.of_client(client.number);
    call.client = Some(client);
    Ok(())
}

/// The order is that of `identity.md`.
async fn by_any_method(call: &Call) -> Result<Arc<Client>, Failure> {
    let accepts = |method| call.entrance.listener.auth.contains(&method);
    if let Some(credential) = presented(call)? {
        return by_credential(call, credential).await;
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

async fn by_credential(call: &Call, credential: Credential<'_>) -> Result<Arc<Client>, Failure> {
    let failures = &call.core.gate.failures;
    let (Credential::Key(text) | Credential::Token(text)) = credential;
    failures.admit(call.address, text, clock::nanos_at(call.started)).map_err(|wait| {
        let text = "Too many wrong credentials came from your address. Check yours, and try again later.";
        Failure::new(Kind::AuthenticationBlocked, text).retry_after(wait)
    })?;
    let found = match credential {
        Credential::Key(text) if call.entrance.listener.auth.contains(&AuthMethod::Key) => by_key(call, text),
        Credential::Key(_) => Err(refused("This listener accepts no API keys.")),
        Credential::Token(text) => by_token(call, text).await,
    };
    match &found {
        Ok(_) => failures.succeed(text),
        Err(failure) if failure.kind == Kind::CredentialRefused => failed(call, Method::Credential),
        // It may be good: a token that lacks a scope, or one that nobody can judge now.
        Err(_) => {}
    }
    found
}

fn by_key(call: &Call, text: &str) -> Result<Arc<Client>, Failure> {
    let parsed = key::parse(text).ok_or_else(unknown)?;
    match key::find(parsed, call.policy.proofs(), call.core.gate.keys.index(), clock::unix_millis)
        .ok_or_else(unknown)?
    {
        Owner::Configured(client) => Ok(client),
        Owner::Stored(known) => stored(call, parsed.id, known),
    }
}

/// The client of a key of the store whose secret was shown.
fn stored(call: &Call, id: &str, known: Known) -> Result<Arc<Client>, Failure> {
    let decision = call.core.gate.keys.decide(id, known, &call.policy.settings).map_err(|problem| {
        Failure::new(Kind::Internal, "The gate cannot read its keys now. Try again later.").because(problem)
    })?;
    if decision.revoked {
        return Err(refused("This API key was revoked. Ask the operator of this gate for another."));
    }
    if decision.expires_ms.is_some_and(|end| end <= clock::unix_millis()) {
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
    decision.use_then(clock::millis_at(call.started));
    Ok(Arc::clone(&decision.client))
}

async fn by_token(call: &Call, text: &str) -> Result<Arc<Client>, Failure> {
    match call.policy.issuers.known(text) {
        Some(verified) => admitted(call, &verified),
        // Boxed, so that a call whose token is known does not carry what it takes to verify one.
        None => admitted(call, &Box::pin(verified(call, text)).await?),
    }
}

/// The token as its issuer's keys show it; once newer keys are there, where it is signed with one that is not known.
async fn verified(call: &Call, text: &str) -> Result<Arc<Verified>, Failure> {
    let issuers = &call.policy.issuers;
    let mut outcome = issuers.verify(text);
    if let Err(Unverified::KeyUnknown(issuer, seen) | Unverified::NoKeys(issuer, seen)) = &outcome
        && issuer.newer(*seen).await
    {
        outcome = issuers.verify(text);
    }
    match outcome {
        Ok(verified) => Ok(verified),
        Err(Unverified::Flawed(flaw, issuer)) => Err(flawed(call, issuer.as_deref(), flaw)),
        Err(Unverified::KeyUnknown(issuer, _)) => Err(flawed(call, Some(&issuer), Flaw::KeyUnknown)),
        Err(Unverified::NoKeys(issuer, _)) => {
            let name = &issuer.settings().name;
            let message = "This token cannot be verified now: its issuer's keys cannot be had. Try again later.";
            Err(Failure::new(Kind::IdentityUnavailable, message)
                .retry_after(LATER)
                .because(format_args!("no keys of the issuer {name} are known")))
        }
    }
}

/// The client of a token that is good here and now.
fn admitted(call: &Call, verified: &Arc<Verified>) -> Result<Arc<Client>, Failure> {
    let view = call.view.as_ref().map_or("", |view| &view.name);
    if let Some(flaw) = verified.flaw(&Resource::of(call), view, token::now()) {
        return Err(flawed(call, Some(verified.issuer()), flaw));
    }
    if !verified.suffices() {
        let message = "This token lacks a scope that is needed here. Ask its issuer for one with all of them.";
        return Err(Failure::new(Kind::ScopeInsufficient, message));
    }
    call.core.gate.terms.present(verified);
    call.mark.of_token(verified.term());
    Ok(Arc::clone(verified.client()))
}

fn flawed(call: &Call, issuer: Option<&token::Issuer>, flaw: Flaw) -> Failure {
    call.policy.issuers.refused(issuer, flaw);
    refused(flaw.sentence()).because(flaw.word())
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

/// The credential, from the one place where it was put; `None` where none is shown. A token stands in `Authorization`
/// alone; in a query nothing is looked for (RFC 9700, section 4.3.2).
fn presented(call: &Call) -> Result<Option<Credential<'_>>, Failure> {
    let auth = &call.entrance.listener.auth;
    let mut values = call.headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        let key = call.headers.contains_key(API_KEY).then(|| call.header(API_KEY).unwrap_or_default());
        return Ok(key.or(call.key_in_path.as_deref()).map(Credential::Key));
    };
    if values.next().is_some() {
        return Err(refused("Send one credential: this request has several."));
    }
    let parts = value.to_str().ok().and_then(|value| value.split_once(' '));
    let Some((_, credential)) = parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
        return Err(missing(call));
    };
    let text = credential.trim();
    let as_token = auth.contains(&AuthMethod::Jwt) && !text.starts_with("tg_");
    Ok(Some(if as_token { Credential::Token(text) } else { Credential::Key(text) }))
}

/// What whoever has shown nothing that could be good is to do.
fn missing(call: &Call) -> Failure {
    let auth = &call.entrance.listener.auth;
    if auth.contains(&AuthMethod::Key) || auth.contains(&AuthMethod::Jwt) {
        return Failure::new(Kind::Unauthenticated, wanted(auth));
    }
    if auth.contains(&AuthMethod::Certificate) {
        let text = "Connect with a client certificate that the operator of this gate knows, and send no credential.";
        return Failure::new(Kind::CertificateRefused, text);
    }
    let text = "Nobody is known at your address. The gate's operator can add it to a [machine.NAME].";
    Failure::new(Kind::AddressRefused, text)
}

/// What to send, as a sentence.
fn wanted(auth: &[AuthMethod]) -> &'static str {
    match (auth.contains(&AuthMethod::Key), auth.contains(&AuthMethod::Jwt)) {
        (true, false) => "Send an API key as `Authorization: Bearer tg_…`, or as `X-API-Key: tg_…`.",
        (false, _) => "Send an access token as `Authorization: Bearer TOKEN`.",
        (true, true) => "Send an access token or an API key as `Authorization: Bearer CREDENTIAL`.",
    }
}

fn unknown() -> Failure {
    refused("This API key is not known here. Ask the operator of this gate for one.")
}

fn refused(message: &str) -> Failure {
    Failure::new(Kind::CredentialRefused, message)
}
