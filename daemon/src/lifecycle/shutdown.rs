//! The orderly end: lame duck, finishing, ending.
//!
//! `run` calls it after the first signal to end, and drops it at the second. Nothing here closes a
//! connection: each does that by itself when its core's phase says so.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::config::settings::Daemon;
use crate::cores::Cores;
use crate::listen::drain::Phase;

/// How long calls have to answer with an error when their time is up.
const ENDING: Duration = Duration::from_secs(1);

/// How often to look whether all connections have ended.
const LOOK: Duration = Duration::from_millis(5);

/// Drains, and returns how many connections were still open in the end.
///
/// Takes at most `drain_timeout` from the call, and a second for those that did not finish.
pub async fn drain(stop_accepting: impl FnOnce(), cores: &Cores, daemon: &Daemon) -> usize {
    let deadline = Instant::now() + daemon.drain_timeout;
    advance(cores, Phase::LameDuck).await;
    sleep(daemon.lame_duck.min(daemon.drain_timeout)).await;
    stop_accepting();
    advance(cores, Phase::Finishing).await;
    if ended(cores, deadline).await {
        return 0;
    }
    tracing::warn!(connections = cores.connections(), "the time to drain is up: what still runs is ended");
    advance(cores, Phase::Ending).await;
    ended(cores, Instant::now() + ENDING).await;
    cores.connections()
}

async fn advance(cores: &Cores, phase: Phase) {
    for core in 0..cores.count() {
        let sent = cores.spawn(core, move |core| async move { core.drain.advance(phase) }).await;
        if let Err(error) = sent {
            tracing::error!("a core does not drain: {error}");
        }
    }
}

/// Whether all connections ended before the deadline.
async fn ended(cores: &Cores, deadline: Instant) -> bool {
    let all = async {
        while cores.connections() > 0 {
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = all => true,
        () = sleep_until(deadline) => false,
    }
}
