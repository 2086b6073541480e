//! Limits as operators see them, and override them for a time.
//!
//! An override is a new policy of the same configuration, made in turn with reloads.

use std::sync::Arc;
use std::time::Duration;

use toolgate_admin_api as api;
use tracing::info;

use super::daemon::Daemon;
use crate::admin::{LimitOperations, Peer, audit};
use crate::clock;
use crate::limits::Limits;
use crate::limits::overrides::{Override, Unfit};
use crate::lock::lock;
use crate::steering::Value;

/// The longest that an override may hold: what is to stay belongs into the configuration.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

impl LimitOperations for Daemon {
    fn limits(&self) -> api::LimitsView {
        let policy = self.gate.policy.load_full();
        api::LimitsView { revision: policy.settings.revision, limits: policy.limits.report(clock::nanos()) }
    }

    fn override_limit(
        &self,
        peer: &Peer,
        name: &str,
        request: &api::OverrideRequest,
    ) -> Result<api::OverrideOutcome, api::ApiError> {
        let length = Duration::from_secs(request.seconds);
        if length.is_zero() || length > LONGEST {
            return Err(api::ApiError::new(api::ErrorCode::BadRequest, "An override needs an end.")
                .remedy("Say how long it holds, from one second to 30 days; what is to stay belongs into the files.")
                .field("seconds"));
        }
        let wanted = |limits: &Limits| limits.read_override(name, &request.value, request.burst);
        self.change_limit(name, request.dry_run, Some(length), |limits| {
            let measure = wanted(limits)?;
            let until = clock::nanos().saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
            if !request.dry_run {
                let (who, reason) = (audit::who(peer), request.reason.clone());
                info!(%who, reason = reason.as_deref().unwrap_or(""), limit = name, value = request.value, seconds = request.seconds, "a limit is overridden");
                let (value, burst) = (request.value.clone(), request.burst);
                let until_ms = clock::unix_millis().saturating_add(request.seconds.saturating_mul(1000));
                let kept = Value { value, burst, until_ms, who: who.clone(), reason: reason.clone() };
                self.gate.steering.change(|book| book.overrides.insert(name.to_owned(), kept));
                limits.set_override(name, Override { measure, until, who, reason });
            }
            Ok(crate::limits::text(measure))
        })
    }

    fn revert_limit(
        &self,
        peer: &Peer,
        name: &str,
        request: &api::RevertRequest,
    ) -> Result<api::OverrideOutcome, api::ApiError> {
        self.change_limit(name, request.dry_run, None, |limits| {
            if limits.is_temporary(name) {
                if !request.dry_run {
                    limits.end_temporary(name);
                    self.gate.steering.change(|book| book.limits.remove(name));
                }
                return Ok("-".to_owned());
            }
            if !request.dry_run && limits.revert_override(name).is_some() {
                self.gate.steering.change(|book| book.overrides.remove(name));
                let reason = request.reason.as_deref().unwrap_or("");
                info!(who = %peer, reason, limit = name, "an override of a limit is taken away");
            }
            limits.configured(name)
        })
    }
}

impl Daemon {
    /// Changes one limit's override; `change` answers what holds afterwards.
    fn change_limit(
        &self,
        name: &str,
        dry_run: bool,
        length: Option<Duration>,
        change: impl FnOnce(&Limits) -> Result<String, Unfit>,
    ) -> Result<api::OverrideOutcome, api::ApiError> {
        let _turn = lock(&self.turn);
        let policy = self.gate.policy.load_full();
        let unfit = |unfit| refused(name, unfit);
        let before = policy.limits.effective(name, clock::nanos()).map_err(unfit)?;
        let after = change(&policy.limits).map_err(unfit)?;
        if !dry_run {
            self.gate.policy.store(Arc::new(policy.with_limits_anew()));
        }
        let expires_in_seconds = length.map(|length| length.as_secs());
        Ok(api::OverrideOutcome { name: name.to_owned(), applied: !dry_run, before, after, expires_in_seconds })
    }
}

fn refused(name: &str, unfit: Unfit) -> api::ApiError {
    match unfit {
        Unfit::Unknown => api::ApiError::new(api::ErrorCode::NotFound, format!("There is no limit {name:?}."))
            .remedy("`toolgate limits` lists them."),
        Unfit::Ambiguous => {
            api::ApiError::new(api::ErrorCode::BadRequest, format!("Several limits are called {name:?}."))
                .remedy("Give each a `name` of its own in the configuration.")
        }
        Unfit::Value(help) => {
            api::ApiError::new(api::ErrorCode::BadRequest, format!("The limit {name:?} cannot have this value."))
                .remedy(format!("{}{}.", help[..1].to_uppercase(), &help[1..]))
                .field("value")
        }
    }
}
