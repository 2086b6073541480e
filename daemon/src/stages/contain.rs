//! A defect met by one call ends that call, with an answer, and leaves its connection and all others alone.

use std::future::Future;
use std::pin::Pin;

use crate::call::CallId;
use crate::failure::{Failure, Kind};
use crate::observe::panics::{self, Panicked};

/// The outcome of a call, or a failure where it panicked.
pub async fn contained<T>(
    call: CallId,
    outcome: Pin<&mut impl Future<Output = Result<T, Failure>>>,
) -> Result<T, Failure> {
    panics::caught(outcome).await.unwrap_or_else(|panicked| Err(report(call, panicked)))
}

/// Logs which call met a defect, and says so to its client.
pub fn report(call: CallId, _: Panicked) -> Failure {
    tracing::error!(id = %call, "this call ended by a defect of the gate; the line before says where");
    Failure::new(
        Kind::Internal,
        "The gate met a defect of its own. Whether the call had an effect is unknown; tell the gate's operator the call id.",
    )
}

/// Panics where a test's request says so.
#[cfg(test)]
pub fn rehearse(call: &crate::call::Call, place: &str) {
    assert!(call.headers.get("x-rehearse").is_none_or(|wanted| wanted != place), "a rehearsal in the {place}");
}
