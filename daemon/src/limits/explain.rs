//! Which limits a call would meet, and where it would stand below each.

use std::time::Duration;

use toolgate_admin_api as api;

use super::applied::Applied;
use super::{Keys, Limits, counters, text};
use crate::config::settings::LimitScope;

impl Limits {
    /// Every limit that a call of these keys would meet, in the order in which they are asked, and the one that would
    /// refuse it. Without an address, limits per address stand as for one that has used nothing.
    #[must_use]
    pub fn explain(&self, keys: &Keys<'_>, has_address: bool, now: u64) -> (Vec<api::ExplainedLimit>, Option<String>) {
        let mut refuses = None;
        let mut limits = Vec::new();
        for applied in self.of(keys) {
            let unknown = applied.limit.per.has(LimitScope::ADDRESS) && !has_address;
            let Some(asked) = self.weigh(applied, keys, now) else { continue };
            let standing = asked.meter.standing(&asked.cell, now);
            if refuses.is_none() && !unknown && asked.meter.peek(&asked.cell, asked.cost, now).is_err() {
                refuses = Some(applied.limit.name.clone());
            }
            let key = counters::describe(applied.limit.per, applied.limit.prefix, keys);
            limits.push(api::ExplainedLimit {
                name: applied.limit.name.clone(),
                per: applied.limit.per.to_string(),
                key: if unknown { "address=any".to_owned() } else { key },
                effective: text(applied.bound(now).measure),
                remaining: if unknown { asked.meter.capacity() } else { standing.remaining },
                resets_in_ms: standing.reset.filter(|_| !unknown).unwrap_or(0).div_ceil(1_000_000),
                origin: self.origin(applied, now),
            });
        }
        (limits, refuses)
    }

    /// Where it is written, or who set it and until when.
    fn origin(&self, applied: &Applied, now: u64) -> String {
        let by_hand = |who: &str, until: u64| {
            let left = Duration::from_nanos(until.saturating_sub(now)).as_secs();
            format!("set by {who}, for another {left} s")
        };
        if let Some(set) = &applied.only {
            return by_hand(&set.temporary.who, set.temporary.until);
        }
        let written = applied.limit.written.to_string();
        match self.shared.overrides.get(&applied.limit.name, now) {
            Some(set) => format!("{written}, {}", by_hand(&set.who, set.until)),
            None => written,
        }
    }
}
