//! `toolgate grants`: what users allowed clients at servers.

use std::time::{SystemTime, UNIX_EPOCH};

use toolgate_admin_api::{Exit, GrantRow, GrantsView, RevokeOutcome, RevokeRequest};

use super::{Context, change, status};
use crate::args::{GrantRevoke, Grants};
use crate::client::admin::AdminClient;
use crate::failure::Failure;

/// Runs one of them.
pub(super) async fn run(context: &Context, grants: Grants) -> Result<Exit, Failure> {
    match grants {
        Grants::List => list(context).await,
        Grants::Revoke(revoke) => self::revoke(context, revoke).await,
    }
}

async fn list(context: &Context) -> Result<Exit, Failure> {
    let answer = AdminClient::view(&context.runtime_dir).await?.get("/v1/grants").await?;
    if context.json {
        return Ok(change::raw(&answer));
    }
    let grants: GrantsView = answer.read()?;
    let rows = grants.grants.iter().map(row).collect();
    change::table(rows, &["SERVER", "CLIENT", "OWNER", "SINCE", "RENEWED", "REFRESHES"], "No user allowed anything.");
    Ok(Exit::Done)
}

fn row(grant: &GrantRow) -> Vec<String> {
    vec![
        grant.server.clone(),
        grant.client.clone(),
        grant.owner.clone(),
        ago(grant.since_ms),
        ago(grant.renewed_ms),
        if grant.refreshes { "yes" } else { "no" }.to_owned(),
    ]
}

fn ago(at_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    format!("{} ago", status::duration(now.saturating_sub(at_ms) / 1000))
}

async fn revoke(context: &Context, revoke: GrantRevoke) -> Result<Exit, Failure> {
    let GrantRevoke { server, client, how: last } = revoke;
    let how = &last.how;
    let route = format!("/v1/servers/{server}/grants/revoke");
    let mut request = RevokeRequest { client: client.clone(), dry_run: true, reason: how.reason.clone() };
    let would: RevokeOutcome = change::post(context, &route, &request, how).await?;
    if how.dry_run {
        return Ok(change::tell(context, &would, &sentence(&would)));
    }
    change::confirmed(&last, &client, &sentence(&would)["Nothing was changed. ".len()..])?;
    request.dry_run = false;
    let outcome: RevokeOutcome = change::post(context, &route, &request, how).await?;
    Ok(change::tell(context, &outcome, &sentence(&outcome)))
}

fn sentence(outcome: &RevokeOutcome) -> String {
    let RevokeOutcome { server, client, applied } = outcome;
    let is = if *applied { "is" } else { "would be" };
    format!(
        "{}What a user allowed {client} at {server} {is} forgotten; its next call there asks the user anew.",
        change::rehearsed(*applied)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_did_and_what_it_would_do() {
        let mut outcome = RevokeOutcome { server: "crm".into(), client: "key:ana".into(), applied: true };
        assert!(sentence(&outcome).starts_with("What a user allowed key:ana at crm is forgotten;"));
        outcome.applied = false;
        assert!(sentence(&outcome).starts_with("Nothing was changed. What a user allowed"));
    }
}
