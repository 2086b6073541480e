//! Which trace a call belongs to, for whoever asks about the call by its id.
//!
//! `context` keeps each traced call here as it begins; the admin interface asks. Calls that are not traced come nowhere
//! near it. Bounded: the oldest give way.

use std::collections::VecDeque;
use std::sync::Mutex;

use toolgate_protocol::trace::TraceId;

use crate::call::CallId;
use crate::lock::lock;

/// Parts with a lock of their own, so that cores hardly ever meet at one. Ids are counted: neighbours lie apart.
const PARTS: usize = 16;
/// Calls of each part.
const EACH: usize = 1024;

/// The traced calls that began last.
#[derive(Debug, Default)]
pub(super) struct Recent([Mutex<VecDeque<(CallId, TraceId)>>; PARTS]);

impl Recent {
    /// Keeps the trace of a call that begins.
    pub(super) fn keep(&self, id: CallId, trace: TraceId) {
        let mut part = lock(self.part(id.as_str()));
        if part.len() == EACH {
            part.pop_front();
        }
        part.push_back((id, trace));
    }

    /// The trace of a call.
    pub(super) fn find(&self, id: &str) -> Option<TraceId> {
        lock(self.part(id)).iter().rev().find(|(known, _)| known.as_str() == id).map(|(_, trace)| *trace)
    }

    fn part(&self, id: &str) -> &Mutex<VecDeque<(CallId, TraceId)>> {
        &self.0[usize::from(id.as_bytes().last().copied().unwrap_or_default()) % PARTS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_calls_are_found_and_older_ones_give_way() {
        let recent = Recent::default();
        let trace = |number: usize| TraceId::new((number as u128 + 1).to_be_bytes()).expect("not zero");
        let ids: Vec<CallId> = (0..PARTS * EACH + PARTS).map(|_| CallId::mint()).collect();
        for (number, id) in ids.iter().enumerate() {
            recent.keep(*id, trace(number));
        }
        let last = ids.len() - 1;
        assert_eq!(recent.find(ids[last].as_str()).map(|found| found.to_string()), Some(trace(last).to_string()));
        let kept: usize = recent.0.iter().map(|part| lock(part).len()).sum();
        assert!(kept <= PARTS * EACH, "{kept}");
        assert!(recent.find(ids[0].as_str()).is_none() && recent.find("").is_none());
    }
}
