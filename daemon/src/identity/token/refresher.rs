//! Keeps the keys of all issuers fresh, one task each, on the thread that watches.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use tokio::task::{AbortHandle, spawn_blocking, spawn_local};
use toolgate_protocol::refresh::Standing;

use super::Issuer;
use super::fetch::{Found, Way};
use super::saved::Shelf;
use crate::gate::Gate;

/// The tasks that run.
#[derive(Default)]
pub struct Refresher {
    running: HashMap<String, Running>,
}

struct Running {
    issuer: Arc<Issuer>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Refresher {
    /// Looks after the issuers of the configuration in force. Called within a local set.
    pub fn follow(&mut self, gate: &Gate) {
        let policy = gate.policy.load();
        let kept = |running: &Running| policy.issuers.each().any(|issuer| Arc::ptr_eq(issuer, &running.issuer));
        self.running.retain(|_, running| kept(running));
        for issuer in policy.issuers.each() {
            let name = &issuer.settings().name;
            if self.running.contains_key(name) {
                continue;
            }
            let Some(way) = Way::new(issuer.settings()) else { continue };
            // Where another process has the state, this one keeps nothing there.
            let folder = policy.state.as_ref().map(|_| &policy.settings.daemon.state_dir);
            let last = folder.and_then(|folder| Shelf::new(folder, issuer.settings()));
            let task = spawn_local(keep(Arc::clone(issuer), way, last)).abort_handle();
            self.running.insert(name.clone(), Running { issuer: Arc::clone(issuer), task });
        }
    }
}

async fn keep(issuer: Arc<Issuer>, mut way: Way, shelf: Option<Shelf>) {
    if let Some(shelf) = shelf.clone().filter(|_| issuer.standing() == Standing::Unknown)
        && let Ok(Some((keys, age))) = spawn_blocking(move || shelf.load()).await
    {
        issuer.recall(keys, age);
    }
    loop {
        issuer.due().await;
        match way.fetch(issuer.standing() != Standing::Fresh).await {
            Ok(Found::Keys(keys, max_age, document)) => {
                issuer.learn(keys, max_age);
                if let Some(shelf) = &shelf {
                    save(&issuer, shelf, document).await;
                }
            }
            Ok(Found::Unchanged) => issuer.confirm(None),
            Err(why) => issuer.miss(why),
        }
    }
}

/// A disk that does not take them costs those of the next process, and nobody else.
async fn save(issuer: &Issuer, shelf: &Shelf, document: Vec<u8>) {
    let shelf = shelf.clone();
    let saved = spawn_blocking(move || shelf.save(&document)).await;
    if let Err(problem) = saved.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())) {
        tracing::debug!(issuer = issuer.settings().name, %problem, "the keys of the issuer cannot be written down");
    }
}
