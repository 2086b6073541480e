//! What a call is told that no endpoint takes.

use std::time::Duration;

use super::Endpoint;
use super::standing::Away;
use crate::failure::{Failure, Kind};
use crate::servers::Server;

/// When to ask again where nobody knows.
const UNKNOWN: Duration = Duration::from_secs(30);

/// The breaker of the only endpoint that the call could go to is open.
pub(super) fn broken(server: &Server, endpoint: &Endpoint, millis: Option<u64>) -> Failure {
    let wait = millis.map_or(UNKNOWN, Duration::from_millis);
    let name = &server.settings.name;
    let text = format!(
        "The server {name} has failed too often, and gets no calls for a while. Nothing was done; try again in {} s.",
        wait.as_secs_f64().ceil()
    );
    let cause = endpoint.glance().cause.map_or_else(|| "its breaker is open".to_owned(), |cause| cause.to_string());
    Failure::new(Kind::BreakerOpen, text).retry_after(wait).because(cause)
}

/// Operator or checks keep calls from the only endpoint that it could go to.
pub(super) fn standing(server: &Server, endpoint: &Endpoint, away: Away) -> Failure {
    let name = &server.settings.name;
    let what = match away {
        Away::Broken => "gets no calls: its operator has opened its breaker by hand",
        Away::Drained => "takes nothing new: its operator drains it",
        Away::Maintained => "is in maintenance",
        Away::Unfit => "does not answer",
    };
    let wait = match (away, &server.endpoints.settings().health) {
        (Away::Unfit, Some(health)) => health.interval,
        _ => UNKNOWN,
    };
    let kind = if away == Away::Broken { Kind::BreakerOpen } else { Kind::ServerUnavailable };
    Failure::new(kind, format!("The server {name} {what}. Nothing was done; try again later."))
        .retry_after(wait)
        .because(&endpoint.label)
}

/// No endpoint of several takes it: the one that may take calls first says when.
pub(super) fn of_all(server: &Server, now: u64) -> Failure {
    let soonest = server.endpoints.each().iter().filter(|endpoint| endpoint.standing.allows(false).is_ok());
    // One that takes calls by now was the other calls' probe a moment ago.
    let again = |endpoint: &Endpoint| endpoint.breaker.would_admit(now).err().unwrap_or(Some(0));
    let soonest = soonest.map(|endpoint| (endpoint, again(endpoint)));
    if let Some((endpoint, millis)) = soonest.min_by_key(|(_, millis)| millis.unwrap_or(u64::MAX)) {
        return broken(server, endpoint, millis);
    }
    let endpoint = server.endpoints.get(0);
    standing(server, endpoint, endpoint.standing.allows(false).err().unwrap_or(Away::Unfit))
}
