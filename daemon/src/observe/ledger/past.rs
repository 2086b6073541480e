//! The calls that ended last, for whoever asks what became of one.
//!
//! Those that went well and those that did not are kept apart, so that many of one kind do not push out the other.

use std::collections::VecDeque;

use super::outcome::Outcome;
use super::row::Ended;

/// Calls that are kept of one core: those that went well, and the others.
const KEPT: [usize; 2] = [6_000, 4_000];
/// Bytes that they may take, each.
const BYTES: usize = 2 << 20;

/// What one core remembers.
#[derive(Debug, Default)]
pub(super) struct Past {
    rings: [Ring; 2],
}

#[derive(Debug, Default)]
struct Ring {
    calls: VecDeque<Ended>,
    bytes: usize,
}

impl Past {
    /// Remembers a call.
    pub(super) fn push(&mut self, ended: Ended) {
        let kind = usize::from(ended.outcome != Outcome::Ok);
        let ring = &mut self.rings[kind];
        ring.bytes += ended.weight();
        ring.calls.push_back(ended);
        while ring.calls.len() > KEPT[kind] || ring.bytes > BYTES {
            let Some(oldest) = ring.calls.pop_front() else { break };
            ring.bytes -= oldest.weight();
        }
    }

    /// The call with this id.
    pub(super) fn find(&self, id: &str) -> Option<&Ended> {
        self.rings.iter().flat_map(|ring| ring.calls.iter().rev()).find(|ended| ended.row.id.as_str() == id)
    }
}
