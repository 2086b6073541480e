//! What was: a day of samples of everything that the console draws, kept across restarts.
//!
//! [`Keeper`] takes a sample every ten seconds from whoever is [`Sampled`] and hands it to a thread that writes it into
//! the state folder. [`History`] answers from memory. What is kept and how it lies is decided in `protocol/history`.

mod file;
mod keeper;

use std::sync::Mutex;

use toolgate_admin_api as api;
use toolgate_protocol::history::{Combine, Span, Store, millis};

pub use keeper::Keeper;

use crate::lock::lock;

/// Series of one answer at most, and names of one question.
pub const SERIES: usize = 128;

/// Series of the gate itself.
pub const GATE_SERIES: [&str; 13] = [
    "calls",
    "errors",
    "refused",
    "p50",
    "p99",
    "in_flight",
    "waiting",
    "sessions",
    "connections",
    "cpu",
    "memory",
    "bytes_in",
    "bytes_out",
];

/// Whoever can say how it is now.
pub trait Sampled: Send + Sync {
    /// All readings of this moment, each under the name of its series.
    fn sample(&self) -> Vec<(String, Reading)>;
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// How much there is now.
    Level(f64),
    /// How many there were since the process began: kept as how many a second.
    Count(u64),
    /// The same of what is idle: no point where there were no more. It is told at every sample, lest all of it be taken
    /// for new.
    Rare(u64),
}

/// The last day, in memory.
#[derive(Debug, Default)]
pub struct History(Mutex<Store>);

impl History {
    /// The series of these names, each once; a name that ends with `*` stands for all that begin so and go on without a
    /// `/`. Unknown ones are left out, and what is beyond [`SERIES`].
    pub fn answer(&self, names: &[String], span: Span) -> api::History {
        let store = lock(&self.0);
        let wanted = wanted(&store, names);
        let series = wanted.into_iter().filter_map(|name| {
            let track = store.get(name)?;
            Some(api::Series {
                name: name.to_owned(),
                unit: unit(name).to_owned(),
                from_ms: span.from_ms(),
                step_ms: span.step_ms(),
                points: span.of(track, combine(name)),
            })
        });
        api::History { series: series.collect(), oldest_ms: store.oldest().map_or(0, millis) }
    }
}

fn wanted<'a>(store: &'a Store, names: &'a [String]) -> Vec<&'a str> {
    let mut wanted: Vec<&str> = Vec::new();
    for name in names {
        let mut found = match name.strip_suffix('*') {
            None => vec![name.as_str()],
            Some(begin) => {
                store.names().filter(|name| name.strip_prefix(begin).is_some_and(|rest| !rest.contains('/'))).collect()
            }
        };
        found.sort_unstable();
        for name in found {
            if wanted.len() == SERIES {
                return wanted;
            }
            if !wanted.contains(&name) {
                wanted.push(name);
            }
        }
    }
    wanted
}

/// The word before what a series is of.
fn kind(name: &str) -> &str {
    name.split([':', '@']).next().unwrap_or_default()
}

fn unit(name: &str) -> &'static str {
    match kind(name) {
        "calls" | "errors" | "refused" => "per_second",
        "bytes_in" | "bytes_out" => "bytes_per_second",
        "p50" | "p99" => "us",
        "memory" => "bytes",
        "cpu" => "ratio",
        _ => "count",
    }
}

/// Of the slowest calls, and of what fills up, the worst is what matters.
fn combine(name: &str) -> Combine {
    match kind(name) {
        "p99" | "waiting" => Combine::Max,
        _ => Combine::Mean,
    }
}

#[cfg(test)]
mod tests;
