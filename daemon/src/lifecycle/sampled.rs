//! What the history remembers of each ten seconds.

use std::sync::Arc;

use toolgate_admin_api as api;

use super::daemon::Daemon;
use crate::admin::Operations;
use crate::observe::history::{Reading, Sampled};

/// The daemon, sampled.
pub(super) struct Samples {
    daemon: Arc<Daemon>,
}

impl Samples {
    /// Of a daemon that serves.
    pub(super) fn of(daemon: &Arc<Daemon>) -> Arc<dyn Sampled> {
        Arc::new(Self { daemon: Arc::clone(daemon) })
    }
}

impl Sampled for Samples {
    fn sample(&self) -> Vec<(String, Reading)> {
        let policy = self.daemon.gate.policy.load_full();
        let status = self.daemon.status();
        let rows = self.daemon.server_rows(&policy);
        let process = self.daemon.gate.observed.sample().process;
        let waiting = rows.iter().map(|row| row.status.waiting).sum();
        let mut all = vec![
            ("in_flight".to_owned(), level(status.calls_in_flight)),
            ("waiting".to_owned(), level(waiting)),
            ("sessions".to_owned(), level(status.sessions)),
            ("connections".to_owned(), level(status.connections)),
            ("cpu".to_owned(), Reading::Level(process.cpu)),
            ("memory".to_owned(), level(process.memory)),
        ];
        rows.iter().for_each(|row| of_server(row, &mut all));
        all
    }
}

fn of_server(row: &api::ServerRow, all: &mut Vec<(String, Reading)>) {
    let name = &row.status.name;
    let mut put = |word: &str, reading| all.push((format!("{word}:{name}"), reading));
    put("in_flight", level(row.status.in_flight));
    put("waiting", level(row.status.waiting));
    let instances = row.status.instances.as_ref().map(|instances| &instances.each);
    let memory = instances.map(|each| each.iter().filter_map(|instance| instance.memory).sum());
    memory.into_iter().for_each(|memory| put("memory", level(memory)));
}

#[expect(clippy::cast_precision_loss, reason = "a graph has fewer digits")]
fn level(number: u64) -> Reading {
    Reading::Level(number as f64)
}
