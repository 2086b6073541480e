//! What the admin sockets are told of accepted configurations.

use toolgate_admin_api as api;
use tracing::warn;

use super::daemon::Daemon;
use super::history::History;
use crate::config::Snapshot;
use crate::lock::lock;

impl Daemon {
    /// Keeps what serves from now on; the answer says why it could not be kept.
    pub(super) fn keep(&self, snapshot: Snapshot, who: &str, reason: Option<&str>) -> Option<String> {
        let trouble = self.with_history(|history| {
            history.keep(snapshot, who, reason, crate::clock::unix_millis());
            history.trouble().map(str::to_owned)
        });
        if let Some(trouble) = &trouble {
            warn!("{trouble}");
        }
        trouble
    }

    /// The running revision, and those before it.
    pub(super) fn accepted(&self) -> api::HistoryView {
        let settings = self.gate.settings.load();
        api::HistoryView {
            running: settings.revision,
            from_history: settings.from_history(),
            revisions: self.with_history(|history| history.list()),
        }
    }

    /// One of them with its texts.
    pub(super) fn accepted_as(&self, number: u64) -> Result<api::Revision, api::ApiError> {
        self.with_history(|history| history.get(number)).ok_or_else(|| {
            api::ApiError::new(api::ErrorCode::NotFound, format!("Revision {number} is not in the history."))
                .remedy("`toolgate config history` lists what is.")
        })
    }

    pub(super) fn with_history<T>(&self, what: impl FnOnce(&mut History) -> T) -> T {
        what(&mut lock(&self.history))
    }
}
