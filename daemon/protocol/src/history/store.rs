//! All series, within bounds: what is of the gate and of its servers has room, busy or not, tools and clients as far
//! as they are busy.

use std::collections::HashMap;

use super::{DAY, Track};

/// Bytes of a name; longer ones are not kept.
pub(super) const NAME: usize = 119;

/// A tool or client that did nothing for as many ticks gives way to another, and so does a server that is not told of
/// any more: an hour.
const GIVES_WAY: u64 = 360;

/// What a series is of. Its name says it: `calls`, `calls:SERVER`, `calls:SERVER/TOOL`, `calls@CLIENT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The gate.
    Gate,
    /// A server.
    Server,
    /// A tool.
    Tool,
    /// A client.
    Client,
}

impl Class {
    /// By the name of a series.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name.find([':', '@']) {
            None => Self::Gate,
            Some(at) if name.as_bytes()[at] == b'@' => Self::Client,
            Some(at) if name[at..].contains('/') => Self::Tool,
            Some(_) => Self::Server,
        }
    }

    /// Series of it at most, each of 36 kB at most: 500 servers have room for five each, 50 for ten.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::Gate => 16,
            Self::Server => 2_560,
            Self::Tool | Self::Client => 192,
        }
    }
}

/// Series by name.
#[derive(Debug, Default)]
pub struct Store {
    series: HashMap<Box<str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    class: Class,
    track: Track,
    /// The last tick with a sample.
    told: u64,
    /// The last tick with one that is not 0.
    busy: u64,
}

impl Entry {
    /// The last tick that spoke for keeping it. A server that is there is kept: that it did nothing is what one looks for.
    fn wanted(&self) -> u64 {
        match self.class {
            Class::Gate | Class::Server => self.told,
            Class::Tool | Class::Client => self.busy,
        }
    }
}

impl Store {
    /// Takes a sample; says whether there was room for it. What is no number is a gap.
    pub fn put(&mut self, name: &str, tick: u64, value: f32) -> bool {
        if !self.series.contains_key(name) && !self.make_room(name, tick, value) {
            return false;
        }
        let Some(entry) = self.series.get_mut(name) else { return false };
        entry.track.put(tick, value);
        entry.told = entry.told.max(tick);
        if value > 0.0 {
            entry.busy = entry.busy.max(tick);
        }
        true
    }

    /// A place for a new series, where one can be found. A series begins with a sample that says something.
    fn make_room(&mut self, name: &str, tick: u64, value: f32) -> bool {
        if name.len() > NAME || value.is_nan() {
            return false;
        }
        let class = Class::of(name);
        let of_class = || self.series.iter().filter(|(_, entry)| entry.class == class);
        if of_class().count() >= class.most() {
            let least = of_class().min_by_key(|(_, entry)| entry.wanted());
            let Some((idle, wanted)) = least.map(|(name, entry)| (name.clone(), entry.wanted())) else { return false };
            if wanted + GIVES_WAY > tick {
                return false;
            }
            self.series.remove(&idle);
        }
        self.series.insert(name.into(), Entry { class, track: Track::default(), told: tick, busy: tick });
        true
    }

    /// Forgets series of which the last day has no sample.
    pub fn forget(&mut self, now: u64) {
        self.series.retain(|_, entry| entry.told + DAY >= now);
    }

    /// A series.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Track> {
        self.series.get(name).map(|entry| &entry.track)
    }

    /// All names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(AsRef::as_ref)
    }

    /// The tick of the oldest sample that there may be.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.series.values().filter_map(|entry| Some(entry.track.bounds()?.0)).min()
    }
}
