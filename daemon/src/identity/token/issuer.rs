//! An issuer as the gate knows it now: its keys, how fresh they are, and who waits for newer ones.
//!
//! Cores read keys without waiting. What fetches them ([`super::Refresher`]) is woken by whoever meets a key that is not
//! known; those wait for the end of that one fetch, and not all of them, and not for long.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use toolgate_protocol::refresh::{Refresh, Rules, Standing};

use super::{Flaw, KeySet};
use crate::clock;
use crate::config::settings::{self, KeySource};
use crate::lock::lock;

/// How long a call waits for keys.
const PATIENCE: Duration = Duration::from_secs(2);

/// Calls that wait for keys of an issuer at once.
const MOST_WAITING: usize = 256;

/// How often a file is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(1);

/// An issuer of `[issuer.NAME]`.
#[derive(Debug)]
pub struct Issuer {
    settings: Arc<settings::Issuer>,
    rules: Rules,
    keys: ArcSwap<KeySet>,
    /// Grows when a key is not there any more.
    generation: AtomicU64,
    refresh: Mutex<Refresh>,
    /// Why keys cannot be had, as a sentence.
    trouble: ArcSwapOption<String>,
    wake: Notify,
    /// Fetches that have ended.
    ended: watch::Sender<u64>,
    waiting: AtomicUsize,
    pub(super) counts: Counts,
}

/// What became of its tokens and its keys, since it was configured so.
#[derive(Debug, Default)]
pub struct Counts {
    /// Tokens whose signature was found good.
    pub verified: AtomicU64,
    /// Tokens that were refused, by flaw.
    pub refused: [AtomicU64; Flaw::ALL.len()],
    /// Fetches that went well.
    pub fetched: AtomicU64,
    /// Fetches that did not.
    pub failed: AtomicU64,
}

impl Issuer {
    /// One that knows what needs no network: its secret, or the keys of its file.
    pub(super) fn new(settings: &Arc<settings::Issuer>) -> Self {
        let every = if matches!(settings.keys, KeySource::File(_)) { FILE_INTERVAL } else { settings.refresh };
        let issuer = Self {
            settings: Arc::clone(settings),
            rules: Rules { every, keep: settings.stale },
            keys: ArcSwap::default(),
            generation: AtomicU64::new(0),
            refresh: Mutex::default(),
            trouble: ArcSwapOption::empty(),
            wake: Notify::new(),
            ended: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
            counts: Counts::default(),
        };
        match &settings.keys {
            KeySource::Secret(Ok(secret)) => issuer.keys.store(Arc::new(KeySet::of_secret(secret))),
            KeySource::Secret(Err(why)) => issuer.trouble.store(Some(Arc::new(why.clone()))),
            KeySource::File(path) => match KeySet::from_file(path) {
                Ok(keys) => issuer.learn(keys, None),
                Err(why) => issuer.miss(why),
            },
            KeySource::Url(..) | KeySource::Discovered(..) => {}
        }
        issuer
    }

    /// Its configuration.
    #[must_use]
    pub fn settings(&self) -> &Arc<settings::Issuer> {
        &self.settings
    }

    /// Its keys as they are known now.
    #[must_use]
    pub fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    /// What tokens are worth that were verified before: they stand while this stays.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// What its keys are worth.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match &self.settings.keys {
            KeySource::Secret(Ok(_)) => Standing::Fresh,
            KeySource::Secret(Err(_)) => Standing::Gone,
            _ => lock(&self.refresh).standing(clock::millis(), &self.rules),
        }
    }

    /// Why keys cannot be had, as a sentence.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    /// How long ago keys were last had; none where they never were, or cannot age.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        lock(&self.refresh).age(clock::millis())
    }

    /// What became of tokens and keys.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Fetches that have ended, for [`Issuer::newer`].
    #[must_use]
    pub fn fetches(&self) -> u64 {
        *self.ended.borrow()
    }

    /// Waits for keys that came, or may come, after so many fetches, where that is worth it; whether to look again.
    pub async fn newer(&self, seen: u64) -> bool {
        if matches!(self.settings.keys, KeySource::Secret(_)) {
            return false;
        }
        // Before the question, so that its answer is not missed.
        let mut ended = self.ended.subscribe();
        if *ended.borrow() != seen {
            return true;
        }
        if !lock(&self.refresh).ask(clock::millis()) {
            return false;
        }
        self.wake.notify_one();
        let Some(_place) = Place::take(&self.waiting) else { return false };
        timeout(PATIENCE, ended.changed()).await.is_ok_and(|changed| changed.is_ok())
    }

    /// Waits until keys are to be fetched.
    pub(super) async fn due(&self) {
        loop {
            let wait = lock(&self.refresh).wait(clock::millis());
            if wait == 0 {
                return;
            }
            drop(timeout(Duration::from_millis(wait), self.wake.notified()).await);
        }
    }

    /// Keys were had, with word of how long that holds.
    pub(super) fn learn(&self, keys: KeySet, max_age: Option<Duration>) {
        let before = self.keys.swap(Arc::new(keys));
        if !before.all_in(&self.keys.load()) {
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
        self.counts.fetched.fetch_add(1, Ordering::Relaxed);
        self.confirm(max_age);
    }

    /// Keys that an earlier process had, until they can be fetched; too old ones are none.
    pub(super) fn recall(&self, keys: KeySet, age: Duration) {
        if age > self.rules.keep {
            return;
        }
        lock(&self.refresh).recalled(clock::millis(), age);
        self.keys.store(Arc::new(keys));
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// The keys are what they were.
    pub(super) fn confirm(&self, max_age: Option<Duration>) {
        lock(&self.refresh).had(clock::millis(), &self.rules, max_age);
        if self.trouble.swap(None).is_some() {
            tracing::info!(issuer = self.settings.name, "the keys of the issuer can be had again");
        }
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Keys could not be had. Those that are too old are forgotten, with all that was verified with them.
    pub(super) fn miss(&self, why: String) {
        let now = clock::millis();
        let standing = {
            let mut refresh = lock(&self.refresh);
            refresh.failed(now, &self.rules);
            refresh.standing(now, &self.rules)
        };
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        if standing == Standing::Gone && !self.keys.load().is_empty() {
            self.keys.store(Arc::default());
            self.generation.fetch_add(1, Ordering::Relaxed);
            tracing::error!(issuer = self.settings.name, "the keys of the issuer are too old to be used any more");
        }
        if self.trouble.load().as_deref() != Some(&why) {
            tracing::warn!(issuer = self.settings.name, why, "the keys of the issuer cannot be had");
            self.trouble.store(Some(Arc::new(why)));
        }
        self.ended.send_modify(|ended| *ended += 1);
    }
}

/// A place among those who wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
