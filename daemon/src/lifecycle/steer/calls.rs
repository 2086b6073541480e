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
        let calls = if dry_run { self.running(&whom) } else { self.stop_calls(&whom, stopped()) };
        let Some((_, stage)) = calls.first() else {
            let message = format!("No call {} runs; it may have ended.", api::Shown(id));
            return Err(api::ApiError::new(api::ErrorCode::NotFound, message)
                .remedy("`toolgate calls list` names those that run.")
                .field("path"));
        };
        Ok(api::CancelOutcome { id: id.to_owned(), applied: !dry_run, stage: stage.word().to_owned() })
    }
}

fn stopped() -> Failure {
    Failure::new(
        Kind::Stopped,
        "The operator of this gate has ended this call. Whether it had an effect is unknown; check before you repeat it.",
    )
    .retry_after(Duration::from_secs(1))
}
