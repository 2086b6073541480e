//! Calls that an operator ends one by one.

use std::time::Duration;

use toolgate_admin_api as api;

use super::super::daemon::Daemon;
use crate::failure::{Failure, Kind};
use crate::running::Whom;

impl Daemon {
    /// Ends the call of this id.
    pub(super) fn cancel_call(&self, id: &str, dry_run: bool) -> Result<api::CancelOutcome, api::ApiError> {
        let whom = Whom::Call(id.to_owned());
        let found = if dry_run { self.running(&whom) } else { self.stop_calls(&whom, stopped()) };
        let Some((_, stage)) = found.calls.first() else {
            if !found.complete {
                return Err(unconfirmed(id, dry_run));
            }
            let message = format!("No call {} runs; it may have ended.", api::Shown(id));
            return Err(api::ApiError::new(api::ErrorCode::NotFound, message)
                .remedy("`toolgate calls list` names those that run.")
                .field("path"));
        };
        Ok(api::CancelOutcome { id: id.to_owned(), applied: !dry_run, stage: stage.word().to_owned() })
    }
}

/// Not every core answered, and none of those that did has the call.
fn unconfirmed(id: &str, dry_run: bool) -> api::ApiError {
    let shown = api::Shown(id);
    let message = if dry_run {
        format!("Whether the call {shown} runs is not known: a part of the gate is too busy to answer.")
    } else {
        format!("The end of the call {shown} is ordered, but not confirmed: a part of the gate is too busy to answer.")
    };
    api::ApiError::new(api::ErrorCode::Unavailable, message)
        .remedy(format!("`toolgate why {shown}` says what became of it; or try again in a second."))
}

fn stopped() -> Failure {
    Failure::new(
        Kind::Stopped,
        "The operator of this gate has ended this call. Whether it had an effect is unknown; check before you repeat it.",
    )
    .retry_after(Duration::from_secs(1))
}
