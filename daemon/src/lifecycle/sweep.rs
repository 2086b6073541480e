//! What has to be looked at from time to time: idle sessions, idle instances, critical servers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use toolgate_protocol::revision::{Era, LATEST_LEGACY, MODERN};
use tracing::{debug, warn};

use crate::core::Core;
use crate::cores::Cores;
use crate::failure::Kind;
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::Server;
use crate::servers::discovery::{self, introduced};

/// How often.
const INTERVAL: Duration = Duration::from_secs(5);

/// Sweeps from the first core until it ends.
pub fn start(cores: &Cores) {
    let started = cores.try_spawn(0, |core| async move {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            sweep(&core);
            greet_critical(&core).await;
        }
    });
    if let Err(problem) = started {
        warn!("nothing will be swept: {problem}");
    }
}

fn sweep(core: &Core) {
    let policy = core.policy();
    let ended = core.gate.sessions.sweep(policy.settings.daemon.session_timeout, |_| false);
    if ended > 0 {
        debug!(ended, "idle sessions were ended");
    }
    policy.limits.sweep(crate::clock::nanos());
    policy
        .servers
        .values()
        .filter_map(|server| server.instances())
        .for_each(crate::servers::stdio::instances::Instances::sweep);
}

/// Asks each critical server who it is, so that readiness follows the truth.
pub async fn greet_critical(core: &Rc<Core>) {
    let policy = core.policy();
    let mut asked = tokio::task::JoinSet::new();
    for server in policy.servers.values().filter(|server| server.settings.critical) {
        let (core, server) = (Rc::clone(core), Arc::clone(server));
        asked.spawn_local(async move { greet(&core, &server).await });
    }
    asked.join_all().await;
}

/// A server that is not known yet introduces itself; one that is known is asked for a sign of life.
async fn greet(core: &Rc<Core>, server: &Arc<Server>) {
    let modern = introduced(core, server, MODERN).await;
    let known = match modern {
        Err(ref failure) if failure.kind == Kind::EraUnsupported => introduced(core, server, LATEST_LEGACY).await,
        known => known,
    };
    let Ok(known) = known else { return };
    // What comes of it is noted where every call to a server is.
    if server.http().is_some()
        && let Ok(mut exchange) = known.leg.call(core, &sign_of_life(known.leg.era), &Provenance::own()).await
    {
        drop(exchange.answer().await);
    }
}

/// `ping` in the legacy era, `server/discover` in the modern one, which has no ping.
fn sign_of_life(era: Era) -> Message {
    discovery::own(match era {
        Era::Legacy => r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_owned(),
        Era::Modern => {
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{}}}}}"#, discovery::own_meta())
        }
    })
}
