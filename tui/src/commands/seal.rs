//! `toolgate seal`: which keys seal and open, and a fresh one.

use toolgate_admin_api::{Exit, SealKeyRow, SealKeys, SealRotate, SealRotation};

use super::{Context, change, history};
use crate::args::Seal;
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Does what was asked.
pub(super) async fn run(context: &Context, seal: Seal) -> Result<Exit, Failure> {
    let (alone, how) = match seal {
        Seal::Show => return show(context).await,
        Seal::Rotate { alone, how } => (alone, how),
    };
    if alone && !how.how.dry_run {
        let told = "No older key would open any more: lists that are being read and calls that wait for their client \
                    would have to begin anew.";
        change::confirmed(&how, "seal", told)?;
    }
    let request = SealRotate { alone, dry_run: how.how.dry_run, reason: how.how.reason.clone() };
    let outcome: SealRotation = change::post(context, "/v1/seal/rotate", &request, &how.how).await?;
    let after = if outcome.applied { outcome.after.as_str() } else { "a fresh key" };
    let until = outcome
        .opens_until_ms
        .map_or_else(|| "opens no more".to_owned(), |until| format!("opens until {}", history::time(until)));
    let text = format!("{}{} -> {after}; the one before {until}.", change::rehearsed(outcome.applied), outcome.before);
    Ok(change::tell(context, &outcome, &text))
}

async fn show(context: &Context) -> Result<Exit, Failure> {
    let answer = AdminClient::view(&context.runtime_dir).await?.get("/v1/seal").await?;
    if context.json {
        return Ok(change::raw(&answer));
    }
    let keys: SealKeys = answer.read()?;
    change::table(
        keys.keys.iter().map(row).collect(),
        &["KEY", "DOES", "FROM", "MADE", "OPENS UNTIL"],
        "There is no key.",
    );
    if !keys.kept && keys.keys.iter().any(|key| !key.configured) {
        output::line("The gate's own keys end with the process: it has no state folder, or cannot write there.");
    }
    Ok(Exit::Done)
}

fn row(key: &SealKeyRow) -> Vec<String> {
    vec![
        key.id.clone(),
        if key.seals { "seals" } else { "opens" }.to_owned(),
        if key.configured { "configuration" } else { "gate" }.to_owned(),
        history::time(key.made_at_ms),
        key.opens_until_ms.map_or_else(|| "-".to_owned(), history::time),
    ]
}
