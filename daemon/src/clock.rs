//! Monotonic time since the process started, cheap enough to read on every call.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the first reading.
pub fn millis() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds from the first reading to `now`; 0 where it lies before.
pub fn millis_at(now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(*START).as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since an earlier reading of [`millis`]. What an earlier process has read, carried over, is
/// less than nothing, and wraps.
pub fn millis_since(then: u64) -> u64 {
    // Another core may have read later than this one.
    millis().wrapping_sub(then).cast_signed().max(0).cast_unsigned()
}

/// Milliseconds since 1970, for what another process is to read. It may jump.
pub fn unix_millis() -> u64 {
    unix_micros() / 1000
}

/// Microseconds since 1970. It may jump.
pub fn unix_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// What [`unix_millis`] said when [`millis`] said this, as far as nobody has set the clock since.
pub fn unix_millis_then(then: u64) -> u64 {
    unix_millis().saturating_sub(millis_since(then))
}

/// Nanoseconds from the first reading to `now`; 0 where it lies before.
pub fn nanos_at(now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(*START).as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds since the first reading.
pub fn nanos() -> u64 {
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
