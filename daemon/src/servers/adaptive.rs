//! How many calls a server may have at once: what is configured, less what it was found not to take, less what an
//! overloaded gate takes from all.

use std::sync::Mutex;
use std::time::Duration;

use toolgate_protocol::gradient::{Bounds, Gradient, Window};

use super::Server;
use crate::lock::lock;
use crate::overload::hundredths;

/// The limit that was found; none where it is not looked for.
#[derive(Debug, Default)]
pub struct Adaptive(Mutex<Option<Gradient>>);

/// What is known of a server that is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Calls that it may have at once.
    pub limit: usize,
    /// Seconds that a call takes while the server has little to do, once that is known.
    pub unloaded: Option<f64>,
}

impl Server {
    /// Takes into account what was measured in the last `span`, then allows as many calls as there may be. An
    /// overloaded gate leaves `share` of them.
    pub fn observe(&self, span: Duration, share: f64) {
        if self.settings.adaptive.is_some() {
            let sample = self.queue.sample();
            let window = Window { calls: sample.calls, time: sample.time.as_secs_f64(), span: span.as_secs_f64() };
            if let Some(gradient) = &mut *self.gradient() {
                gradient.observe(window);
            }
        }
        self.allow(share);
        self.queue.tick();
        self.streams.tick();
    }

    /// Allows as many calls as there may be, after a reload or an observation.
    pub fn allow(&self, share: f64) {
        let settings = &self.settings;
        self.queue.measure(settings.adaptive.is_some());
        let mut gradient = self.gradient();
        let cap = match settings.adaptive {
            None => {
                *gradient = None;
                settings.max_calls
            }
            Some(adaptive) => {
                let bounds = Bounds {
                    min: adaptive.min.min(settings.max_calls),
                    max: settings.max_calls,
                    tolerance: hundredths(adaptive.tolerance),
                };
                let gradient = gradient.get_or_insert_with(|| Gradient::new(bounds));
                gradient.set_bounds(bounds);
                gradient.limit()
            }
        };
        drop(gradient);
        self.queue.set_cap(part(cap, share));
    }

    /// What was found, where it is looked for.
    pub fn found(&self) -> Option<Found> {
        self.gradient().as_ref().map(|gradient| Found { limit: gradient.limit(), unloaded: gradient.unloaded() })
    }

    fn gradient(&self) -> std::sync::MutexGuard<'_, Option<Gradient>> {
        lock(&self.adaptive.0)
    }
}

/// A share of a cap; never nothing.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count, from 0 to 1"
)]
fn part(cap: usize, share: f64) -> usize {
    if share >= 1.0 { cap } else { ((cap as f64 * share).round() as usize).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_cap_is_never_nothing() {
        assert_eq!([part(100, 1.0), part(100, 0.7), part(1, 0.3), part(3, 0.34)], [100, 70, 1, 1]);
    }
}
