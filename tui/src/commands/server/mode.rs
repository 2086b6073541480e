//! `toolgate server drain`, `maintenance` and `resume`: which endpoints take calls.

use toolgate_admin_api::{EndpointMode, EndpointStatus, Exit, ModeOutcome, ModeRequest, Shown};

use crate::args::ModeChange;
use crate::client::admin::AdminClient;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output;

/// Has the daemon do it; `verb` is the end of the route.
pub(super) async fn run(context: &Context, verb: &str, change: ModeChange) -> Result<Exit, Failure> {
    let ModeChange { name, endpoint, deadline, dry_run, reason } = change;
    let deadline_ms = deadline.map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
    let request = ModeRequest { endpoint, deadline_ms, dry_run, reason };
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let answer = client.post(&format!("/v1/servers/{name}/{verb}"), &request, None).await?;
    let outcome: ModeOutcome = answer.read()?;
    if context.json {
        output::json(&outcome);
    } else {
        output::line(&sentence(&outcome));
    }
    Ok(Exit::Done)
}

fn sentence(outcome: &ModeOutcome) -> String {
    let name = Shown(&outcome.server).to_string();
    let all = |number: fn(&EndpointStatus) -> Option<u64>| outcome.endpoints.iter().filter_map(number).sum::<u64>();
    let (sessions, calls) = (all(|endpoint| endpoint.sessions), all(|endpoint| endpoint.in_flight));
    let count = outcome.endpoints.len();
    let beginning = if outcome.applied { "" } else { "Nothing was changed. It would be: " };
    let what = match outcome.mode {
        EndpointMode::Ready => "serve again",
        EndpointMode::Drain => "get nothing new",
        EndpointMode::Maintenance | EndpointMode::Unknown => "are in maintenance",
    };
    let end = match outcome.deadline_ms {
        Some(millis) => format!(" Sessions end in {}.", crate::commands::status::duration(millis.div_ceil(1000))),
        None => String::new(),
    };
    let left = if outcome.left == 0 { " The server takes no new calls." } else { "" };
    format!(
        "{beginning}{name}: {count} endpoint(s) {what}, with {sessions} sessions and {calls} calls in flight.{end}{left}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_goes_on_and_what_is_left() {
        let endpoint = EndpointStatus {
            url: Some("http://h/mcp".into()),
            mode: EndpointMode::Ready,
            trouble: None,
            weight: 1,
            in_flight: Some(3),
            sessions: Some(14),
            breaker: None,
            connections: None,
            last_check: None,
        };
        let mut outcome = ModeOutcome {
            server: "web".into(),
            applied: true,
            mode: EndpointMode::Maintenance,
            endpoints: vec![endpoint],
            left: 0,
            deadline_ms: Some(60_000),
        };
        assert_eq!(
            sentence(&outcome),
            "web: 1 endpoint(s) are in maintenance, with 14 sessions and 3 calls in flight. Sessions end in 1m 0s. \
             The server takes no new calls."
        );
        (outcome.applied, outcome.left) = (false, 1);
        assert!(sentence(&outcome).starts_with("Nothing was changed.") && !sentence(&outcome).contains("no new calls"));
    }
}
