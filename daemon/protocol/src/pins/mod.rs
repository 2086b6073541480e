//! What tools claimed to be when they were first seen, and whether they still do.
//! Called for every page of tools that a server lists, and when an operator approves a change.
//! Must hold: what was accepted changes by approval only, and a change of a single space in a description is one.

mod quiet;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::canonical;
use crate::json::{self, Span};

pub use quiet::Quiet;

/// Tools of one server that are remembered.
pub const MOST: usize = 10_000;
/// Bytes of a tool's name; a longer one is not remembered. The specification has 128 (2025-11-25, "Tool Names").
pub const LONGEST_NAME: usize = 512;
/// Bytes kept of one portrait, to be shown.
const SHOWN: usize = 16 << 10;
/// Bytes of portraits kept of one server. Beyond, changes are noticed all the same, but cannot be shown.
const KEPT: usize = 4 << 20;

/// Members that an agent acts upon.
const MEMBERS: [&str; 5] = ["annotations", "description", "inputSchema", "outputSchema", "title"];

/// What a tool claims to be, as canonical JSON: two writings of the same are the same.
#[must_use]
pub fn portrait(text: &[u8], tool: Span) -> Vec<u8> {
    let mut out = vec![b'{'];
    for member in MEMBERS {
        let Some(value) = json::get(text, tool, member) else { continue };
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(json::encode_str(member).as_bytes());
        out.push(b':');
        canonical::append(&mut out, text, value);
    }
    out.push(b'}');
    out
}

/// A portrait's hash, made by the caller.
pub type Hash = [u8; 32];

/// What a tool claimed at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Of the whole portrait.
    pub hash: Hash,
    /// The portrait, or its beginning; empty where there was no room for it.
    pub text: Arc<str>,
    /// When it was first seen, in milliseconds since 1970.
    pub since: u64,
}

/// One tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// What was seen first, or approved since.
    pub accepted: Claim,
    /// What it claims instead, since it claims something else.
    pub changed: Option<Claim>,
}

impl Pin {
    fn bytes(&self) -> usize {
        self.accepted.text.len() + self.changed.as_ref().map_or(0, |changed| changed.text.len())
    }
}

/// The tools of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    pins: BTreeMap<String, Pin>,
    /// Bytes of all claims' texts.
    kept: usize,
}

/// What a look at a tool brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is new, and accepted.
    First,
    /// As it was at the last look.
    Same,
    /// It is something else than at the last look, and than what was accepted.
    Changed,
    /// It claims again what was accepted.
    Back,
    /// There are too many tools to remember it, or its name is too long.
    Unknown,
}

impl Book {
    /// What an earlier process wrote down.
    pub fn restore(&mut self, tool: String, pin: Pin) {
        self.kept += pin.bytes();
        self.kept -= self.pins.insert(tool, pin).map_or(0, |before| before.bytes());
    }

    /// Takes note of what a tool claims now.
    pub fn see(&mut self, tool: &str, hash: Hash, portrait: &[u8], now: u64) -> Seen {
        let Some(pin) = self.pins.get(tool) else {
            if self.pins.len() >= MOST || tool.len() > LONGEST_NAME {
                return Seen::Unknown;
            }
            let accepted = self.claim(hash, portrait, now);
            self.restore(tool.to_owned(), Pin { accepted, changed: None });
            return Seen::First;
        };
        if pin.changed.as_ref().unwrap_or(&pin.accepted).hash == hash {
            return Seen::Same;
        }
        let back = pin.accepted.hash == hash;
        let changed = (!back).then(|| self.claim(hash, portrait, now));
        let accepted = pin.accepted.clone();
        self.restore(tool.to_owned(), Pin { accepted, changed });
        if back { Seen::Back } else { Seen::Changed }
    }

    /// Accepts what a tool claims now, where that has this hash or none is asked for. Gives back whether it was
    /// something else before.
    ///
    /// # Errors
    /// What the tool claims by now, where that is something else than what was looked at.
    pub fn approve(&mut self, tool: &str, hash: Option<&Hash>) -> Result<bool, Hash> {
        let Some(pin) = self.pins.get_mut(tool) else { return Ok(false) };
        let now = pin.changed.as_ref().unwrap_or(&pin.accepted).hash;
        if hash.is_some_and(|hash| *hash != now) {
            return Err(now);
        }
        match pin.changed.take() {
            Some(changed) => {
                self.kept -= pin.accepted.text.len();
                pin.accepted = changed;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Whether a tool is remembered.
    #[must_use]
    pub fn knows(&self, tool: &str) -> bool {
        self.pins.contains_key(tool)
    }

    /// How many tools are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pins.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pins.is_empty()
    }

    /// A tool.
    #[must_use]
    pub fn get(&self, tool: &str) -> Option<&Pin> {
        self.pins.get(tool)
    }

    /// All tools, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Pin)> {
        self.pins.iter().map(|(name, pin)| (name.as_str(), pin))
    }

    /// Tools that are not what was accepted.
    pub fn changes(&self) -> impl Iterator<Item = (&str, &Claim, &Claim)> {
        self.all().filter_map(|(name, pin)| Some((name, &pin.accepted, pin.changed.as_ref()?)))
    }

    fn claim(&self, hash: Hash, portrait: &[u8], since: u64) -> Claim {
        let room = KEPT.saturating_sub(self.kept).min(SHOWN);
        let shown = &portrait[..portrait.len().min(room)];
        Claim { hash, text: String::from_utf8_lossy(shown).into(), since }
    }
}

#[cfg(test)]
mod tests;
