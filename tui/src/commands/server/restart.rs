//! `toolgate server restart`: other instances for a server.

use toolgate_admin_api::{Exit, RestartOutcome, RestartRequest};

use crate::args::ServerRestart;
use crate::client::admin::AdminClient;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output;

/// Has the daemon replace them.
pub(super) async fn run(context: &Context, restart: ServerRestart) -> Result<Exit, Failure> {
    let ServerRestart { name, rolling, dry_run, reason } = restart;
    let request = RestartRequest { rolling, dry_run, reason };
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let answer = client.post(&format!("/v1/servers/{name}/restart"), &request, None).await?;
    let outcome: RestartOutcome = answer.read()?;
    if context.json {
        output::json(&outcome);
    } else {
        output::line(&sentence(&outcome));
    }
    Ok(Exit::Done)
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
