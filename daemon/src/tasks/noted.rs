//! Tasks by whose they are, as far as it was seen lately: what lists and news of tasks are filtered by. Without a clock.
//!
//! Bounded: of each client at each server the newest are known, and the clients at servers that were met last.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Tasks of one client at one server.
const PER_OWNER: usize = 128;
/// Clients at servers.
const OWNERS: usize = 1024;
/// Bytes of an id. A longer one opens like any other, and is missing from lists.
const LONGEST: usize = 256;

/// A client at a server.
type Owner = (Arc<str>, Arc<str>);

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Noted {
    owners: HashMap<Owner, Tasks>,
    /// Counts what was noted; the owner with the least was met longest ago.
    turn: u64,
}

#[derive(Debug, Default)]
struct Tasks {
    /// The server's id, and the client's; the newest last.
    ids: VecDeque<(Box<str>, Box<str>)>,
    met: u64,
}

impl Noted {
    /// The client's id of a task that the server knows by `own`.
    pub(super) fn shown(&self, owner: &Owner, own: &str) -> Option<&str> {
        let tasks = self.owners.get(owner)?;
        tasks.ids.iter().find(|(known, _)| **known == *own).map(|(_, shown)| &**shown)
    }

    /// From now on the client knows this task by the id `shown`.
    pub(super) fn note(&mut self, owner: &Owner, own: &str, shown: &str) {
        if own.len() > LONGEST {
            return;
        }
        self.turn += 1;
        if !self.owners.contains_key(owner) && self.owners.len() >= OWNERS {
            let oldest = self.owners.iter().min_by_key(|(_, tasks)| tasks.met).map(|(owner, _)| owner.clone());
            oldest.map(|oldest| self.owners.remove(&oldest));
        }
        let tasks = self.owners.entry(owner.clone()).or_default();
        tasks.met = self.turn;
        tasks.ids.retain(|(known, _)| **known != *own);
        if tasks.ids.len() >= PER_OWNER {
            tasks.ids.pop_front();
        }
        tasks.ids.push_back((own.into(), shown.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(client: usize) -> Owner {
        (client.to_string().into(), "web".into())
    }

    #[test]
    fn a_task_is_known_to_its_own_client_by_its_newest_id() {
        let mut noted = Noted::default();
        noted.note(&owner(1), "task", "one");
        noted.note(&owner(1), "task", "two");
        assert_eq!(noted.shown(&owner(1), "task"), Some("two"));
        assert_eq!(noted.shown(&owner(2), "task"), None);
        assert_eq!(noted.shown(&("1".into(), "pipe".into()), "task"), None);
        noted.note(&owner(1), &"x".repeat(LONGEST + 1), "long");
        assert_eq!(noted.owners[&owner(1)].ids.len(), 1, "nothing is kept of an id without an end");
    }

    #[test]
    fn it_stays_within_its_bounds_and_forgets_the_oldest() {
        let mut noted = Noted::default();
        for task in 0..=PER_OWNER {
            noted.note(&owner(0), &task.to_string(), "shown");
        }
        assert_eq!(noted.owners[&owner(0)].ids.len(), PER_OWNER);
        assert!(noted.shown(&owner(0), "0").is_none() && noted.shown(&owner(0), "1").is_some());
        for client in 1..OWNERS {
            noted.note(&owner(client), "task", "shown");
        }
        noted.note(&owner(0), "again", "shown");
        noted.note(&owner(OWNERS), "task", "shown");
        assert_eq!(noted.owners.len(), OWNERS);
        assert!(noted.shown(&owner(1), "task").is_none(), "it was met longest ago");
        assert!(noted.shown(&owner(0), "again").is_some() && noted.shown(&owner(2), "task").is_some());
    }
}
