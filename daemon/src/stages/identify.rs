//! Who calls: by API key, or by address where the listener asks for no credential.

use std::sync::Arc;

use http::HeaderName;
use http::header::AUTHORIZATION;

use crate::call::Call;
use crate::config::settings::AuthMethod;
use crate::failure::{Failure, Kind};
use crate::identity::{Client, key};

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
    let known = call.policy.settings.keys.get(presented.id).zip(call.policy.client(presented.id));
    let Some((entry, client)) = known else {
        key::verify_nobody(presented);
        return Err(unknown());
    };
    if key::verify(presented, entry) { Ok(Arc::clone(client)) } else { Err(unknown()) }
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
