//! `toolgate server weight` and `check`: one endpoint's share of calls, and whether it answers now.

use toolgate_admin_api::{CheckRequest, ChecksOutcome, EndpointStatus, Exit, WeightOutcome, WeightRequest};

use super::super::change;
use crate::args::{Final, How};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output;

/// Gives an endpoint another weight.
pub(super) async fn weigh(
    context: &Context,
    name: &str,
    (endpoint, weight): (String, u32),
    last: &Final,
) -> Result<Exit, Failure> {
    let how = &last.how;
    if weight == 0 && !how.dry_run {
        change::confirmed(last, name, &format!("It would give {endpoint} calls only where no other is."))?;
    }
    let request = WeightRequest { endpoint, weight, dry_run: how.dry_run, reason: how.reason.clone() };
    let outcome: WeightOutcome = change::post(context, &format!("/v1/servers/{name}/weight"), &request, how).await?;
    let WeightOutcome { endpoint, applied, before, weight, .. } = &outcome;
    let text = format!(
        "{}{endpoint}: weight {before} -> {weight}, until the files give it another one or this is set back.",
        change::rehearsed(*applied)
    );
    Ok(change::tell(context, &outcome, &text))
}

/// Checks endpoints now.
pub(super) async fn check(context: &Context, name: &str, endpoint: Option<String>, how: &How) -> Result<Exit, Failure> {
    let request = CheckRequest { endpoint, dry_run: how.dry_run, reason: how.reason.clone() };
    let route = format!("/v1/servers/{name}/check");
    let outcome: ChecksOutcome = change::post(context, &route, &request, how).await?;
    let fails = |endpoint: &EndpointStatus| endpoint.last_check.as_ref().is_some_and(|check| check.problem.is_some());
    let exit = if outcome.applied && outcome.checked.iter().any(fails) { Exit::Degraded } else { Exit::Done };
    if context.json {
        output::json(&outcome);
        return Ok(exit);
    }
    for endpoint in &outcome.checked {
        let told = match (&endpoint.url, outcome.applied) {
            (Some(url), false) => format!("{}{url} is checked.", change::rehearsed(false)),
            _ => found(endpoint),
        };
        output::line(&output::printable(&told));
    }
    Ok(exit)
}

fn found(endpoint: &EndpointStatus) -> String {
    let url = endpoint.url.as_deref().unwrap_or("its endpoint");
    match &endpoint.last_check {
        None => format!("{url} was not checked: it is in maintenance."),
        Some(check) => match &check.problem {
            None => format!("{url} answers, after {} ms.", check.took_ms),
            Some(problem) => format!("{url} {problem}."),
        },
    }
}
