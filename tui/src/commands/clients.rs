//! `toolgate clients`: who calls, and who may not for now.

use toolgate_admin_api::{Change, ClientOutcome, ClientRow, Exit, SuspendRequest};

use super::{Context, change};
use crate::args::{ClientSuspend, Clients};
use crate::client::admin::AdminClient;
use crate::failure::Failure;

/// Runs one of them.
pub(super) async fn run(context: &Context, clients: Clients) -> Result<Exit, Failure> {
    match clients {
        Clients::List(rows) => {
            let mut client = AdminClient::view(&context.runtime_dir).await?;
            let answer = client.get(&format!("/v1/clients{}", change::query(&rows))).await?;
            if context.json {
                return Ok(change::raw(&answer));
            }
            let clients: toolgate_admin_api::Clients = answer.read()?;
            let rows = clients.clients.iter().map(row).collect();
            let head = [
                "CLIENT",
                "OWNER",
                "ORGANISATION",
                "TIER",
                "SESSIONS",
                "WAITING",
                "CALLS",
                "ERRORS",
                "REFUSED",
                "BUSIEST",
                "STATE",
            ];
            change::table(rows, &head, "Nobody has called yet, and there are no keys.");
            Ok(Exit::Done)
        }
        Clients::Suspend(suspend) => self::suspend(context, suspend).await,
        Clients::Resume { client, how } => {
            let request = Change { dry_run: how.dry_run, reason: how.reason.clone() };
            let route = format!("/v1/clients/{}/resume", change::segment(&client));
            let outcome: ClientOutcome = change::post(context, &route, &request, &how).await?;
            let text = format!("{}{} may call again.", change::rehearsed(outcome.applied), outcome.client);
            Ok(change::tell(context, &outcome, &text))
        }
    }
}

fn row(client: &ClientRow) -> Vec<String> {
    let busiest = client
        .busiest
        .as_ref()
        .map_or_else(String::new, |busiest| format!("{} ({}/min)", busiest.tool, busiest.calls_last_minute));
    let state =
        client.suspended.as_ref().map_or_else(String::new, |suspended| format!("suspended by {}", suspended.who));
    vec![
        client.id.clone(),
        client.owner.clone(),
        client.organisation.clone().unwrap_or_default(),
        client.tier.clone().unwrap_or_default(),
        client.sessions.to_string(),
        client.waiting.to_string(),
        client.traffic.calls.to_string(),
        client.traffic.errors.to_string(),
        client.traffic.refused.to_string(),
        busiest,
        state,
    ]
}

async fn suspend(context: &Context, suspend: ClientSuspend) -> Result<Exit, Failure> {
    let ClientSuspend { client, say, seconds, how: last } = suspend;
    let how = &last.how;
    let route = format!("/v1/clients/{}/suspend", change::segment(&client));
    let mut request = SuspendRequest { say, seconds, dry_run: true, reason: how.reason.clone() };
    let would: ClientOutcome = change::post(context, &route, &request, how).await?;
    if how.dry_run {
        return Ok(change::tell(context, &would, &sentence(&would)));
    }
    change::confirmed(&last, &client, &sentence(&would)["Nothing was changed. ".len()..])?;
    request.dry_run = false;
    let outcome: ClientOutcome = change::post(context, &route, &request, how).await?;
    Ok(change::tell(context, &outcome, &sentence(&outcome)))
}

fn sentence(outcome: &ClientOutcome) -> String {
    let ClientOutcome { client, applied, sessions, calls, queued, .. } = outcome;
    let (is, ended) = if *applied { ("is", "have ended") } else { ("would be", "would end") };
    format!(
        "{}{client} {is} suspended; {sessions} sessions and {calls} calls, of which {queued} waited, {ended}.",
        change::rehearsed(*applied)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_did_and_what_it_would_do() {
        let mut outcome = ClientOutcome {
            client: "key:ci".into(),
            applied: true,
            sessions: 1,
            calls: 3,
            queued: 2,
            ..ClientOutcome::default()
        };
        assert_eq!(sentence(&outcome), "key:ci is suspended; 1 sessions and 3 calls, of which 2 waited, have ended.");
        outcome.applied = false;
        assert!(sentence(&outcome).starts_with("Nothing was changed. key:ci would be"));
    }
}
