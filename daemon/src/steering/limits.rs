//! Limits by hand, as the last process left them.

use tracing::warn;

use super::{Steering, TemporaryLimit, Value};
use crate::clock;
use crate::limits::Limits;
use crate::limits::overrides::Override;
use crate::limits::temporary::{self, Temporary};
use crate::policy::Policy;

impl Steering {
    /// The policy of a start with the limits that hold by hand.
    pub(crate) fn take_up_limits(&self, policy: Policy) -> Policy {
        let book = self.book();
        if book.overrides.is_empty() && book.limits.is_empty() {
            return policy;
        }
        for (name, set) in &book.overrides {
            match policy.limits.read_override(name, &set.value, set.burst) {
                Ok(measure) => {
                    let (until, who, reason) = (until(set), set.who.clone(), set.reason.clone());
                    policy.limits.set_override(name, Override { measure, until, who, reason });
                }
                // The files are others than they were.
                Err(_) => {
                    warn!(limit = name, value = set.value, "an override fits no limit any more, and does not hold");
                }
            }
        }
        for (name, limit) in &book.limits {
            let taken = temporary_of(limit).and_then(|limit| policy.limits.add_temporary(limit, Some(name)));
            if taken.is_none() {
                warn!(limit = name, value = limit.value.value, "a temporary limit cannot be read, and does not hold");
            }
        }
        policy.with_limits_anew()
    }
}

impl Steering {
    /// Limits that hold by hand although their time is over by the wall clock, which may have been set since.
    pub(crate) fn forgotten(&self, limits: &Limits) -> Vec<String> {
        let mut names = limits.by_hand();
        if !names.is_empty() {
            let book = self.book();
            names.retain(|name| !book.overrides.contains_key(name) && !book.limits.contains_key(name));
        }
        names
    }

    /// Ends them, for configurations that are made from now on; whether there were any.
    pub(crate) fn end_forgotten(&self, limits: &Limits) -> bool {
        let names = self.forgotten(limits);
        for name in &names {
            if !limits.end_temporary(name) {
                limits.revert_override(name);
            }
        }
        !names.is_empty()
    }
}

/// The limit that is meant; `None` where it cannot be read.
pub fn temporary_of(limit: &TemporaryLimit) -> Option<Temporary> {
    let tool = match &limit.tool {
        Some(tool) => Some(tool.split_once('/').map(|(server, tool)| (server.to_owned(), tool.to_owned()))?),
        None => None,
    };
    let value = &limit.value;
    Some(Temporary {
        client: limit.client.clone(),
        tool,
        measure: temporary::measure(&value.value).ok()?,
        say: limit.say.clone(),
        until: until(value),
        who: value.who.clone(),
        reason: value.reason.clone(),
    })
}

/// When it ends by the clock of this process.
fn until(value: &Value) -> u64 {
    let left = value.until_ms.saturating_sub(clock::unix_millis());
    clock::nanos().saturating_add(left.saturating_mul(1_000_000))
}
