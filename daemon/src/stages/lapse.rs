//! How a stream ends whose token or certificate has ended: within a second, whatever it carries.
//!
//! `lifecycle/lapse.rs` notices it. A call whose answer has not begun is answered: it was let in while its credential was
//! good, and a client that is answered 401 makes the call again by itself, which might then have run twice.

use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::relay::driven;
use crate::running::Lapsed;
use crate::stages::certified;

/// What a stream ends with that owes its client an answer.
#[must_use]
pub fn failure(lapsed: Lapsed) -> Failure {
    match lapsed {
        Lapsed::Token => {
            let text = "The token that this stream was opened with has expired. Come with a newer one.";
            Failure::new(Kind::CredentialRefused, format!("{text} {}", certified::UNKNOWN))
        }
        Lapsed::Certificate => certified::lapsed(),
    }
}

/// Whether the client finds the rest of the call's stream again: it has the id of an event, and the call goes on.
#[must_use]
pub fn is_found_again(call: &Call) -> bool {
    let hosted = call.session.as_ref().and_then(|(session, _)| session.hosted());
    !call.is_part && hosted.is_some_and(|hosted| driven::primes(hosted.revision))
}
