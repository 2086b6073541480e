//! Few points of many samples, as wide as a graph is.

use super::{Track, millis, tick};

/// Points of one answer at most.
const POINTS: u64 = 5_000;

/// How samples become one point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// Rates and levels.
    Mean,
    /// What must not vanish between others, such as the slowest calls.
    Max,
}

/// Which points: they begin at multiples of their step, so that a graph that moves on keeps its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The tick of the first point.
    pub first: u64,
    /// Ticks of a point.
    pub step: u64,
    /// Points.
    pub points: u64,
}

impl Span {
    /// At most `points` points from `from_ms` to `to_ms`, both in milliseconds since 1970 and both within.
    #[must_use]
    pub fn new(from_ms: u64, to_ms: u64, points: u64) -> Self {
        let (from, to) = (tick(from_ms), tick(to_ms.max(from_ms)));
        let most = points.clamp(1, POINTS);
        let mut step = (to - from + 1).div_ceil(most);
        // One more where the multiples do not fall together with the begin.
        while to / step - from / step + 1 > most {
            step += 1;
        }
        Self { first: from / step * step, step, points: to / step - from / step + 1 }
    }

    /// When the first point begins, in milliseconds since 1970.
    #[must_use]
    pub fn from_ms(&self) -> u64 {
        millis(self.first)
    }

    /// Milliseconds of a point.
    #[must_use]
    pub fn step_ms(&self) -> u64 {
        millis(self.step)
    }

    /// The points of a series; nothing where it has no sample.
    #[must_use]
    pub fn of(&self, track: &Track, combine: Combine) -> Vec<Option<f64>> {
        let point = |at: u64| {
            let begin = self.first + at * self.step;
            let samples = (begin..begin + self.step).filter_map(|tick| track.at(tick)).map(f64::from);
            combine.all(samples)
        };
        (0..self.points).map(point).collect()
    }
}

impl Combine {
    fn all(self, samples: impl Iterator<Item = f64>) -> Option<f64> {
        match self {
            Self::Max => samples.reduce(f64::max),
            Self::Mean => {
                let (sum, count) = samples.fold((0.0, 0.0), |(sum, count), sample| (sum + sample, count + 1.0));
                (count > 0.0).then(|| sum / count)
            }
        }
    }
}
