//! `toolgate log`: the level of the daemon's log, for a time.

use toolgate_admin_api::{Exit, LogOutcome, LogRequest};

use super::{Context, change};
use crate::args::Log;
use crate::client::admin::AdminClient;
use crate::failure::Failure;

/// Has the daemon do it.
pub(super) async fn run(context: &Context, log: Log) -> Result<Exit, Failure> {
    let Log::Set { level, seconds, how } = log;
    let request = LogRequest { level, seconds, dry_run: how.dry_run, reason: how.reason.clone() };
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let outcome: LogOutcome = client.put("/v1/log", &request, how.if_match).await?.read()?;
    let LogOutcome { applied, level, before, expires_in_seconds } = &outcome;
    let length = expires_in_seconds
        .map_or_else(|| "until the next reload".to_owned(), |seconds| format!("for {}", change::span(seconds)));
    let text = format!("{}{before} -> {level} {length}, and not across a restart.", change::rehearsed(*applied));
    Ok(change::tell(context, &outcome, &text))
}
