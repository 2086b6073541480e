//! `toolgate audit`: who called and changed what, or tried to, and whether the log of it is whole.

mod row;
mod verify;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use toolgate_admin_api::{AuditLine, AuditLines, Exit};

use super::{Context, change};
use crate::args::{Audit, AuditSearch};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Between two looks for lines that came.
const PACE: Duration = Duration::from_secs(1);
/// Lines of one look.
const MOST: u64 = 1_000;

/// Runs one of them.
pub(super) async fn run(context: &Context, audit: Audit) -> Result<Exit, Failure> {
    match audit {
        Audit::Tail { lines, follow, kind } => tail(context, lines, follow, kind.as_deref()).await,
        Audit::Search(search) => {
            let mut client = AdminClient::control(&context.runtime_dir).await?;
            show(context, &lines(&mut client, &query(&search)?).await?);
            Ok(Exit::Done)
        }
        Audit::Verify { files, state_dir } => verify::run(context, &files, &state_dir).await,
    }
}

async fn tail(context: &Context, most: u64, follow: bool, kind: Option<&str>) -> Result<Exit, Failure> {
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let kind = kind.map_or_else(String::new, |kind| format!("&kind={}", change::segment(kind)));
    let newest = lines(&mut client, &format!("limit={most}{kind}")).await?;
    show(context, &newest);
    let mut after = newest.last().map_or(0, |line| line.number);
    if !follow {
        return Ok(Exit::Done);
    }
    loop {
        tokio::time::sleep(PACE).await;
        let fresh = lines(&mut client, &format!("after={after}&limit={MOST}{kind}")).await?;
        for line in &fresh {
            if context.json {
                output::json(line);
            } else {
                output::line(&row::text(line));
            }
        }
        after = fresh.last().map_or(after, |line| line.number);
    }
}

async fn lines(client: &mut AdminClient, query: &str) -> Result<Vec<AuditLine>, Failure> {
    let answer = client.get_slowly(&format!("/v1/audit/search?{query}")).await?;
    Ok(answer.read::<AuditLines>()?.lines)
}

fn show(context: &Context, lines: &[AuditLine]) {
    if context.json {
        // A line for each, as in the file.
        return lines.iter().for_each(output::json);
    }
    let rows = lines.iter().map(row::cells).collect();
    change::table(rows, &row::HEAD, "Nothing of that was recorded.");
}

fn query(search: &AuditSearch) -> Result<String, Failure> {
    let mut query = format!("limit={}", search.limit);
    let texts = [
        ("client", &search.client),
        ("server", &search.server),
        ("tool", &search.tool),
        ("outcome", &search.outcome),
        ("call", &search.call),
        ("kind", &search.kind),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            query.extend(["&", name, "=", &change::segment(text)]);
        }
    }
    if let Some(seconds) = search.since {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| Failure::local("The clock", error))?;
        let since = now.saturating_sub(Duration::from_secs(seconds)).as_millis();
        query.extend(["&since=", &since.to_string()]);
    }
    Ok(query)
}
