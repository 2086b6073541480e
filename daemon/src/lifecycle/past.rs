//! What the admin sockets are told of accepted configurations.

use toolgate_admin_api as api;
use tracing::warn;

use super::daemon::Daemon;
use crate::config::Snapshot;

impl Daemon {
    /// Has what serves from now on kept.
    pub(super) fn keep(&self, snapshot: Snapshot, who: &str, reason: Option<&str>) {
        self.history.keep(snapshot, who, reason, crate::clock::unix_millis());
    }

    /// Waits for the disk, for a moment; not for those who hold up others. Why what serves is not kept.
    pub(super) fn kept(&self) -> Option<String> {
        self.history.settle().inspect(|trouble| warn!("{trouble}"))
    }

    /// The running revision, and those before it.
    pub(super) fn accepted(&self) -> api::HistoryView {
        let settings = self.gate.settings.load();
        api::HistoryView {
            running: settings.revision,
            from_history: settings.from_history(),
            revisions: self.history.list(),
        }
    }

    /// One of them with its texts.
    pub(super) fn accepted_as(&self, number: u64) -> Result<api::Revision, api::ApiError> {
        self.history.get(number).ok_or_else(|| {
            api::ApiError::new(api::ErrorCode::NotFound, format!("Revision {number} is not in the history."))
                .remedy("`toolgate config history` lists what is.")
        })
    }
}
