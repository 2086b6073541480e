//! `toolgate server restart`: other instances for a server.

use toolgate_admin_api::{Exit, RestartOutcome, RestartRequest};

use crate::args::ServerRestart;
use crate::commands::{Context, change};
use crate::failure::Failure;
use crate::output;

/// Has the daemon replace them.
pub(super) async fn run(context: &Context, restart: ServerRestart) -> Result<Exit, Failure> {
    let ServerRestart { name, rolling, how } = restart;
    let asked = RestartRequest { rolling, dry_run: how.how.dry_run, reason: how.how.reason.clone() };
    let route = format!("/v1/servers/{name}/restart");
    if !rolling && !asked.dry_run && how.confirm.as_deref() != Some(&name) {
        let rehearsal = RestartRequest { dry_run: true, ..asked.clone() };
        let would: RestartOutcome = change::post(context, &route, &rehearsal, &how.how).await?;
        // Where none runs, as of a server whose instances crash, there is nothing to confirm.
        if would.ended + would.leaving > 0 {
            change::confirmed(&how, &name, &would_end(&would))?;
        }
    }
    let outcome: RestartOutcome = change::post(context, &route, &asked, &how.how).await?;
    if context.json {
        output::json(&outcome);
    } else {
        output::line(&sentence(&outcome));
    }
    Ok(Exit::Done)
}

fn would_end(outcome: &RestartOutcome) -> String {
    let instances = outcome.ended + outcome.leaving;
    format!("It would end all {instances} instances of {} at once, with the calls that they have.", outcome.server)
}

fn sentence(outcome: &RestartOutcome) -> String {
    let RestartOutcome { server, applied, ended, leaving } = outcome;
    let done = if *applied { "" } else { "Nothing was changed. Of " };
    match (ended, leaving) {
        (0, 0) => format!("{server} runs no instance; the next call starts one."),
        _ => format!("{done}{server}: {ended} end at once, {leaving} when nothing is in flight with them."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_did_and_what_it_would_do() {
        let mut outcome = RestartOutcome { server: "files".into(), applied: true, ended: 0, leaving: 0 };
        assert!(sentence(&outcome).contains("no instance"));
        outcome.leaving = 2;
        assert_eq!(sentence(&outcome), "files: 0 end at once, 2 when nothing is in flight with them.");
        outcome.applied = false;
        assert!(sentence(&outcome).starts_with("Nothing was changed."));
    }
}
