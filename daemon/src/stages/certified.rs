//! A certificate that the client has shown is still good, whatever is asked for and whoever speaks through it.

use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::listen::certified::Unfit;

/// What is true of whatever ends before its time.
pub const UNKNOWN: &str = "Whether this call had an effect is unknown; check before you repeat it.";

/// Refuses a call whose connection has a certificate that is not good any more: one branch where it has none.
pub fn check(call: &Call) -> Result<(), Failure> {
    let Some(certified) = call.connection.certified() else { return Ok(()) };
    let checked = certified.check();
    call.mark.of_certified(call.connection.id, certified.ends_ms());
    checked.map_err(|unfit| refused(unfit, "Nothing was executed."))
}

/// The words for calls in flight of a connection whose certificate is not good any more.
#[must_use]
pub fn cut_short() -> Failure {
    refused(Unfit::Withdrawn, UNKNOWN)
}

/// The words for streams whose certificate has ended.
#[must_use]
pub fn lapsed() -> Failure {
    refused(Unfit::Ended, UNKNOWN)
}

fn refused(unfit: Unfit, what: &str) -> Failure {
    let why = match unfit {
        Unfit::Ended => "Your certificate has expired. Renew it and connect anew.",
        Unfit::Withdrawn => {
            "Your certificate is revoked, or no list says any more that it is not. Ask the operator of this gate."
        }
    };
    Failure::new(Kind::CertificateRefused, format!("{why} {what}"))
}
