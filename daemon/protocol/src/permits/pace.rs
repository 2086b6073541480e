//! How fast a line moves, and what those are told for whom it has no place.
//!
//! Fed under the lock of the line, by those who move it; all times are nanoseconds of one monotonic clock.

/// Of how many steps the mean is made.
const MEMORY: u64 = 16;

/// Nobody is told to come back later than this.
const LONGEST: u64 = 60_000_000_000;

/// The pace of a line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// When it last moved, since somebody has always been waiting.
    last: Option<u64>,
    /// Mean time between two steps; 0: not known.
    gap: u64,
    /// When the last one is expected of those who were told to come back.
    expected: u64,
}

impl Pace {
    /// The line begins to wait: the time in which nobody waited says nothing.
    pub fn begins(&mut self, now: u64) {
        self.last = Some(now);
    }

    /// One waiter was served.
    pub fn moves(&mut self, now: u64) {
        if let Some(last) = self.last.replace(now) {
            let gap = now.saturating_sub(last);
            self.gap = if self.gap == 0 { gap } else { (self.gap * (MEMORY - 1) + gap) / MEMORY }.max(1);
        }
    }

    /// How long it takes until as many as wait now are served; `None` where nobody was served yet.
    #[must_use]
    pub fn wait(&self, waiting: usize, now: u64) -> Option<u64> {
        let still = self.last.map_or(0, |last| now.saturating_sub(last));
        // A line that stands is slower than it was.
        let gap = if still > self.gap.saturating_mul(MEMORY) { still } else { self.gap };
        (self.gap > 0).then(|| gap.saturating_mul(waiting as u64).min(LONGEST))
    }

    /// When one who finds no place may come back: behind those who wait, and behind those who were told so before, so
    /// that they do not come all at once.
    pub fn come_back(&mut self, waiting: usize, now: u64) -> Option<u64> {
        let after = now + self.wait(waiting, now)?;
        self.expected = (self.expected + self.gap).clamp(after, now + LONGEST);
        Some(self.expected - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn steady(gap: u64) -> (Pace, u64) {
        let mut pace = Pace::default();
        pace.begins(0);
        for step in 1..=100 {
            pace.moves(step * gap);
        }
        (pace, 100 * gap)
    }

    #[test]
    fn the_wait_follows_the_measured_pace() {
        assert_eq!(Pace::default().wait(10, 5), None);
        let (mut pace, now) = steady(2 * MS);
        assert_eq!(pace.wait(50, now), Some(100 * MS));
        for step in 1..=200 {
            pace.moves(now + step * 4 * MS);
        }
        let wait = pace.wait(50, now + 800 * MS).unwrap();
        assert!((199 * MS..=200 * MS).contains(&wait), "{wait}");
    }

    #[test]
    fn a_line_that_stands_is_known_to_stand_and_an_empty_one_is_not() {
        let (mut pace, now) = steady(MS);
        assert_eq!(pace.wait(1, now + 500 * MS), Some(500 * MS));
        assert_eq!(pace.wait(1000, now + 500 * MS), Some(LONGEST));
        pace.begins(now + 500 * MS);
        pace.moves(now + 501 * MS);
        assert_eq!(pace.wait(1, now + 501 * MS), Some(MS));
    }

    #[test]
    fn the_refused_are_told_to_come_one_after_the_other() {
        let (mut pace, now) = steady(MS);
        let told: Vec<_> = (0..4).map(|_| pace.come_back(100, now).unwrap() / MS).collect();
        assert_eq!(told, [100, 101, 102, 103]);
        assert_eq!(pace.come_back(100, now + 50 * MS), Some(LONGEST.min(100 * 50 * MS)), "it stands");
        let (mut pace, now) = steady(MS);
        for _ in 0..100_000 {
            pace.come_back(100, now);
        }
        assert_eq!(pace.come_back(100, now), Some(LONGEST));
    }
}
