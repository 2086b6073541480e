//! Keeps the keys of all issuers fresh, one task each, on the thread that watches.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{AbortHandle, spawn_local};
use toolgate_protocol::refresh::Standing;

use super::Issuer;
use super::fetch::{Found, Way};
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
            let task = spawn_local(keep(Arc::clone(issuer), way)).abort_handle();
            self.running.insert(name.clone(), Running { issuer: Arc::clone(issuer), task });
        }
    }
}

async fn keep(issuer: Arc<Issuer>, mut way: Way) {
    loop {
        issuer.due().await;
        match way.fetch(issuer.standing() != Standing::Fresh).await {
            Ok(Found::Keys(keys, max_age)) => issuer.learn(keys, max_age),
            Ok(Found::Unchanged) => issuer.confirm(None),
            Err(why) => issuer.miss(why),
        }
    }
}
