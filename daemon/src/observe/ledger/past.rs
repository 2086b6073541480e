//! The calls that ended last, for whoever asks what became of one.
//!
//! Those that went well and those that did not are kept apart, so that many of one kind do not push out the other.
//! Whoever looks for one goes a few steps at a time, for its core waits meanwhile.

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
    /// How many have left it: the number of the first that is there.
    left: u64,
}

/// Steps of a search at a time.
const STEPS: u64 = 256;

/// A search for a call, from those that ended last to those that ended first.
#[derive(Debug)]
pub(super) struct Search {
    id: [u8; 20],
    ring: usize,
    /// The number of the one that was looked at last, in the ring.
    before: u64,
}

impl Search {
    /// For the call with this id; `None` where no call has such an id.
    pub(super) fn of(id: &str) -> Option<Self> {
        Some(Self { id: id.as_bytes().try_into().ok()?, ring: 0, before: u64::MAX })
    }
}

/// What a few steps of a search have brought.
#[derive(Debug)]
pub(super) enum Looked {
    /// The call.
    Found(Box<Ended>),
    /// There are more to look at.
    Further,
    /// It is not there.
    Nowhere,
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
            ring.left += 1;
        }
    }

    /// Goes on with a search for a few steps.
    pub(super) fn look(&self, search: &mut Search) -> Looked {
        let Some(ring) = self.rings.get(search.ring) else { return Looked::Nowhere };
        let end = search.before.min(ring.left + ring.calls.len() as u64);
        let start = end.saturating_sub(STEPS).max(ring.left);
        for number in (start..end).rev() {
            let at = usize::try_from(number - ring.left).ok();
            let ended = at.and_then(|at| ring.calls.get(at)).filter(|ended| ended.row.id.bytes() == search.id);
            if let Some(ended) = ended {
                return Looked::Found(Box::new(ended.clone()));
            }
        }
        // What has left the ring meanwhile is not there any more.
        (search.ring, search.before) =
            if start > ring.left { (search.ring, start) } else { (search.ring + 1, u64::MAX) };
        Looked::Further
    }
}
