//! What others hold for us: cursors, states of calls, tokens at rest. Sealed so that nobody reads or forges it.
//!
//! AES-256-GCM, bound to its owner (the additional data): what is another client's does not open. Each sealed text
//! begins with the short name of its key, so that opening it is one try. Keys change with an overlap: [`ring`] says
//! which of them seal and open, [`file`] keeps the gate's own ones.

mod file;
mod ring;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tracing::{error, info};

pub use self::ring::Origin;
use self::ring::{Due, ID, Ring};
use crate::clock;
use crate::config::settings::{SealKey, Sealing};
use crate::lock::lock;

/// Seals and opens.
#[derive(Debug)]
pub struct Seal {
    ring: ArcSwap<Ring>,
    keeping: Mutex<Keeping>,
}

/// How the ring is kept. Held while it is replaced, and never by whoever seals or opens.
#[derive(Debug)]
struct Keeping {
    /// The state folder; none: its own keys end with the process.
    folder: Option<PathBuf>,
    sealing: Sealing,
    /// Why its own keys are not on the disk.
    trouble: Option<String>,
}

/// A key as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its short name, in hexadecimal.
    pub id: String,
    /// Where it is from.
    pub origin: Origin,
    /// When it was made, or first seen by this process where it is a configured one; in milliseconds since 1970.
    pub made_ms: u64,
    /// When it opens no more; none: it seals, or is configured.
    pub opens_until_ms: Option<u64>,
}

/// All keys as operators see them, the one that seals first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The keys.
    pub keys: Vec<Shown>,
    /// Whether the gate's own ones outlive the process.
    pub kept: bool,
    /// How they change.
    pub sealing: Sealing,
}

/// Why the key was not replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRotated {
    /// The configuration names the key.
    Configured,
    /// The disk does not take a new one: what it sealed would be lost with the process.
    NotKept(String),
}

impl Seal {
    /// A seal that ends with the process.
    pub fn random() -> Self {
        Self::start(None, &Sealing::default())
    }

    /// The seal that these settings ask for, with its own keys in a state folder, if there is one.
    pub fn start(folder: Option<&Path>, sealing: &Sealing) -> Self {
        let kept = folder.map_or_else(|| Ok(Vec::new()), file::load);
        let mut keeping = Keeping { folder: folder.map(Path::to_owned), sealing: sealing.clone(), trouble: None };
        let (before, unreadable) = match kept {
            Ok(kept) => (Ring::of(kept), None),
            // It may be readable again later, so nothing is written over it.
            Err(problem) => {
                keeping.folder = None;
                (Ring::of(Vec::new()), Some(trouble(&problem)))
            }
        };
        let ring = before.under(sealing, clock::unix_millis(), fresh);
        keeping.keep(&ring);
        keeping.trouble = unreadable.or(keeping.trouble);
        if let Some(trouble) = &keeping.trouble {
            error!("{trouble}");
        }
        Self { ring: ArcSwap::from_pointee(ring), keeping: Mutex::new(keeping) }
    }

    /// Seals `text` for `owner`: a client, or whatever else what is sealed belongs to.
    pub fn seal(&self, owner: &str, text: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.ring.load().sealing().seal(owner.as_bytes(), text))
    }

    /// Opens what [`Seal::seal`] made for the same owner; `None` for everything else, and for what a key has sealed that
    /// opens no more.
    pub fn open(&self, owner: &str, sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        self.ring.load().open(owner.as_bytes(), &bytes)
    }

    /// The short name of the key that seals.
    pub fn key(&self) -> String {
        name(self.ring.load().sealing().id)
    }

    /// Takes over what a reload says.
    pub fn follow(&self, sealing: &Sealing) {
        let mut keeping = lock(&self.keeping);
        if keeping.sealing == *sealing {
            return;
        }
        keeping.sealing = sealing.clone();
        let ring = self.ring.load().under(sealing, clock::unix_millis(), fresh);
        keeping.keep(&ring);
        self.ring.store(Arc::new(ring));
    }

    /// Has a fresh key of the gate's own seal from now on; with `alone` no older one opens any more. With `dry_run` only
    /// says what would be.
    pub fn rotate(&self, alone: bool, dry_run: bool) -> Result<Standing, NotRotated> {
        let mut keeping = lock(&self.keeping);
        if keeping.sealing.key.is_some() {
            return Err(NotRotated::Configured);
        }
        let now = clock::unix_millis();
        let mut ring = self.ring.load().rotated(&keeping.sealing, now, fresh());
        if alone {
            ring = ring.alone(&keeping.sealing, now);
        }
        if dry_run {
            return Ok(standing(&ring, &keeping));
        }
        if let Some(folder) = &keeping.folder {
            file::save(folder, &ring).map_err(|problem| NotRotated::NotKept(problem.to_string()))?;
            keeping.trouble = None;
        }
        let standing = standing(&ring, &keeping);
        self.ring.store(Arc::new(ring));
        Ok(standing)
    }

    /// Does what time asks for: replaces a key that is old enough, and forgets what opens no more. To be called now and
    /// then.
    pub fn tend(&self) {
        let now = clock::unix_millis();
        let mut keeping = lock(&self.keeping);
        let ring = match self.ring.load().is_due(&keeping.sealing, now) {
            Due::Nothing => return,
            Due::Forgetting => self.ring.load().under(&keeping.sealing, now, fresh),
            Due::Rotation => self.ring.load().rotated(&keeping.sealing, now, fresh()),
        };
        let was_in_trouble = keeping.trouble.is_some();
        if keeping.keep(&ring) {
            info!(key = name(ring.sealing().id), keys = ring.all().count(), "the sealing keys changed with time");
            self.ring.store(Arc::new(ring));
        } else if let Some(trouble) = keeping.trouble.as_ref().filter(|_| !was_in_trouble) {
            // The key that is on the disk goes on sealing until the disk takes another.
            error!("{trouble}");
        }
    }

    /// The keys as operators see them.
    pub fn standing(&self) -> Standing {
        let keeping = lock(&self.keeping);
        standing(&self.ring.load(), &keeping)
    }

    /// What keeps its own keys from being kept.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.keeping).trouble.clone()
    }
}

impl Keeping {
    /// Whether the next process finds what it is to find: where there is no folder, that is nothing.
    fn keep(&mut self, ring: &Ring) -> bool {
        let Some(folder) = &self.folder else { return true };
        self.trouble = file::save(folder, ring).err().map(|problem| trouble(&problem));
        self.trouble.is_none()
    }
}

fn trouble(problem: &std::io::Error) -> String {
    format!("the sealing keys cannot be kept: {problem}; what is sealed since then may not open after a restart")
}

fn standing(ring: &Ring, keeping: &Keeping) -> Standing {
    let overlap_ms = u64::try_from(keeping.sealing.overlap.as_millis()).unwrap_or(u64::MAX);
    let shown = |held: &ring::Held| Shown {
        id: name(held.id),
        origin: held.origin,
        made_ms: held.made_ms,
        opens_until_ms: held.retired_ms.map(|retired| retired.saturating_add(overlap_ms)),
    };
    Standing {
        keys: ring.all().map(shown).collect(),
        kept: keeping.folder.is_some() && keeping.trouble.is_none(),
        sealing: keeping.sealing.clone(),
    }
}

fn name(id: [u8; ID]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

fn fresh() -> SealKey {
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).expect("the system has a random source");
    SealKey::new(key)
}

#[cfg(test)]
mod tests;
