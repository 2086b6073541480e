//! What is known of the process, its certificates and its alerts: read by whoever asks, without waiting.
//!
//! `lifecycle::pulse` writes what it reads each second, [`super::watch`] the rest. A value of the gate.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use toolgate_admin_api as api;

use super::alerts::Alarms;
use super::health::Recent;
use super::rates::Rates;
use crate::listen::open::OpenListener;
use crate::lock::lock;
use crate::overload::readings;

/// Readings that are kept: a minute of them.
const KEPT: usize = 60;

/// How many of them count as now, where one alone would say too little.
const RECENT: u8 = 10;

/// The open listeners, whichever they are at the time.
pub type Open = Arc<ArcSwap<Vec<Arc<OpenListener>>>>;

/// What is known.
#[derive(Debug, Default)]
pub struct Observed {
    readings: Mutex<VecDeque<Reading>>,
    process: ArcSwap<Sample>,
    listeners: OnceLock<Open>,
    /// How full the state folder's file system is.
    pub disk: ArcSwap<Disk>,
    /// What the operator's checks found, by name.
    pub own: ArcSwap<BTreeMap<String, Found>>,
    /// How the calls of the last minute fared.
    pub rates: ArcSwap<Rates>,
    /// Alerts, and what of them waits for the webhook.
    pub alarms: Alarms,
    /// What health was a moment ago, for pages.
    pub health: ArcSwapOption<Recent>,
    /// What to do about the number of machines, where somebody wants to know.
    pub advice: ArcSwapOption<api::Advice>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    cpu: f64,
    memory: f64,
}

/// The process as it was read last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// As it was read; the disk is not among it.
    pub process: api::Process,
    /// Share of the processors in the last ten seconds.
    pub cpu: f64,
    /// The same of the last minute.
    pub cpu_minute: f64,
    /// Share of the memory limit in the last minute.
    pub memory_minute: f64,
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Disk {
    /// There is no state folder, or nobody looked yet.
    #[default]
    Unknown,
    /// Share that is used.
    Used(f64),
    /// It does not say, or not in time.
    Silent,
}

/// What a check of the operator's found.
#[derive(Debug, Clone)]
pub struct Found {
    /// What is wrong, as a sentence; none where nothing is.
    pub problem: Option<String>,
    /// When, by our clock in milliseconds.
    pub at: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

impl Observed {
    /// Takes in a reading.
    pub fn read(&self, process: api::Process) {
        let mut readings = lock(&self.readings);
        if readings.len() == KEPT {
            readings.pop_front();
        }
        let memory = readings::ratio(process.memory, process.memory_limit);
        readings.push_back(Reading { cpu: process.cpu, memory });
        let sample = Sample {
            process,
            // A second that the process did not have yet is one in which it used nothing: a start is no load.
            cpu: readings.iter().rev().take(usize::from(RECENT)).map(|reading| reading.cpu).sum::<f64>()
                / f64::from(RECENT),
            cpu_minute: mean(readings.iter().map(|reading| reading.cpu)),
            memory_minute: mean(readings.iter().map(|reading| reading.memory)),
        };
        self.process.store(Arc::new(sample));
    }

    /// The process, with its memory as it is now.
    pub fn sample(&self) -> Sample {
        let mut sample = **self.process.load();
        if let Some(memory) = readings::resident() {
            sample.process.memory = memory;
        }
        if sample.process.memory_limit == 0 {
            sample.process.memory_limit = readings::machine_memory();
        }
        if let Disk::Used(used) = **self.disk.load() {
            sample.process.disk = used;
        }
        sample
    }

    /// Whether the process was read yet.
    pub fn is_read(&self) -> bool {
        self.process.load().process.descriptors_limit > 0
    }

    /// Looks at these listeners from now on; once.
    pub fn follow(&self, listeners: Open) {
        // A second one would be of another gate.
        let _ = self.listeners.set(listeners);
    }

    /// The open listeners; none before they are known.
    pub fn listeners(&self) -> Vec<Arc<OpenListener>> {
        self.listeners.get().map_or_else(Vec::new, |listeners| listeners.load().to_vec())
    }

    /// The certificates of all listeners, by listener.
    pub fn certificates(&self) -> Vec<api::Certificate> {
        let listeners = self.listeners();
        let secured = listeners.iter().filter_map(|open| Some((open.settings().name.clone(), open.secured()?)));
        secured
            .flat_map(|(listener, secured)| {
                let all = secured.certificates.status();
                all.iter().map(|status| status.to_api(&listener)).collect::<Vec<_>>()
            })
            .collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "readings are few")]
fn mean(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = numbers.len().max(1) as f64;
    numbers.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_now_are_ten_seconds() {
        let observed = Observed::default();
        assert!(!observed.is_read() && observed.sample().process.memory_limit > 0);
        for second in 0..100 {
            let cpu = if second >= 95 { 1.0 } else { 0.0 };
            let process = api::Process { cpu, memory: 5, memory_limit: 10, descriptors_limit: 1, ..Default::default() };
            observed.read(process);
        }
        let sample = observed.sample();
        assert!((sample.cpu - 0.5).abs() < 1e-9 && (sample.cpu_minute - 5.0 / 60.0).abs() < 1e-9, "{sample:?}");
        assert!((sample.memory_minute - 0.5).abs() < 1e-9 && observed.is_read());
        assert!(sample.process.memory > 5, "memory is what it is now");
    }

    #[test]
    fn a_start_is_no_load() {
        let observed = Observed::default();
        observed.read(api::Process { cpu: 1.0, ..Default::default() });
        assert!((observed.sample().cpu - 0.1).abs() < 1e-9);
    }
}
