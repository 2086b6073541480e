//! `toolgate cache`: answers that are kept, shown and forgotten.

use toolgate_admin_api::{Caches, ClearOutcome, ClearRequest, Exit};

use super::Context;
use crate::args::{Cache, How};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Runs one of them.
pub(super) async fn run(context: &Context, cache: Cache) -> Result<Exit, Failure> {
    match cache {
        Cache::Show => show(context).await,
        Cache::Clear { server, how } => clear(context, server, how).await,
    }
}

async fn show(context: &Context) -> Result<Exit, Failure> {
    let mut client = AdminClient::view(&context.runtime_dir).await?;
    let answer = client.get("/v1/cache").await?;
    if context.json {
        output::raw(answer.json());
        output::raw(b"\n");
        return Ok(Exit::Done);
    }
    let caches: Caches = answer.read()?;
    if caches.servers.is_empty() {
        output::line("No server has a cache.");
        return Ok(Exit::Done);
    }
    output::raw(output::table(&rows(&caches)).as_bytes());
    Ok(Exit::Done)
}

fn rows(caches: &Caches) -> Vec<Vec<String>> {
    let head = ["SERVER", "ANSWERS", "BYTES", "HITS", "MISSES", "SHARED", "WAITING", "STALE", "EVICTED"]
        .map(String::from)
        .to_vec();
    let rows = caches.servers.iter().map(|cache| {
        let counts = [cache.hits, cache.misses, cache.shared, cache.waiting, cache.stale, cache.evictions];
        let share = |used: u64, most: u64| format!("{used}/{most}");
        let begin =
            [cache.server.clone(), share(cache.entries, cache.max_entries), share(cache.bytes, cache.max_bytes)];
        begin.into_iter().chain(counts.map(|count| count.to_string())).collect()
    });
    std::iter::once(head).chain(rows).collect()
}

async fn clear(context: &Context, server: Option<String>, how: How) -> Result<Exit, Failure> {
    let request = ClearRequest { dry_run: how.dry_run, reason: how.reason };
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let servers = if let Some(server) = server {
        vec![server]
    } else {
        let caches: Caches = client.get("/v1/cache").await?.read()?;
        caches.servers.into_iter().map(|cache| cache.server).collect()
    };
    let mut outcomes: Vec<ClearOutcome> = Vec::new();
    for server in servers {
        outcomes.push(client.post(&format!("/v1/servers/{server}/cache/clear"), &request, how.if_match).await?.read()?);
    }
    if context.json {
        output::json(&outcomes);
    } else if outcomes.is_empty() {
        output::line("No server has a cache.");
    } else {
        for outcome in &outcomes {
            output::line(&sentence(outcome));
        }
    }
    Ok(Exit::Done)
}

fn sentence(outcome: &ClearOutcome) -> String {
    let ClearOutcome { server, applied, entries, bytes } = outcome;
    let done = if *applied { "are forgotten" } else { "would be forgotten" };
    format!("{server}: {entries} answers of {bytes} bytes {done}.")
}

#[cfg(test)]
mod tests {
    use toolgate_admin_api::CacheStatus;

    use super::*;

    #[test]
    fn a_cache_is_a_line() {
        let cache = CacheStatus { server: "s".into(), entries: 1, max_entries: 9, hits: 7, ..CacheStatus::default() };
        let rows = rows(&Caches { servers: vec![cache] });
        assert_eq!(rows[1], ["s", "1/9", "0/0", "7", "0", "0", "0", "0", "0"]);
        assert_eq!(rows[0].len(), rows[1].len());
    }

    #[test]
    fn it_says_what_it_did_and_what_it_would_do() {
        let mut outcome = ClearOutcome { server: "s".into(), applied: true, entries: 2, bytes: 30 };
        assert_eq!(sentence(&outcome), "s: 2 answers of 30 bytes are forgotten.");
        outcome.applied = false;
        assert!(sentence(&outcome).ends_with("would be forgotten."));
    }
}
