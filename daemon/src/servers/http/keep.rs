//! For how long connections to one server are kept; a reload changes it under those who hold them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::settings;
use crate::servers::queue::nanos;

/// The margin that keeps a call from meeting the server's own close.
const MARGIN: Duration = Duration::from_secs(1);

/// What is configured, in nanoseconds; shared by all pools of a server.
#[derive(Debug, Default)]
pub(super) struct Keep {
    idle: AtomicU64,
    /// [`u64::MAX`] where none is too old.
    max_age: AtomicU64,
}

impl Keep {
    pub(super) fn new(bounds: &settings::Pool) -> Arc<Self> {
        let keep = Self::default();
        keep.follow(bounds);
        Arc::new(keep)
    }

    /// Those who hold connections are to look again.
    pub(super) fn follow(&self, bounds: &settings::Pool) {
        self.idle.store(nanos(bounds.idle_timeout), Ordering::Relaxed);
        self.max_age.store(bounds.max_age.map_or(u64::MAX, nanos), Ordering::Relaxed);
    }

    /// How long a connection may be without a call.
    pub(super) fn idle(&self) -> Duration {
        Duration::from_nanos(self.idle.load(Ordering::Relaxed))
    }

    /// From when on one is too old; none where none is.
    pub(super) fn max_age(&self) -> Option<Duration> {
        Some(self.max_age.load(Ordering::Relaxed)).filter(|age| *age != u64::MAX).map(Duration::from_nanos)
    }

    /// How long one that is `old` may go on.
    pub(super) fn age_left(&self, old: Duration) -> Duration {
        self.max_age().map_or(Duration::MAX, |age| age.saturating_sub(old))
    }

    /// How long one that has had no call since then may be kept, where its server keeps it for as long as it has
    /// `announced`.
    pub(super) fn left(&self, announced: Option<Duration>, born: Instant, since: Instant) -> Duration {
        let idle = announced.map_or(Duration::MAX, |announced| announced.saturating_sub(MARGIN)).min(self.idle());
        idle.min(self.age_left(since.saturating_duration_since(born)))
    }
}
