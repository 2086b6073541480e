//! How long calls took over the last ten minutes: a column for every ten seconds.

use toolgate_protocol::latency::{COARSE, coarse};

use super::count::{Count, Count32};

/// Columns that are kept.
pub(super) const COLUMNS: usize = 60;

/// One core's columns.
#[derive(Debug)]
pub(super) struct Heat([Column; COLUMNS]);

#[derive(Debug, Default)]
struct Column {
    tick: Count,
    counts: [Count32; COARSE],
}

impl Default for Heat {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Column::default()))
    }
}

impl Heat {
    /// Adds a call that ended; for the core that owns this.
    pub(super) fn add(&self, tick: u64, us: u64) {
        let column = &self.0[place(tick)];
        if column.tick.get() != tick {
            column.counts.iter().for_each(|count| count.set(0));
            column.tick.set(tick);
        }
        column.counts[coarse(us)].increment();
    }

    /// The column of a tick, added to `into`.
    pub(super) fn sum(&self, tick: u64, into: &mut [u64; COARSE]) {
        let column = &self.0[place(tick)];
        if column.tick.get() == tick {
            into.iter_mut().zip(&column.counts).for_each(|(sum, count)| *sum += u64::from(count.get()));
        }
    }
}

fn place(tick: u64) -> usize {
    usize::try_from(tick % COLUMNS as u64).unwrap_or(0)
}
