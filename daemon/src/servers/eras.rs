//! Which eras a server speaks, as far as the gate has found out, and in which one it is met.
//!
//! Relays ask for every call, discovery tells what it heard. A verdict that is known costs a call
//! one atomic read; it holds until the server says otherwise, or is back after it was away.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use toolgate_protocol::revision::{Era, LATEST_LEGACY, MODERN, Revision};
use tracing::info;

use super::Server;
use super::discovery::{Introduced, introduced, introduced_within};
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::state::Verdicts;

/// Between two doubts, in milliseconds.
const BETWEEN_DOUBTS: u64 = 30_000;

const UNKNOWN: u8 = 0;
const SPEAKS: u8 = 1;
const DOES_NOT: u8 = 2;

/// The verdicts on one server.
#[derive(Debug, Default)]
pub struct Eras {
    legacy: AtomicU8,
    modern: AtomicU8,
    /// The transport leaves no other.
    only: Option<Era>,
    /// No doubt before this, in milliseconds of our clock.
    settled_until: AtomicU64,
    /// Where they outlive the process.
    verdicts: Verdicts,
}

impl Eras {
    /// Of a server whose transport belongs to one era.
    pub fn only(era: Era) -> Self {
        Self { only: Some(era), ..Self::default() }
    }

    /// Of a server whose verdicts outlive the process.
    pub fn kept(verdicts: Verdicts) -> Self {
        Self { verdicts, ..Self::default() }
    }

    /// Whether the server speaks the era; `None` while nobody knows.
    pub fn speaks(&self, era: Era) -> Option<bool> {
        if let Some(only) = self.only {
            return Some(only == era);
        }
        match self.of(era).load(Ordering::Relaxed) {
            SPEAKS => Some(true),
            DOES_NOT => Some(false),
            _ => None,
        }
    }

    /// Keeps what was found out.
    pub fn learn(&self, server: &str, era: Era, speaks: bool) {
        let verdict = if speaks { SPEAKS } else { DOES_NOT };
        if self.of(era).swap(verdict, Ordering::Relaxed) != verdict {
            info!(server, ?era, speaks, "the era of a server is known");
            self.keep();
        }
    }

    /// What the server is known to speak; nothing where that is not known.
    pub fn spoken(&self) -> (bool, bool) {
        (self.speaks(Era::Legacy) == Some(true), self.speaks(Era::Modern) == Some(true))
    }

    /// Whether there was no doubt for a while; from now on there is.
    pub fn may_doubt(&self, now: u64) -> bool {
        now >= self.settled_until.load(Ordering::Relaxed)
            && now >= self.settled_until.swap(now + BETWEEN_DOUBTS, Ordering::Relaxed)
    }

    /// Forgets everything: another program may answer by now.
    pub fn doubt(&self) {
        self.restore(None, None);
    }

    /// Takes verdicts over, from the last process or as nothing.
    pub fn restore(&self, legacy: Option<bool>, modern: Option<bool>) {
        for (era, speaks) in [(Era::Legacy, legacy), (Era::Modern, modern)] {
            let verdict = speaks.map_or(UNKNOWN, |speaks| if speaks { SPEAKS } else { DOES_NOT });
            self.of(era).store(verdict, Ordering::Relaxed);
        }
        self.keep();
    }

    fn keep(&self) {
        self.verdicts.keep(self.speaks(Era::Legacy), self.speaks(Era::Modern));
    }

    fn of(&self, era: Era) -> &AtomicU8 {
        match era {
            Era::Legacy => &self.legacy,
            Era::Modern => &self.modern,
        }
    }
}

/// Whether a client of this era can be relayed to the server as it is. A server that cannot be
/// asked is taken to speak it: what then comes back says best what is wrong.
pub async fn speaks(core: &Rc<Core>, server: &Arc<Server>, era: Era) -> bool {
    if let Some(known) = server.eras.speaks(era) {
        return known;
    }
    match introduced_in_any(core, server, newest(era)).await {
        Ok(introduced) => introduced.leg.era == era,
        Err(_) => true,
    }
}

/// What a server says of itself in this revision, or in the other era's newest where it does not
/// speak this one's.
pub async fn introduced_in_any(
    core: &Rc<Core>,
    server: &Arc<Server>,
    revision: Revision,
) -> Result<Arc<Introduced>, Failure> {
    meet(server, revision, async |revision| introduced(core, server, revision).await).await
}

/// The same for a view that waits no longer than `patience` for one of many.
pub async fn introduced_in_any_within(
    patience: Duration,
    core: &Rc<Core>,
    server: &Arc<Server>,
    revision: Revision,
) -> Result<Arc<Introduced>, Failure> {
    meet(server, revision, async |revision| introduced_within(patience, core, server, revision).await).await
}

/// The revision that the gate speaks with the server for a client of this one, as far as is known.
pub fn met(server: &Server, revision: Revision) -> Revision {
    if server.eras.speaks(revision.era()) == Some(false) { newest(revision.era().other()) } else { revision }
}

async fn meet(
    server: &Server,
    revision: Revision,
    ask: impl AsyncFn(Revision) -> Result<Arc<Introduced>, Failure>,
) -> Result<Arc<Introduced>, Failure> {
    let own = revision.era();
    if server.eras.speaks(own) == Some(false) {
        let asked = ask(newest(own.other())).await;
        if asked.as_ref().is_err_and(|failure| failure.kind == Kind::EraUnsupported) {
            // It cannot speak neither: one of the verdicts was a mishap.
            server.eras.doubt();
        }
        return asked;
    }
    let refused = match ask(revision).await {
        Err(failure) if failure.kind == Kind::EraUnsupported => failure,
        asked => return asked,
    };
    match ask(newest(own.other())).await {
        Ok(introduced) => {
            // Silence alone proves nothing; with an answer in the other era it does.
            server.eras.learn(&server.settings.name, own, false);
            Ok(introduced)
        }
        Err(failure) if failure.kind == Kind::EraUnsupported => {
            server.eras.doubt();
            Err(refused)
        }
        Err(failure) => Err(failure),
    }
}

/// The revision that the gate speaks in an era where the client's own is not to be had.
pub fn newest(era: Era) -> Revision {
    match era {
        Era::Legacy => LATEST_LEGACY,
        Era::Modern => MODERN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_kept_until_they_are_doubted() {
        let eras = Eras::default();
        let known = || (eras.speaks(Era::Legacy), eras.speaks(Era::Modern));
        assert_eq!(known(), (None, None));
        eras.learn("files", Era::Modern, false);
        eras.learn("files", Era::Legacy, true);
        assert_eq!(known(), (Some(true), Some(false)));
        eras.learn("files", Era::Modern, true);
        assert_eq!(known(), (Some(true), Some(true)));
        eras.doubt();
        assert_eq!(known(), (None, None));
        let only = Eras::only(Era::Legacy);
        only.doubt();
        assert_eq!((only.speaks(Era::Modern), only.spoken()), (Some(false), (true, false)));
    }
}
