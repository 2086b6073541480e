//! As whom the servers are to meet the client: with its own credential there, where it has one.

use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::servers::Server;

/// Has the call's view lead to the servers as its client meets them. One branch where all clients are met alike.
pub fn choose(call: &mut Call) {
    let own = call.view().own.as_ref().map(|own| own.of(call.view(), call.client()));
    if let Some(own) = own {
        call.view = Some(own);
    }
}

/// Refuses a client that needs a credential of its own where the call goes, and has none.
pub fn check(call: &Call) -> Result<(), Failure> {
    let server = call.view().single().or_else(|| call.routed.as_ref().map(|routed| &routed.server));
    match server {
        Some(server) if server.meets_nobody() => Err(needed(server)),
        _ => Ok(()),
    }
}

/// What such a client reads.
pub fn needed(server: &Server) -> Failure {
    let name = &server.settings.name;
    Failure::new(
        Kind::NoCredential,
        format!(
            "The server {name} is only for clients that have a credential of their own there, and this one has none. Nothing was done; ask the operator of this gate for one."
        ),
    )
}
