//! Instances that work and are replaced all the same: by age, calls or memory, or by their operator.
//!
//! One that is to go is left: nothing new begins with it, and it ends once nothing is in flight. A
//! session's own instance holds what that session did, so only age and its operator replace it
//! while the session lives.

use std::time::Duration;

use tracing::{info, warn};

use super::instances::{Instances, Role, Slot};
use crate::lock::lock;

use super::link::Link;
use crate::clock;
use crate::processes;

/// Whoever found an instance before it was left may still begin something within this.
const FOUND: u64 = if cfg!(test) { 100 } else { 2_000 };

/// The same where somebody waits for its place: between finding it and sending lies a moment only.
const HANDED: u64 = 50;

/// One that is still in use after this ends all the same.
const LONGEST: u64 = 5 * 60_000;

/// What became of the instances of a server that was restarted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Renewed {
    /// These were ended at once.
    pub ended: usize,
    /// These end once nothing is in flight.
    pub leaving: usize,
}

impl Instances {
    /// Replaces all instances: at once, or each when nothing is in flight with it.
    pub fn renew(&self, rolling: bool) -> Renewed {
        // Its operator has mended what kept it from starting, or wants to see it fail again.
        self.forget_failures();
        let mut renewed = Renewed::default();
        self.lock().retain(|_, slot| {
            if rolling && slot.role != Role::Spare {
                slot.leave();
                renewed.leaving += 1;
                return true;
            }
            slot.link.end();
            renewed.ended += 1;
            false
        });
        info!(
            server = self.server,
            rolling,
            ended = renewed.ended,
            leaving = renewed.leaving,
            "instances are replaced"
        );
        renewed
    }

    /// Replaces one of them: nothing new begins with it, and it ends once nothing is in flight.
    pub fn leave(&self, link: &Link) {
        if let Some(slot) = self.lock().values_mut().find(|slot| slot.link.is_same(link)) {
            slot.leave();
        }
    }

    /// Leaves an instance that is worn, ends one that was left and is done; `false` where it ended.
    pub(super) fn goes_on(&self, slot: &mut Slot) -> bool {
        if slot.left_at.is_none()
            && let Some(why) = self.worn(slot)
        {
            info!(server = self.server, pid = slot.link.pid(), why, "an instance is replaced");
            if slot.role == Role::Spare {
                slot.link.end();
                return false;
            }
            slot.leave();
        }
        let Some(left_at) = slot.left_at else { return true };
        let since = clock::millis().saturating_sub(left_at);
        let done = since > FOUND && slot.link.idle_millis() > FOUND;
        if !done && since <= LONGEST {
            return true;
        }
        if !done {
            warn!(
                server = self.server,
                pid = slot.link.pid(),
                "an instance that is replaced ends with calls in flight"
            );
        }
        slot.link.end();
        false
    }

    fn worn(&self, slot: &Slot) -> Option<&'static str> {
        let wear = &self.wear;
        let lived = Duration::from_millis(clock::millis_since(slot.started));
        if wear.age.is_some_and(|age| lived > age) {
            return Some("max_age");
        }
        if slot.role == Role::Dedicated {
            return None;
        }
        if wear.calls.is_some_and(|calls| slot.link.answered() >= calls) {
            return Some("max_calls");
        }
        let used = || processes::memory(slot.link.group(), slot.link.pid());
        wear.memory.is_some_and(|most| used().is_some_and(|used| used >= most)).then_some("recycle_at")
    }

    fn forget_failures(&self) {
        lock(&self.backoff).succeeded();
        self.spares.forget_failures();
    }
}

impl Slot {
    /// Left, and nothing is in flight with it.
    pub(super) fn is_done(&self) -> bool {
        self.left_at.is_some() && self.link.idle_millis() > HANDED && !self.link.is_ended()
    }

    fn leave(&mut self) {
        self.link.leave();
        self.left_at.get_or_insert_with(clock::millis);
    }
}
