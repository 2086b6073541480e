//! `toolgate alerts`: what an operator should look at, and that somebody has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use toolgate_admin_api::{Alert, AlertOutcome, Change, Exit, Health, Shown, SilenceRequest};

use super::{Context, status};
use crate::args::{AlertAck, AlertSilence, Alerts};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Lists them, or changes one.
pub(super) async fn run(context: &Context, change: Option<Alerts>) -> Result<Exit, Failure> {
    match change {
        None => list(context).await,
        Some(Alerts::Ack(ack)) => self::ack(context, ack).await,
        Some(Alerts::Silence(silence)) => self::silence(context, silence).await,
    }
}

async fn list(context: &Context) -> Result<Exit, Failure> {
    let answer = AdminClient::view(&context.runtime_dir).await?.get("/v1/health").await?;
    let Health { alerts, .. } = answer.read()?;
    if context.json {
        output::json(&alerts);
        return Ok(Exit::Done);
    }
    if alerts.is_empty() {
        output::line("There are no alerts.");
        return Ok(Exit::Done);
    }
    output::raw(output::table(&rows(&alerts)).as_bytes());
    for alert in alerts.iter().filter(|alert| alert.recovered_ms.is_none()) {
        output::line(&format!("\n{}: {}\n  {}", Shown(&alert.id), Shown(&alert.message), Shown(&alert.remedy)));
    }
    Ok(Exit::Done)
}

/// The table, with its head.
pub(super) fn rows(alerts: &[Alert]) -> Vec<Vec<String>> {
    let head = ["ALERT", "SEVERITY", "SINCE", "TOLD", "STATE"].map(String::from).to_vec();
    let rows = alerts.iter().map(|alert| {
        vec![
            Shown(&alert.id).to_string(),
            Shown(&alert.severity).to_string(),
            format!("{} ago", status::duration(now_ms().saturating_sub(alert.since_ms) / 1000)),
            alert.told.to_string(),
            Shown(&state(alert)).to_string(),
        ]
    });
    std::iter::once(head).chain(rows).collect()
}

fn state(alert: &Alert) -> String {
    let now = now_ms();
    if let Some(over) = alert.recovered_ms {
        return format!("over for {}", status::duration(now.saturating_sub(over) / 1000));
    }
    if let Some(until) = alert.silenced_until_ms.filter(|until| *until > now) {
        return format!("silenced for {}", status::duration((until - now).div_ceil(1000)));
    }
    alert.acknowledged.as_ref().map_or_else(|| "fires".to_owned(), |who| format!("seen by {who}"))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

async fn ack(context: &Context, ack: AlertAck) -> Result<Exit, Failure> {
    let request = Change { dry_run: ack.how.dry_run, reason: ack.how.reason };
    change(context, &route(&ack.id, "acknowledge"), &request, ack.how.if_match).await
}

async fn silence(context: &Context, silence: AlertSilence) -> Result<Exit, Failure> {
    let AlertSilence { id, seconds, how } = silence;
    let request = SilenceRequest { seconds, dry_run: how.dry_run, reason: how.reason };
    change(context, &route(&id, "silence"), &request, how.if_match).await
}

async fn change(
    context: &Context,
    route: &str,
    request: &impl serde::Serialize,
    if_match: Option<u64>,
) -> Result<Exit, Failure> {
    let answer = AdminClient::control(&context.runtime_dir).await?.post(route, request, if_match).await?;
    let outcome: AlertOutcome = answer.read()?;
    if context.json {
        output::json(&outcome);
        return Ok(Exit::Done);
    }
    let nothing = if outcome.applied { "" } else { "Nothing was changed. " };
    output::line(&format!("{nothing}{}: {}.", Shown(&outcome.alert.id), Shown(&state(&outcome.alert))));
    Ok(Exit::Done)
}

/// An id may hold the path of a file: what a path cannot have is escaped.
fn route(id: &str, verb: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    let escaped: String = id
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect();
    format!("/v1/alerts/{escaped}/{verb}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_fits_into_a_path() {
        assert_eq!(route("cpu", "silence"), "/v1/alerts/cpu/silence");
        assert_eq!(route("a:/b c", "acknowledge"), "/v1/alerts/a:%2fb%20c/acknowledge");
    }

    #[test]
    fn a_silence_that_has_ended_is_none() {
        let alert = |until| Alert { silenced_until_ms: Some(until), ..Alert::default() };
        assert_eq!(state(&alert(1)), "fires");
        assert!(state(&alert(now_ms() + 60_000)).starts_with("silenced for"));
    }
}
