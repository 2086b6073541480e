//! What has to be looked at from time to time: idle sessions, idle instances, critical servers.

use std::cell::RefCell;
use std::collections::HashSet;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use toolgate_protocol::revision::{Era, MODERN};
use tracing::{debug, warn};

use crate::core::Core;
use crate::cores::Cores;
use crate::failure::Failure;
use crate::message::Message;
use crate::provenance::Provenance;
use crate::relay::farewell;
use crate::relay::overhear;
use crate::servers::Server;
use crate::servers::discovery;
use crate::servers::eras::introduced_in_any;
use crate::servers::leg::Leg;

/// How often.
const INTERVAL: Duration = Duration::from_secs(5);

/// How often critical servers are asked for a sign of life.
const GREETING: Duration = Duration::from_secs(1);

/// A critical server that gives no sign of life within this does not answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same of one that has calls to answer, which may keep it busy and say by themselves when it is gone, and of one that
/// has yet to introduce itself.
const MORE_PATIENCE: Duration = Duration::from_secs(5);

/// Sweeps and greets from the first core until it ends. A server that hangs holds up neither.
pub fn start(cores: &Cores) {
    let sweeping = cores.try_spawn(0, |core| async move {
        let mut ticks = interval(INTERVAL);
        loop {
            ticks.tick().await;
            sweep(&core);
        }
    });
    let greeting = cores.try_spawn(0, |core| async move {
        let greeted = Rc::new(RefCell::new(HashSet::new()));
        let mut ticks = interval(GREETING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            greet_again(&core, &greeted);
        }
    });
    for problem in [sweeping, greeting].into_iter().filter_map(Result::err) {
        warn!("nothing will be swept: {problem}");
    }
}

fn sweep(core: &Rc<Core>) {
    let policy = core.policy();
    let ended = core.gate.sessions.sweep(policy.settings.daemon.session_timeout, |_| false);
    if !ended.is_empty() {
        debug!(ended = ended.len(), "idle sessions were ended");
    }
    core.gate.sessions.tidy(|hosted, gone| overhear::unseen(core, hosted, gone));
    farewell::begin(core, ended);
    core.gate.sessions.make_room();
    core.gate.sessions.save_uses();
    if let Some(state) = &policy.state {
        state.retry();
    }
    policy.limits.sweep(crate::clock::nanos());
    core.gate.failures.sweep(policy.settings.authentication.failures.as_ref(), crate::clock::nanos());
    policy.servers.values().for_each(|server| {
        server.each_facet().iter().for_each(|facet| facet.kept.sweep());
        server.queue.sweep();
        server.streams.sweep();
    });
    for instances in policy.servers.values().filter_map(|server| server.instances()) {
        instances.sweep();
        if !core.gate.draining.load(Ordering::Relaxed) {
            instances.keep_spares();
        } else if !policy.keeps_connections() {
            instances.end_spares();
        }
    }
}

/// Servers whose word is to be known.
fn critical(core: &Core) -> Vec<Arc<Server>> {
    core.policy().servers.values().filter(|server| server.settings.critical).map(Arc::clone).collect()
}

/// Asks each critical server that has answered the last question or let it pass.
fn greet_again(core: &Rc<Core>, greeted: &Rc<RefCell<HashSet<u64>>>) {
    for server in critical(core) {
        if greeted.borrow_mut().insert(server.generation) {
            let (core, greeted) = (Rc::clone(core), Rc::clone(greeted));
            tokio::task::spawn_local(async move {
                greet(&core, &server).await;
                greeted.borrow_mut().remove(&server.generation);
            });
        }
    }
}

/// Asks each critical server who it is, so that readiness follows the truth.
pub async fn greet_critical(core: &Rc<Core>) {
    let mut asked = tokio::task::JoinSet::new();
    for server in critical(core) {
        let core = Rc::clone(core);
        asked.spawn_local(async move { greet(&core, &server).await });
    }
    asked.join_all().await;
}

/// A server that is not known yet introduces itself; one that is known is asked for a sign of life.
async fn greet(core: &Rc<Core>, server: &Arc<Server>) {
    let mut meeting = pin!(introduced_in_any(core, server, MODERN));
    let met = if let Ok(met) = timeout(MORE_PATIENCE, meeting.as_mut()).await {
        met
    } else {
        is_silent(server);
        // To begin anew would have one that starts slowly never come to its end.
        meeting.await
    };
    let (Ok(known), Some(_)) = (met, server.http()) else { return };
    let patience = if server.queue.snapshot().in_flight > 0 { MORE_PATIENCE } else { PATIENCE };
    match timeout(patience, ask(core, &known.leg)).await {
        Ok(Ok(())) => drop(server.fitness.answered(&server.settings.name)),
        // What kept it from answering was noted where every call to a server is.
        Ok(Err(_)) => {}
        Err(_) => is_silent(server),
    }
}

/// Instances are seen to end, and may take their time.
fn is_silent(server: &Server) {
    if server.http().is_some() {
        server.fitness.failed(&server.settings.name, "gives no sign of life");
    }
}

async fn ask(core: &Rc<Core>, leg: &Leg) -> Result<(), Failure> {
    leg.call(core, &sign_of_life(leg.era), &Provenance::own()).await?.answer().await.map(drop)
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
