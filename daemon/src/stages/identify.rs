//! Who calls: by API key, or by address where the listener asks for no credential.

use std::sync::Arc;

use http::HeaderName;
use http::header::AUTHORIZATION;

use crate::call::Call;
use crate::clock;
use crate::config::settings::AuthMethod;
use crate::failure::{Failure, Kind};
use crate::identity::Client;
use crate::identity::key::{self, Owner};
use crate::identity::store::index::Known;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Puts the client into the call.
pub fn identify(call: &mut Call) -> Result<(), Failure> {
    let client = if call.entrance.listener.auth.is_empty() {
        Arc::new(Client::of_address(call.address))
    } else if call.entrance.listener.auth.contains(&AuthMethod::Key) {
        by_key(call)?
    } else {
        return Err(refused("This listener accepts no API keys."));
    };
    call.mark.of_client(client.number);
    call.client = Some(client);
    Ok(())
}

fn by_key(call: &Call) -> Result<Arc<Client>, Failure> {
    let text = presented(call)
        .ok_or_else(|| refused("Send an API key as `Authorization: Bearer tg_…`, or as `X-API-Key: tg_…`."))?;
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

/// The credential, from the one place where it was put.
fn presented(call: &Call) -> Option<&str> {
    if let Some(value) = call.header(AUTHORIZATION) {
        let (scheme, token) = value.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    call.header(API_KEY).or(call.key_in_path.as_deref())
}

fn refused(message: &str) -> Failure {
    Failure::new(Kind::Unauthenticated, message)
}
