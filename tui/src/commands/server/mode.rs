//! `toolgate server drain`, `maintenance` and `resume`: which endpoints take calls.

use std::time::{Duration, Instant};

use toolgate_admin_api::{EndpointMode, EndpointStatus, Exit, ModeOutcome, ModeRequest, ServerStatus, Shown};

use crate::args::ModeChange;
use crate::client::admin::AdminClient;
use crate::commands::Context;
use crate::commands::change::confirmed;
use crate::failure::Failure;
use crate::output;

/// Has the daemon do it; `verb` is the end of the route.
pub(super) async fn run(context: &Context, verb: &str, change: ModeChange) -> Result<Exit, Failure> {
    let ModeChange { name, endpoint, deadline, wait, how: last } = change;
    let deadline_ms = deadline.map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
    let how = &last.how;
    let request = ModeRequest { endpoint, deadline_ms, dry_run: how.dry_run, reason: how.reason.clone() };
    let route = format!("/v1/servers/{name}/{verb}");
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    if verb != "resume" && !how.dry_run {
        let rehearsal = ModeRequest { dry_run: true, ..request.clone() };
        let outcome: ModeOutcome = client.post(&route, &rehearsal, how.if_match).await?.read()?;
        if outcome.left == 0 {
            confirmed(&last, &name, sentence(&outcome).trim_start_matches("Nothing was changed. "))?;
        }
    }
    let answer = client.post(&route, &request, how.if_match).await?;
    let outcome: ModeOutcome = answer.read()?;
    if context.json {
        output::json(&outcome);
    } else {
        output::line(&sentence(&outcome));
    }
    if wait && outcome.applied && outcome.mode != EndpointMode::Ready {
        let left = until_empty(&mut client, &name, request.endpoint.as_deref(), deadline).await?;
        if left > 0 {
            let message = format!("{left} calls and sessions are still at {name}.");
            return Err(
                Failure::new(Exit::Degraded, message).remedy("`toolgate calls list` and `sessions list` name them.")
            );
        }
    }
    Ok(Exit::Done)
}

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// How long to wait behind a deadline, or where there is none.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until neither calls nor sessions are left at the endpoints; gives back how many are when the time is over.
async fn until_empty(
    client: &mut AdminClient,
    name: &str,
    endpoint: Option<&str>,
    deadline: Option<Duration>,
) -> Result<u64, Failure> {
    let until = Instant::now() + deadline.unwrap_or_default() + PATIENCE;
    loop {
        let server: ServerStatus = client.get(&format!("/v1/servers/{name}")).await?.read()?;
        let ours = |at: &&EndpointStatus| endpoint.is_none() || at.url.as_deref() == endpoint;
        let left: u64 = server
            .endpoints
            .iter()
            .filter(ours)
            .map(|at| at.in_flight.unwrap_or(server.in_flight) + at.sessions.unwrap_or(0))
            .sum();
        if left == 0 || Instant::now() >= until {
            return Ok(left);
        }
        tokio::time::sleep(LOOK).await;
    }
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
            by_hand: Vec::new(),
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
