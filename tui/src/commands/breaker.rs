//! `toolgate breaker`: circuit breakers opened, closed and reset by hand.

use toolgate_admin_api::{BreakerOutcome, BreakerRequest, BreakerState, Exit, Shown};

use super::{Context, change};
use crate::args::{Breaker, BreakerChange};
use crate::failure::Failure;
use crate::output;

/// Has the daemon do it.
pub(super) async fn run(context: &Context, breaker: Breaker) -> Result<Exit, Failure> {
    let (verb, asked) = match breaker {
        Breaker::Open(asked) => ("open", asked),
        Breaker::Close(asked) => ("close", asked),
        Breaker::Reset(asked) => ("reset", asked),
    };
    let BreakerChange { name, endpoint, how } = asked;
    if verb == "open" && !how.how.dry_run {
        change::confirmed(&how, &name, &format!("It would have the breaker of {name} refuse its calls."))?;
    }
    let how = how.how;
    let request = BreakerRequest { endpoint, dry_run: how.dry_run, reason: how.reason.clone() };
    let route = format!("/v1/breakers/{name}/{verb}");
    let outcome: BreakerOutcome = change::post(context, &route, &request, &how).await?;
    if context.json {
        output::json(&outcome);
    } else {
        output::line(&sentence(&outcome));
    }
    Ok(Exit::Done)
}

fn sentence(outcome: &BreakerOutcome) -> String {
    let name = Shown(&outcome.server).to_string();
    let before = |endpoint: &toolgate_admin_api::EndpointStatus| {
        endpoint.breaker.as_ref().map_or("not there", |breaker| breaker.state.word())
    };
    let before: Vec<_> = outcome.endpoints.iter().map(before).collect();
    let what = match outcome.state {
        BreakerState::ForcedOpen => "refuses all calls until it is closed or reset",
        BreakerState::ForcedClosed => "lets all calls through until it is opened or reset",
        _ => "lets calls through, and counts from here on",
    };
    let beginning = if outcome.applied { "" } else { "Nothing was changed. It would be: " };
    format!("{beginning}the breaker of {name} {what}; it was {}.", before.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_did_and_what_it_would_do() {
        let mut outcome = BreakerOutcome {
            server: "web".into(),
            applied: true,
            state: BreakerState::ForcedOpen,
            endpoints: Vec::new(),
        };
        assert!(sentence(&outcome).starts_with("the breaker of web refuses all calls"));
        (outcome.applied, outcome.state) = (false, BreakerState::Closed);
        assert!(sentence(&outcome).starts_with("Nothing was changed. It would be: the breaker of web lets calls"));
    }
}
