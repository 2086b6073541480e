//! Where a core stands between serving and having ended, and how those who wait learn of it.
//!
//! The shutdown advances every core; connections and streams watch. Phases only grow.

use std::cell::Cell;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The phases of an orderly end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing is ending.
    #[default]
    Serving,
    /// Connections are still accepted; each answer asks the client to go elsewhere.
    LameDuck,
    /// Nothing new is accepted; what runs may finish, streams that only listen should end.
    Finishing,
    /// The time is up: what still runs must be answered with an error now.
    Ending,
}

/// One core's phase.
#[derive(Debug, Default)]
pub struct Drain {
    phase: Cell<Phase>,
    changed: Notify,
}

impl Drain {
    /// Where this core stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Whether clients are to be asked to go elsewhere.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.phase() > Phase::Serving
    }

    /// Moves on; a phase that has passed is not returned to.
    pub fn advance(&self, phase: Phase) {
        if phase > self.phase.get() {
            self.phase.set(phase);
            self.changed.notify_waiters();
        }
    }

    /// Resolves at the next change of phase, counted from this call.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Resolves once `phase` is reached, at once where it has been.
    pub async fn reached(&self, phase: Phase) {
        while self.phase.get() < phase {
            // Made before the phase is looked at again: single-threaded, so nothing comes between.
            self.changed.notified().await;
        }
    }
}


#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_phase_sees_a_later_one_too() {
        let drain = Drain::default();
        let wait = drain.reached(Phase::LameDuck);
        let advance = async { drain.advance(Phase::Finishing) };
        tokio::join!(wait, advance);
        assert_eq!(drain.phase(), Phase::Finishing);
        drain.reached(Phase::Finishing).await;
    }

    #[test]
    fn phases_do_not_go_back() {
        let drain = Drain::default();
        drain.advance(Phase::Ending);
        drain.advance(Phase::LameDuck);
        assert_eq!(drain.phase(), Phase::Ending);
        assert!(drain.begun());
    }
}
