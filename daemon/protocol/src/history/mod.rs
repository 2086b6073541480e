//! A day of samples: what was, for graphs that begin before anybody looked.
//!
//! Time is counted in *ticks* of [`TICK`] seconds since 1970, so that samples of two processes lie beside each other.
//! `track` holds one series, `store` all of them within their bounds, `thin` makes few points of many samples,
//! `layout` says how they lie in a file. No clock and no I/O.

pub mod layout;
mod store;
mod thin;
mod track;

pub use store::{Class, Store};
pub use thin::{Combine, Span};
pub use track::Track;

/// Seconds from one sample to the next.
pub const TICK: u64 = 10;

/// Samples of a day.
pub const DAY: u64 = 24 * 60 * 60 / TICK;

/// The tick of a time in milliseconds since 1970.
#[must_use]
pub fn tick(millis: u64) -> u64 {
    millis / (TICK * 1_000)
}

/// When a tick begins, in milliseconds since 1970.
#[must_use]
pub fn millis(tick: u64) -> u64 {
    tick * TICK * 1_000
}

#[cfg(test)]
mod tests;
