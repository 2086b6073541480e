//! How many calls a server takes at once before it gets slower, found from how long they take.
//!
//! After the gradient of TCP Vegas and of Netflix's concurrency limits, as published: the limit is multiplied by how
//! much longer than unloaded a call may take over how long it does take, and grows by a root of itself where there is
//! room. What a call takes unloaded is the least of the last two periods; each period begins with a probe at half the
//! limit, so that a server that got slower for good is not taken for a loaded one for ever. No clock, no lock: whoever
//! counts calls says what it counted once a second.

/// Fewer calls say little: they are kept until there are more, or for [`PATIENCE`].
const ENOUGH: u64 = 10;

/// After as many seconds a few calls have to do: a server that hardly answers must not be waited for.
const PATIENCE: f64 = 5.0;

/// Observations from one probe to the next.
const PERIOD: u32 = 30;

/// Observations of a probe: in the first, calls still end that began before it.
const PROBE: u32 = 2;

/// How far one observation moves the limit.
const SMOOTHING: f64 = 0.5;

/// Where a limit begins that nothing is known of.
const START: f64 = 20.0;

/// Within what a limit stays, and what it is to keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The least limit.
    pub min: usize,
    /// The largest limit; not below `min`.
    pub max: usize,
    /// How long a call may take, as a multiple of what it takes unloaded; above 1.
    pub tolerance: f64,
}

/// What was counted since the last observation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Window {
    /// Calls that ended.
    pub calls: u64,
    /// How long they took, all together, in seconds.
    pub time: f64,
    /// The length of the window, in seconds.
    pub span: f64,
}

/// The limit of one server.
#[derive(Debug, Clone)]
pub struct Gradient {
    bounds: Bounds,
    limit: f64,
    gathered: Window,
    /// Observations of this period.
    age: u32,
    /// The least mean of this period, and of the one before.
    least: [f64; 2],
}

impl Gradient {
    /// A limit of a server that nothing is known of.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let least = [f64::INFINITY; 2];
        // The start is a probe already: there is nothing to compare with.
        let mut new = Self { bounds, limit: START, gathered: Window::default(), age: PROBE, least };
        new.bound();
        new
    }

    /// Other bounds for what is known.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.bound();
    }

    /// The number of calls that may be in flight now.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by two counts")]
    pub fn limit(&self) -> usize {
        let limit = if self.probes() { self.limit / 2.0 } else { self.limit };
        (limit.round() as usize).clamp(self.bounds.min, self.bounds.max)
    }

    /// How long a call takes unloaded, in seconds, where that is known.
    #[must_use]
    pub fn unloaded(&self) -> Option<f64> {
        let least = self.least[0].min(self.least[1]);
        least.is_finite().then_some(least)
    }

    /// Takes what was counted, and moves the limit.
    #[expect(clippy::cast_precision_loss, reason = "a mean of counted calls")]
    pub fn observe(&mut self, window: Window) {
        let gathered = &mut self.gathered;
        gathered.calls += window.calls;
        gathered.time += window.time;
        gathered.span += window.span;
        if gathered.calls == 0 || (gathered.calls < ENOUGH && gathered.span < PATIENCE) {
            return;
        }
        let seen = std::mem::take(gathered);
        let mean = seen.time / seen.calls as f64;
        // Calls that overlap: their time over the time in which they ended.
        let in_flight = seen.time / seen.span.max(f64::EPSILON);
        // The first of a probe is of calls that began before it.
        if self.age != 0 {
            self.least[0] = self.least[0].min(mean);
        }
        if !self.probes() {
            self.follow(mean, in_flight);
        }
        self.age += 1;
        if self.age >= PERIOD {
            self.age = 0;
            self.least = [f64::INFINITY, self.least[0]];
        }
    }

    fn follow(&mut self, mean: f64, in_flight: f64) {
        let unloaded = self.least[0].min(self.least[1]);
        let gradient = (self.bounds.tolerance * unloaded / mean.max(f64::EPSILON)).clamp(0.5, 1.0);
        let wanted = self.limit * gradient + self.limit.sqrt();
        // A limit that nobody comes near says nothing of the server, and must not grow for it.
        if wanted > self.limit && in_flight < self.limit * 0.7 {
            return;
        }
        self.limit += (wanted - self.limit) * SMOOTHING;
        self.bound();
    }

    fn probes(&self) -> bool {
        self.age < PROBE
    }

    #[expect(clippy::cast_precision_loss, reason = "bounds far below 2^52")]
    fn bound(&mut self) {
        self.bounds.max = self.bounds.max.max(self.bounds.min);
        self.limit = self.limit.clamp(self.bounds.min as f64, self.bounds.max as f64);
    }
}

#[cfg(test)]
mod tests;
