//! `toolgate key`: keys that the daemon keeps, and such as stand in the files.

mod import;
mod offline;
mod rows;

use toolgate_admin_api::{
    Change, Exit, KeyMade, KeyOutcome, KeyRequest, KeyRow, KeyState, Keys, KeysOutcome, RotateRequest, SuspendRequest,
};

use super::change::{self, rehearsed, segment};
use super::{Context, history};
use crate::args::{How, Key, KeyAdopt, KeyCreate, KeyList, KeyRotate, KeySuspend};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Runs one of them.
pub(super) async fn run(context: &Context, key: Key) -> Result<Exit, Failure> {
    match key {
        Key::Create(create) if create.offline || create.write => offline::create(context, &create).await,
        Key::Create(create) => self::create(context, &create).await,
        Key::List(list) => self::list(context, &list).await,
        Key::Show { key } => show(context, &key).await,
        Key::Rotate(rotate) => self::rotate(context, &rotate).await,
        Key::Suspend(suspend) => self::suspend(context, suspend).await,
        Key::Resume { key, how } => {
            let outcome: KeyOutcome = change::post(context, &route(&key, "resume"), &plain(&how), &how).await?;
            let text = format!("{}The key {key} may call again.", rehearsed(outcome.applied));
            Ok(change::tell(context, &outcome, &text))
        }
        Key::Revoke { key, how } => {
            let route = route(&key, "revoke");
            let mut request = Change { dry_run: true, ..plain(&how.how) };
            let would: KeyOutcome = change::post(context, &route, &request, &how.how).await?;
            if how.how.dry_run {
                return Ok(change::tell(context, &would, &sentence(&would)));
            }
            change::confirmed(&how, &key, &sentence(&would)["Nothing was changed. ".len()..])?;
            request.dry_run = false;
            let outcome: KeyOutcome = change::post(context, &route, &request, &how.how).await?;
            Ok(change::tell(context, &outcome, &sentence(&outcome)))
        }
        Key::Import(import) => import::run(context, &import).await,
        Key::Adopt(adopt) => self::adopt(context, &adopt).await,
    }
}

/// Has the daemon make a key; where none runs, it is made for the files.
async fn create(context: &Context, create: &KeyCreate) -> Result<Exit, Failure> {
    let mut client = match AdminClient::control(&context.runtime_dir).await {
        Ok(client) => client,
        Err(failure) if failure.exit == Exit::Unreachable && create.networks.is_empty() && create.expires.is_none() => {
            if !context.json {
                output::line("No daemon runs here, so the key is made for the files of the configuration.\n");
            }
            return offline::create(context, create).await;
        }
        Err(failure) => return Err(failure),
    };
    let request = KeyRequest {
        owner: create.owner.clone(),
        organisation: create.org.clone(),
        tier: create.tier.clone(),
        roles: create.roles.clone(),
        scopes: create.scopes.clone(),
        networks: create.networks.clone(),
        expires_seconds: create.expires,
        dry_run: create.edit.dry_run,
        reason: create.reason.clone(),
    };
    let answer = client.post("/v1/keys", &request, create.if_match).await?;
    let made: KeyMade = answer.read()?;
    let said = format!("The key, which is shown only now; give it to {}:", create.owner);
    let done = told(context, &made, &said);
    if !context.json && create.scopes.is_empty() && create.roles.is_empty() && create.org.is_none() {
        eprintln!("It opens whatever the servers offer; --scope and --role narrow that.");
    }
    Ok(done)
}

async fn list(context: &Context, list: &KeyList) -> Result<Exit, Failure> {
    let mut query = format!("?limit={}", list.limit);
    for (name, value) in [("filter", &list.filter), ("after", &list.after)] {
        if let Some(value) = value {
            query.extend(["&", name, "=", &segment(value)]);
        }
    }
    let answer = AdminClient::view(&context.runtime_dir).await?.get(&format!("/v1/keys{query}")).await?;
    if context.json {
        return Ok(change::raw(&answer));
    }
    let Keys { keys, next, .. } = answer.read()?;
    change::table(keys.iter().map(rows::row).collect(), &rows::HEAD, "There are no such keys.");
    if let Some(next) = next {
        output::line(&format!("\nMore with --after {}", output::shell_word(&next)));
    }
    Ok(Exit::Done)
}

async fn show(context: &Context, key: &str) -> Result<Exit, Failure> {
    let route = format!("/v1/keys/{}", segment(key));
    let answer = AdminClient::view(&context.runtime_dir).await?.get(&route).await?;
    if context.json {
        return Ok(change::raw(&answer));
    }
    let row: KeyRow = answer.read()?;
    output::raw(output::table(&rows::lines(&row)).as_bytes());
    Ok(Exit::Done)
}

async fn rotate(context: &Context, rotate: &KeyRotate) -> Result<Exit, Failure> {
    let KeyRotate { key, overlap, how } = rotate;
    let request = RotateRequest { overlap_seconds: *overlap, dry_run: how.dry_run, reason: how.reason.clone() };
    let made: KeyMade = change::post(context, &route(key, "rotate"), &request, how).await?;
    let before = match made.after.overlap_until_ms {
        Some(until) => format!("the secret before opens until {}", history::time(until)),
        None => "the secret before opens no more".to_owned(),
    };
    Ok(told(context, &made, &format!("The key with its new secret, which is shown only now; {before}:")))
}

async fn suspend(context: &Context, suspend: KeySuspend) -> Result<Exit, Failure> {
    let KeySuspend { key, say, seconds, how } = suspend;
    let request = SuspendRequest { say, seconds, dry_run: how.dry_run, reason: how.reason.clone() };
    let outcome: KeyOutcome = change::post(context, &route(&key, "suspend"), &request, &how).await?;
    Ok(change::tell(context, &outcome, &sentence(&outcome)))
}

async fn adopt(context: &Context, adopt: &KeyAdopt) -> Result<Exit, Failure> {
    let route = adopt.key.as_deref().map_or_else(|| "/v1/keys/adopt".to_owned(), |key| route(key, "adopt"));
    let outcome: KeysOutcome = change::post(context, &route, &plain(&adopt.how), &adopt.how).await?;
    let (has, then) = match (outcome.added, outcome.applied) {
        (0, _) => return Ok(change::tell(context, &outcome, "The store has all keys of the files already.")),
        (_, true) => {
            ("has", " Take their lines out of the files, then `toolgate config reload`: until then these hold.")
        }
        (_, false) => ("would have", ""),
    };
    let text = format!(
        "{}The store {has} {} more: {}.{then}",
        rehearsed(outcome.applied),
        count(outcome.added),
        named(&outcome)
    );
    Ok(change::tell(context, &outcome, &text))
}

/// `1 key`, `7 keys`
fn count(keys: u64) -> String {
    if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") }
}

/// The first ids of an outcome.
fn named(outcome: &KeysOutcome) -> String {
    let more = if outcome.added > outcome.ids.len() as u64 { ", …" } else { "" };
    format!("{}{more}", outcome.ids.join(", "))
}

fn route(key: &str, verb: &str) -> String {
    format!("/v1/keys/{}/{verb}", segment(key))
}

fn plain(how: &How) -> Change {
    Change { dry_run: how.dry_run, reason: how.reason.clone() }
}

/// Prints a key that has a secret now, or what it would be.
fn told(context: &Context, made: &KeyMade, said: &str) -> Exit {
    if context.json {
        output::json(made);
        return Exit::Done;
    }
    match &made.key {
        Some(key) => output::line(&format!("{}\n\n{key}\n", output::printable(said))),
        None => output::line("Nothing was changed. It would be such a key:\n"),
    }
    output::raw(output::table(&rows::lines(&made.after)).as_bytes());
    Exit::Done
}

fn sentence(outcome: &KeyOutcome) -> String {
    let KeyOutcome { id, applied, after, sessions, calls, queued, grants, .. } = outcome;
    let (is, ended) = if *applied { ("is", "have ended") } else { ("would be", "would end") };
    let for_good = if *after == KeyState::Revoked { " for good" } else { "" };
    let forgotten = match (grants, applied) {
        (0, _) => String::new(),
        (_, true) => format!(" What users allowed it at {grants} servers is forgotten."),
        (_, false) => format!(" What users allowed it at {grants} servers would be forgotten."),
    };
    format!(
        "{}The key {id} {is} {after}{for_good}; {sessions} sessions and {calls} calls, of which {queued} waited, {ended}.{forgotten}",
        rehearsed(*applied)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_did_and_what_it_would_do() {
        let mut outcome = KeyOutcome {
            id: "ann1".into(),
            applied: true,
            after: KeyState::Revoked,
            sessions: 1,
            calls: 3,
            queued: 2,
            ..KeyOutcome::default()
        };
        let said = "The key ann1 is revoked for good; 1 sessions and 3 calls, of which 2 waited, have ended.";
        assert_eq!(sentence(&outcome), said);
        outcome.grants = 2;
        assert_eq!(sentence(&outcome), format!("{said} What users allowed it at 2 servers is forgotten."));
        (outcome.applied, outcome.after) = (false, KeyState::Suspended);
        assert!(sentence(&outcome).starts_with("Nothing was changed. The key ann1 would be suspended; 1 sessions"));
    }
}
