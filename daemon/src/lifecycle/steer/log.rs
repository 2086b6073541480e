//! Another level of the log, until a time or the next reload.

use std::time::Duration;

use toolgate_admin_api as api;

use super::super::daemon::Daemon;
use super::{end_of, length};
use crate::clock;
use crate::config::settings::Log;
use crate::lock::lock;

/// A level that an operator set.
#[derive(Debug, Clone)]
pub(in super::super) struct LogByHand {
    level: String,
    /// In milliseconds since 1970; none: until the next reload.
    until_ms: Option<u64>,
}

impl Daemon {
    /// Sets the level.
    pub(super) fn set_level(&self, request: &api::LogRequest) -> Result<api::LogOutcome, api::ApiError> {
        let length = length(request.seconds)?;
        crate::observe::logging::check_level(&request.level).map_err(|help| {
            api::ApiError::new(api::ErrorCode::BadRequest, help)
                .remedy("Write it as `log.level` of the configuration is written.")
                .field("level")
        })?;
        let _turn = lock(&self.turn);
        let configured = self.gate.settings.load_full();
        let mut by_hand = lock(&self.log_by_hand);
        let before = by_hand.as_ref().map_or(&configured.log.level, |set| &set.level).clone();
        if !request.dry_run {
            let level = request.level.clone();
            self.logging.set(&Log { level: level.clone(), ..configured.log.clone() }).map_err(|problem| {
                api::ApiError::new(api::ErrorCode::Internal, format!("The level cannot be set: {problem}"))
            })?;
            *by_hand = Some(LogByHand { level, until_ms: length.map(end_of) });
        }
        Ok(api::LogOutcome {
            applied: !request.dry_run,
            level: request.level.clone(),
            before,
            expires_in_seconds: length.map(|length: Duration| length.as_secs()),
        })
    }

    /// What the log is to be under a configuration that is taken over: a level that was set for a time goes on.
    pub(in super::super) fn log_under(&self, configured: &Log) -> Log {
        let mut by_hand = lock(&self.log_by_hand);
        match by_hand.take_if(|set| set.until_ms.is_none_or(|until| until <= clock::unix_millis())) {
            Some(_) => configured.clone(),
            None => match &*by_hand {
                Some(set) => Log { level: set.level.clone(), ..configured.clone() },
                None => configured.clone(),
            },
        }
    }

    /// Goes back to the configured level where its time is over.
    pub(super) fn level_is_over(&self) {
        let over = |set: &mut LogByHand| set.until_ms.is_some_and(|until| until <= clock::unix_millis());
        if lock(&self.log_by_hand).take_if(over).is_some() {
            let configured = self.gate.settings.load_full();
            if let Err(problem) = self.logging.set(&configured.log) {
                tracing::error!("the level of the log cannot be set back: {problem}");
            }
        }
    }
}
