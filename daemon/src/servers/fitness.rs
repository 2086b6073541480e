//! Whether a server answers, as calls and checks find it: readiness and health read this.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{info, warn};

use crate::lock::lock;

/// What is known of a server's fitness. A server that answers costs one atomic read per call.
#[derive(Debug, Default)]
pub struct Fitness {
    ill: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Fitness {
    /// The server has answered; `true` when it did not before.
    pub fn answered(&self, server: &str) -> bool {
        let recovered = self.ill.load(Ordering::Relaxed) && self.ill.swap(false, Ordering::Relaxed);
        if recovered {
            *lock(&self.trouble) = None;
            info!(server, "the server answers again");
        }
        recovered
    }

    /// The server could not be reached, or gave no answer.
    pub fn failed(&self, server: &str, why: &str) {
        *lock(&self.trouble) = Some(why.to_owned());
        if !self.ill.swap(true, Ordering::Relaxed) {
            warn!(server, why, "the server does not answer");
        }
    }

    /// Whether the last that was tried failed.
    pub fn is_ill(&self) -> bool {
        self.ill.load(Ordering::Relaxed)
    }

    /// Why calls are likely to fail.
    pub fn trouble(&self) -> Option<String> {
        if !self.ill.load(Ordering::Relaxed) {
            return None;
        }
        lock(&self.trouble).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        let fitness = Fitness::default();
        assert_eq!(fitness.trouble(), None);
        fitness.failed("weather", "refused");
        fitness.failed("weather", "timed out");
        assert_eq!(fitness.trouble().as_deref(), Some("timed out"));
        assert!(fitness.answered("weather") && !fitness.answered("weather"));
        assert_eq!(fitness.trouble(), None);
    }
}
