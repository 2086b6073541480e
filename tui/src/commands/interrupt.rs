//! Ctrl-C and its like, where a command has something to take back first.

use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::watch;
use toolgate_admin_api::Exit;

use crate::failure::Failure;

/// Signals that no longer end the process, but are told here.
#[derive(Debug)]
pub(super) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// From here on, until the process ends.
    pub(super) fn listen() -> Result<Self, Failure> {
        let cannot = |error| Failure::local("Signals cannot be waited for", error);
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(cannot)?;
        let (came, told) = watch::channel(false);
        let wait = move || {
            for _ in signals.forever() {
                came.send_replace(true);
            }
        };
        thread::Builder::new().name("signals".into()).spawn(wait).map_err(cannot)?;
        Ok(Self(told))
    }

    /// Waits for one; one that came before counts.
    pub(super) async fn came(mut self) -> Failure {
        if self.0.wait_for(|came| *came).await.is_err() {
            // Nobody listens any more, so that none can come.
            std::future::pending::<()>().await;
        }
        Failure::new(Exit::Failed, "It was interrupted.")
    }
}
