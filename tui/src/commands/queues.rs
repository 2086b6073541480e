//! `toolgate queues`: who waits, other bounds for a time, and calls that are taken out.

use toolgate_admin_api::{Change, Exit, PurgeRequest, QueueOutcome, QueueOverride, QueueStatus};

use super::{Context, change};
use crate::args::{QueueSet, Queues};
use crate::client::admin::AdminClient;
use crate::failure::Failure;

/// Runs one of them.
pub(super) async fn run(context: &Context, queues: Queues) -> Result<Exit, Failure> {
    match queues {
        Queues::List => {
            let answer = AdminClient::view(&context.runtime_dir).await?.get("/v1/queues").await?;
            if context.json {
                return Ok(change::raw(&answer));
            }
            let queues: toolgate_admin_api::Queues = answer.read()?;
            let rows = queues.servers.iter().map(row).collect();
            let head = ["SERVER", "IN FLIGHT", "WAITING", "TIMEOUT", "OLDEST", "NEXT"];
            change::table(rows, &head, "There are no servers.");
            Ok(Exit::Done)
        }
        Queues::Purge { server, client, how: last } => {
            let how = &last.how;
            let route = format!("/v1/servers/{server}/queue/purge");
            let wide = client.is_none();
            let mut request = PurgeRequest { client, dry_run: true, reason: how.reason.clone() };
            if !how.dry_run {
                if wide {
                    let would: QueueOutcome = change::post(context, &route, &request, how).await?;
                    change::confirmed(&last, &server, &format!("It refuses {} calls that wait.", would.purged))?;
                }
                request.dry_run = false;
            }
            let outcome: QueueOutcome = change::post(context, &route, &request, how).await?;
            let what = if outcome.applied { "were taken" } else { "would be taken" };
            let text = format!(
                "{}{} calls {what} out of the queue of {server}.",
                change::rehearsed(outcome.applied),
                outcome.purged
            );
            Ok(change::tell(context, &outcome, &text))
        }
        Queues::Set(QueueSet { server, timeout_ms, max_size, seconds, how }) => {
            let request =
                QueueOverride { timeout_ms, max_size, seconds, dry_run: how.dry_run, reason: how.reason.clone() };
            let mut client = AdminClient::control(&context.runtime_dir).await?;
            let route = format!("/v1/servers/{server}/queue/override");
            let outcome: QueueOutcome = client.put(&route, &request, how.if_match).await?.read()?;
            Ok(change::tell(context, &outcome, &sentence(&outcome)))
        }
        Queues::Revert { server, how } => {
            let request = Change { dry_run: how.dry_run, reason: how.reason.clone() };
            let mut client = AdminClient::control(&context.runtime_dir).await?;
            let route = format!("/v1/servers/{server}/queue/override");
            let outcome: QueueOutcome = client.delete(&route, &request, how.if_match).await?.read()?;
            Ok(change::tell(context, &outcome, &sentence(&outcome)))
        }
    }
}

fn row(queue: &QueueStatus) -> Vec<String> {
    let next = queue.calls.first().map_or_else(String::new, |call| format!("{} ({} ms)", call.client, call.waited_ms));
    vec![
        queue.server.clone(),
        format!("{}/{}", queue.in_flight, queue.cap),
        format!("{}/{}", queue.waiting, queue.max_size),
        format!("{} ms", queue.timeout_ms),
        format!("{} ms", queue.oldest_ms),
        next,
    ]
}

fn sentence(outcome: &QueueOutcome) -> String {
    let QueueOutcome { server, applied, timeout_ms, max_size, expires_in_seconds, before, .. } = outcome;
    let length = expires_in_seconds.map_or_else(String::new, |seconds| format!(" for {}", change::span(seconds)));
    let before = before
        .as_ref()
        .map_or_else(String::new, |before| format!("{} ms, {} calls -> ", before.timeout_ms, before.max_size));
    format!("{}{server}: {before}{timeout_ms} ms, {max_size} calls{length}.", change::rehearsed(*applied))
}

#[cfg(test)]
mod tests {
    use toolgate_admin_api::QueueBounds;

    use super::*;

    #[test]
    fn it_says_what_it_did_and_what_it_would_do() {
        let mut outcome = QueueOutcome {
            server: "web".into(),
            applied: true,
            timeout_ms: 500,
            max_size: 10,
            expires_in_seconds: Some(600),
            before: Some(QueueBounds { timeout_ms: 5000, max_size: 1000 }),
            ..QueueOutcome::default()
        };
        assert_eq!(sentence(&outcome), "web: 5000 ms, 1000 calls -> 500 ms, 10 calls for 10m.");
        outcome.applied = false;
        assert!(sentence(&outcome).starts_with("Nothing was changed."));
    }
}
