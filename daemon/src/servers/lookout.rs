//! Whether servers that nobody asks are still there.
//!
//! A server that ends closes its connections. So it shows where an idle one is closed; it shows as well where a server
//! does just not keep idle ones, and so the gate knocks: a connection is opened and closed, and nothing is said on it.
//! One that nobody opens to is dead until somebody does, or until it answers a call. [`start`] looks from the first core.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, warn};

use super::{Server, http_call};
use crate::core::Core;
use crate::cores::Cores;

/// How often connections are looked at: one per endpoint and core, without a system call while nothing has happened.
const LOOK: Duration = Duration::from_millis(250);

/// How long an endpoint may take to open, and how often one that does not is tried.
const PATIENCE: Duration = Duration::from_secs(1);

/// A server as it runs, and one of its endpoints.
type Place = (u64, usize);

/// What is known of places that are not plainly well.
#[derive(Debug, Default)]
struct Doubts {
    /// Somebody knocks there.
    knocked: HashSet<Place>,
    /// They open, and what is wrong with them is something else.
    open: HashSet<Place>,
}

/// Looks until the cores end.
pub fn start(cores: &Cores) {
    let looking = cores.try_spawn(0, |core| {
        // Else the runtime would have all connections appear quiet after the first hundred that are looked at in a turn.
        unconstrained(async move {
            let doubts = Rc::new(RefCell::new(Doubts::default()));
            let mut ticks = interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                look(&core, &doubts);
            }
        })
    });
    if let Err(problem) = looking {
        warn!("that a server has ended will be noticed by calls alone: {problem}");
    }
}

fn look(core: &Rc<Core>, doubts: &Rc<RefCell<Doubts>>) {
    let policy = core.policy();
    let mut known = HashSet::new();
    for server in policy.servers.values() {
        let Some(upstream) = server.http() else { continue };
        for endpoint in 0..server.endpoints.each().len() {
            let place = (server.generation, endpoint);
            known.insert(place);
            let is_ill = http_call::is_ill(server, endpoint);
            if !is_ill {
                doubts.borrow_mut().open.remove(&place);
            }
            let is_doubted = upstream.has_lost(endpoint) || is_ill && !doubts.borrow().open.contains(&place);
            if is_doubted && doubts.borrow_mut().knocked.insert(place) {
                let (core, server, doubts) = (Rc::clone(core), Arc::clone(server), Rc::clone(doubts));
                tokio::task::spawn_local(async move {
                    let is_open = knock(&core, &server, endpoint).await;
                    let mut doubts = doubts.borrow_mut();
                    doubts.knocked.remove(&place);
                    if is_open && http_call::is_ill(&server, endpoint) {
                        doubts.open.insert(place);
                    }
                });
            }
        }
    }
    doubts.borrow_mut().open.retain(|place| known.contains(place));
}

/// Knocks until the endpoint opens, or is none any more; whether it opened at once.
async fn knock(core: &Rc<Core>, server: &Arc<Server>, endpoint: usize) -> bool {
    let (name, mut is_dead) = (&server.settings.name, false);
    loop {
        let Some(upstream) = server.http() else { return false };
        match upstream.client(core.index).knock(endpoint, PATIENCE).await {
            Ok(()) if is_dead => {
                http_call::answered(server, endpoint);
                return false;
            }
            Ok(()) => return true,
            Err(problem) => {
                debug!(server = name, endpoint, %problem, "a server does not open");
                http_call::missed(server, endpoint, "cannot be reached");
                is_dead = true;
            }
        }
        sleep(PATIENCE).await;
        let runs_yet = core.policy().servers.get(name).is_some_and(|other| other.generation == server.generation);
        if !runs_yet || !http_call::is_ill(server, endpoint) {
            return false;
        }
    }
}
