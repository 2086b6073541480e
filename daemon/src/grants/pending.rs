//! Users who were sent to a provider and have not come back: what ties their return to who they were.
//!
//! Pure; times are milliseconds of any clock. Must hold: a state is used once, by the browser that it was given to, in time.

use std::collections::HashMap;

use super::link::{HOLDS, Link};
use crate::config::Secret;

/// All that are on their way.
const MOST: usize = 10_000;

/// Those of one client; beyond it the oldest is forgotten.
const PER_CLIENT: usize = 10;

/// One that is on its way.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Who asked for what.
    pub link: Link,
    /// What the provider is told the hash of (RFC 7636).
    pub verifier: Secret,
    /// The browser that was sent.
    pub browser: String,
    until: u64,
}

impl Flow {
    /// A user who is sent now.
    pub fn new(link: Link, verifier: Secret, browser: String, now: u64) -> Self {
        Self { link, verifier, browser, until: now + HOLDS }
    }
}

/// Why somebody who came back is not taken for one who was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// Nobody was sent with this, or has come back already.
    Unknown,
    /// It took too long.
    Late,
    /// It was another browser.
    Other,
}

/// All of them, by the state that they were sent with.
#[derive(Debug, Default)]
pub struct Pending {
    flows: HashMap<String, Flow>,
}

impl Pending {
    /// Notes one who is sent with this state. `false` where there are too many.
    #[must_use]
    pub fn send(&mut self, state: String, flow: Flow, now: u64) -> bool {
        self.flows.retain(|_, flow| now < flow.until);
        let own = |flow: &Flow, other: &Flow| flow.link.client == other.link.client;
        while self.flows.values().filter(|other| own(&flow, other)).count() >= PER_CLIENT {
            let oldest = self.flows.iter().filter(|(_, other)| own(&flow, other)).min_by_key(|(_, other)| other.until);
            let Some(oldest) = oldest.map(|(state, _)| state.clone()) else { break };
            self.flows.remove(&oldest);
        }
        if self.flows.len() >= MOST {
            return false;
        }
        self.flows.insert(state, flow);
        true
    }

    /// Takes one who comes back with this state.
    pub fn take(&mut self, state: &str, browser: Option<&str>, now: u64) -> Result<Flow, Stranger> {
        let flow = self.flows.get(state).ok_or(Stranger::Unknown)?;
        // Whoever holds another's state must not be able to use it up.
        if browser != Some(flow.browser.as_str()) {
            return Err(Stranger::Other);
        }
        let flow = self.flows.remove(state).ok_or(Stranger::Unknown)?;
        if now < flow.until { Ok(flow) } else { Err(Stranger::Late) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(client: &str, browser: &str, now: u64) -> Flow {
        let link = Link { client: client.into(), owner: client.into(), server: "crm".into(), until: u64::MAX };
        Flow::new(link, Secret::new("v".into()), browser.into(), now)
    }

    #[test]
    fn a_state_is_used_once_by_its_browser_and_in_time() {
        let mut pending = Pending::default();
        assert!(pending.send("s".into(), flow("ana", "b", 0), 0));
        assert_eq!(pending.take("t", Some("b"), 1).unwrap_err(), Stranger::Unknown);
        assert_eq!(pending.take("s", Some("c"), 1).unwrap_err(), Stranger::Other);
        assert_eq!(pending.take("s", None, 1).unwrap_err(), Stranger::Other);
        assert_eq!(pending.take("s", Some("b"), 1).unwrap().link.client, "ana");
        assert_eq!(pending.take("s", Some("b"), 1).unwrap_err(), Stranger::Unknown, "replayed");
        assert!(pending.send("s".into(), flow("ana", "b", 0), 0));
        assert_eq!(pending.take("s", Some("b"), HOLDS).unwrap_err(), Stranger::Late);
    }

    #[test]
    fn many_of_one_client_are_in_nobody_elses_way() {
        let mut pending = Pending::default();
        assert!(pending.send("bob".into(), flow("bob", "b", 0), 0));
        for number in 0..100 {
            assert!(pending.send(format!("ana-{number}"), flow("ana", "a", number), number));
        }
        assert_eq!(pending.flows.len(), 1 + PER_CLIENT);
        assert!(pending.take("bob", Some("b"), 100).is_ok());
        assert!(pending.take("ana-99", Some("a"), 100).is_ok() && pending.take("ana-1", Some("a"), 100).is_err());
        assert!(pending.send("x".into(), flow("x", "x", HOLDS * 2), HOLDS * 2));
        assert_eq!(pending.flows.len(), 1, "what is over is forgotten");
    }
}
