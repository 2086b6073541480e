//! Connections that are opened before a call needs them, on each core for itself.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

use crate::config::settings::Transport;
use crate::core::Core;
use crate::cores::Cores;
use crate::servers::Server;

/// How often a core looks whether some are missing.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps connections warm until the cores end.
pub fn start(cores: &Cores) {
    for core in 0..cores.count() {
        let warming = cores.try_spawn(core, |core| async move {
            let mut ticks = interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                warm_all(&core).await;
            }
        });
        if let Err(problem) = warming {
            warn!("no connection will be opened in advance: {problem}");
        }
    }
}

/// All at once: an endpoint that takes no connections holds up no other.
async fn warm_all(core: &Rc<Core>) {
    let policy = core.policy();
    let mut warming = JoinSet::new();
    for server in policy.servers.values().filter(|server| wants(server)) {
        for (at, endpoint) in server.endpoints.each().iter().enumerate() {
            if endpoint.is_plain() {
                warming.spawn_local(warm(Arc::clone(server), at, core.index));
            }
        }
    }
    warming.join_all().await;
}

fn wants(server: &Server) -> bool {
    matches!(&server.settings.transport, Transport::Http(http) if http.pool.min_idle > 0)
}

async fn warm(server: Arc<Server>, endpoint: usize, core: usize) {
    let Some(upstream) = server.http() else { return };
    // Calls will say so louder, where there are any.
    if let Err(problem) = upstream.client(core).warm(endpoint).await {
        debug!(server = server.settings.name, endpoint, %problem, "no connection could be opened in advance");
    }
}
