//! `toolgate limits`: what bounds clients, what it has counted, and other values for a time.

use toolgate_admin_api::{
    Exit, Explained, LimitStatus, LimitsView, OverrideOutcome, OverrideRequest, RevertRequest, Shown, TemporaryLimit,
};

use super::Context;
use super::change::{self, segment, span};
use crate::args::{LimitAdd, LimitExplain, LimitRevert, LimitSet, Limits};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Lists them, or changes one.
pub(super) async fn run(context: &Context, change: Option<Limits>) -> Result<Exit, Failure> {
    match change {
        None => list(context).await,
        Some(Limits::Set(set)) => self::set(context, set).await,
        Some(Limits::Revert(revert)) => self::revert(context, revert).await,
        Some(Limits::Add(add)) => self::add(context, add).await,
        Some(Limits::Explain(explain)) => self::explain(context, explain).await,
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
    let LimitSet { name, value, seconds, burst, how: last } = set;
    let how = &last.how;
    if change::is_zero(&value) && !how.dry_run {
        change::confirmed(&last, &name, &format!("It would stop all calls that {name} bounds for {}.", span(seconds)))?;
    }
    let request = OverrideRequest { value, burst, seconds, dry_run: how.dry_run, reason: how.reason.clone() };
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let answer = client.put(&route(&name), &request, how.if_match).await?;
    told(context, &answer.read()?);
    Ok(Exit::Done)
}

async fn revert(context: &Context, revert: LimitRevert) -> Result<Exit, Failure> {
    let LimitRevert { name, how } = revert;
    let request = RevertRequest { dry_run: how.dry_run, reason: how.reason };
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let answer = client.delete(&route(&name), &request, how.if_match).await?;
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

fn route(name: &str) -> String {
    format!("/v1/limits/{}/override", segment(name))
}

async fn add(context: &Context, add: LimitAdd) -> Result<Exit, Failure> {
    let LimitAdd { value, client, tool, seconds, say, how: last } = add;
    let how = &last.how;
    if change::is_zero(&value) && !how.dry_run {
        let object = client.as_deref().or(tool.as_deref()).unwrap_or_default();
        change::confirmed(&last, object, &format!("It would stop the calls of {object} for {}.", span(seconds)))?;
    }
    let reason = how.reason.clone();
    let request = TemporaryLimit { client, tool, value, say, seconds, dry_run: how.dry_run, reason };
    let outcome: OverrideOutcome = change::post(context, "/v1/limits", &request, how).await?;
    told(context, &outcome);
    Ok(Exit::Done)
}

async fn explain(context: &Context, explain: LimitExplain) -> Result<Exit, Failure> {
    let LimitExplain { client, tool, listener } = explain;
    let listener = listener.map_or_else(String::new, |listener| format!("&listener={}", segment(&listener)));
    let route = format!("/v1/limits/explain?client={}&tool={}{listener}", segment(&client), segment(&tool));
    let answer = AdminClient::view(&context.runtime_dir).await?.get(&route).await?;
    if context.json {
        return Ok(change::raw(&answer));
    }
    let explained: Explained = answer.read()?;
    let rows = explained.limits.iter().map(|limit| {
        let resets = if limit.resets_in_ms == 0 { String::new() } else { span(limit.resets_in_ms.div_ceil(1000)) };
        let texts = [&limit.name, &limit.per, &limit.key, &limit.effective].map(Clone::clone);
        texts.into_iter().chain([limit.remaining.to_string(), resets, limit.origin.clone()]).collect()
    });
    let head = ["LIMIT", "PER", "KEY", "NOW", "LEFT", "ALL AGAIN IN", "FROM"];
    change::table(rows.collect(), &head, "Nothing bounds these calls.");
    if let Some(limit) = &explained.refuses {
        output::line(&format!("The next call is refused by {}.", Shown(limit)));
    }
    Ok(Exit::Done)
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
}
