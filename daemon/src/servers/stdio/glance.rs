//! What operators see of the instances of a server.

use std::path::PathBuf;

use super::instances::{Instances, Role};
use crate::cgroup::Usage;
use crate::clock;
use crate::processes;

/// One running instance.
#[derive(Debug, Clone)]
pub struct Glance {
    /// Its wrapper's process id.
    pub pid: u32,
    /// What it is there for.
    pub role: Role,
    /// Milliseconds since it was started, be it by an earlier process.
    pub age: u64,
    /// Milliseconds since anything was in flight.
    pub idle: u64,
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests that it has answered.
    pub answered: u64,
    /// It ends once nothing is in flight.
    pub leaving: bool,
    /// What its processes use.
    pub usage: Usage,
}

impl Instances {
    /// Those that run, the oldest first. Reads what the kernel counts of each.
    pub fn glance(&self) -> Vec<Glance> {
        let mut found: Vec<(Glance, Option<PathBuf>)> = {
            let running = self.lock();
            let living = running.values().filter(|slot| !slot.link.is_ended());
            let look = |slot: &super::instances::Slot| {
                let link = &slot.link;
                let glance = Glance {
                    pid: link.pid(),
                    role: slot.role.clone(),
                    age: clock::millis_since(slot.started),
                    idle: link.idle_millis(),
                    in_flight: link.in_flight(),
                    answered: link.answered(),
                    leaving: link.is_leaving(),
                    usage: Usage::default(),
                };
                (glance, link.group().map(std::path::Path::to_owned))
            };
            living.map(look).collect()
        };
        found.sort_by_key(|(glance, _)| std::cmp::Reverse(glance.age));
        // Files are read without the lock.
        let read = |(glance, group): (Glance, Option<PathBuf>)| Glance {
            usage: processes::usage(group.as_deref(), glance.pid),
            ..glance
        };
        found.into_iter().map(read).collect()
    }
}
