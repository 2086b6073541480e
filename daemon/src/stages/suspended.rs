//! A client that the operator lets do nothing: it reads the operator's words instead of an answer.
//!
//! Asked once the message is there, so that the words come in the form of the client's era, for the very request.

use crate::call::Call;
use crate::failure::Failure;

/// Refuses a call of a client that is suspended, by its key or by hand: one relaxed load while nobody is.
pub fn check(call: &Call) -> Result<(), Failure> {
    if let Some(suspension) = call.client().suspension.as_ref().filter(|suspension| suspension.is_on()) {
        return Err(suspension.failure());
    }
    let steering = &call.core.gate.steering;
    if !steering.clients.any() {
        return Ok(());
    }
    steering.clients.of(&call.client().id).map_or(Ok(()), |suspension| Err(suspension.failure()))
}
