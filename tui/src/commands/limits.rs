//! `toolgate limits`: what bounds clients, what it has counted, and other values for a time.

use toolgate_admin_api::{Exit, LimitStatus, LimitsView, OverrideOutcome, OverrideRequest, RevertRequest, Shown};

use super::Context;
use crate::args::{LimitRevert, LimitSet, Limits};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Lists them, or changes one.
pub(super) async fn run(context: &Context, change: Option<Limits>) -> Result<Exit, Failure> {
    match change {
        None => list(context).await,
        Some(Limits::Set(set)) => self::set(context, set).await,
        Some(Limits::Revert(revert)) => self::revert(context, revert).await,
    }
}

async fn list(context: &Context) -> Result<Exit, Failure> {
    let answer = AdminClient::view(&context.runtime_dir).await?.get("/v1/limits").await?;
    if context.json {
        output::raw(answer.json());
        output::raw(b"\n");
        return Ok(Exit::Done);
    }
    let view: LimitsView = answer.read()?;
    if view.limits.is_empty() {
        output::line("There are no limits. toolgate.toml(5) has examples.");
        return Ok(Exit::Done);
    }
    let head = ["LIMIT", "PLACE", "PER", "CONFIGURED", "NOW", "USED", "KEYS", "REFUSED", "MOST"];
    let rows = view.limits.iter().map(row);
    let head = std::iter::once(head.map(String::from).to_vec());
    output::raw(output::table(&head.chain(rows).collect::<Vec<_>>()).as_bytes());
    Ok(Exit::Done)
}

fn row(limit: &LimitStatus) -> Vec<String> {
    let now = match &limit.set {
        Some(set) => format!("{} ({} left, {})", limit.effective, span(set.expires_in_seconds), set.who),
        None if limit.effective == limit.configured => "=".to_owned(),
        None => limit.effective.clone(),
    };
    let most = limit.top.first().map_or_else(String::new, |top| format!("{} ({})", top.key, top.rejected));
    let counted = if limit.counted == "cost" { " cost" } else { "" };
    let texts = [
        limit.name.clone(),
        limit.place.clone(),
        limit.per.clone(),
        format!("{}{counted}", limit.configured),
        now,
        format!("{}/{}", limit.used, limit.capacity),
        limit.keys.to_string(),
        limit.rejected.to_string(),
        most,
    ];
    texts.iter().map(|text| Shown(text).to_string()).collect()
}

async fn set(context: &Context, set: LimitSet) -> Result<Exit, Failure> {
    let LimitSet { name, value, seconds, burst, how } = set;
    let request = OverrideRequest { value, burst, seconds, dry_run: how.dry_run, reason: how.reason };
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let answer = client.put(&route(&name), &request).await?;
    told(context, &answer.read()?);
    Ok(Exit::Done)
}

async fn revert(context: &Context, revert: LimitRevert) -> Result<Exit, Failure> {
    let LimitRevert { name, how } = revert;
    let request = RevertRequest { dry_run: how.dry_run, reason: how.reason };
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let answer = client.delete(&route(&name), &request).await?;
    told(context, &answer.read()?);
    Ok(Exit::Done)
}

fn told(context: &Context, outcome: &OverrideOutcome) {
    if context.json {
        output::json(outcome);
    } else {
        output::line(&Shown(&sentence(outcome)).to_string());
    }
}

fn sentence(outcome: &OverrideOutcome) -> String {
    let OverrideOutcome { name, applied, before, after, expires_in_seconds } = outcome;
    let nothing = if *applied { "" } else { "Nothing was changed. " };
    let length = expires_in_seconds.map_or_else(String::new, |seconds| format!(" for {}", span(seconds)));
    format!("{nothing}{name}: {before} -> {after}{length}.")
}

/// A name in a path: what is not plainly a letter of one is `%` and two digits.
fn route(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let name: String = name
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("/v1/limits/{name}/override")
}

/// `1h30m`
fn span(seconds: u64) -> String {
    let parts = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}"));
    let text = parts.collect::<Vec<_>>().concat();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_did_and_what_it_would_do() {
        let mut outcome = OverrideOutcome {
            name: "free".into(),
            applied: true,
            before: "100/min".into(),
            after: "20/min".into(),
            expires_in_seconds: Some(5400),
        };
        assert_eq!(sentence(&outcome), "free: 100/min -> 20/min for 1h30m.");
        outcome.applied = false;
        outcome.expires_in_seconds = None;
        assert_eq!(sentence(&outcome), "Nothing was changed. free: 100/min -> 20/min.");
    }

    #[test]
    fn any_name_fits_into_a_path() {
        assert_eq!(route("tier.free.1"), "/v1/limits/tier.free.1/override");
        assert_eq!(route("a b/ü"), "/v1/limits/a%20b%2F%C3%BC/override");
    }
}
