//! Where a core stands between serving and having ended, and how those who wait learn of it.
//!
//! The shutdown advances every core; connections and streams watch. Phases only grow.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, sleep_until};

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

/// A client that has connected is about to send: closing on it would lose that request.
const FIRST_REQUEST: Duration = Duration::from_secs(2);

/// A client that was answered, and not told that the connection closes, is about to send its next request: the
/// end of a stream whose head was sent before the drain is such an answer.
pub(super) const NEXT_REQUEST: Duration = Duration::from_millis(300);

/// One core's phase.
#[derive(Debug, Default)]
pub struct Drain {
    phase: Cell<Phase>,
    began: Cell<Option<Instant>>,
    /// How often everybody was woken in the same phase.
    rings: Cell<u32>,
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
            if self.began.get().is_none() {
                self.began.set(Some(Instant::now()));
            }
            self.phase.set(phase);
            self.changed.notify_waiters();
        }
    }

    /// Wakes everybody in the same phase: some calls are to look at their marks.
    pub fn ring(&self) {
        self.rings.set(self.rings.get().wrapping_add(1));
        self.changed.notify_waiters();
    }

    /// Resolves at the next ring or change of phase.
    pub async fn rung(&self) {
        self.changed.notified().await;
    }

    /// Until when a connection that was ready at `ready` may send its first request; none while
    /// nothing ends.
    #[must_use]
    pub fn first_request_by(&self, ready: Instant) -> Option<Instant> {
        Some(self.began.get()?.max(ready) + FIRST_REQUEST)
    }

    /// Resolves when a connection that was accepted at `ready` and has asked for nothing keeps the end waiting.
    pub async fn overdue(&self, ready: Instant) {
        self.reached(Phase::Finishing).await;
        if let Some(by) = self.first_request_by(ready) {
            sleep_until(by).await;
        }
    }

    /// A watch on changes of phase, for a task that lives long.
    pub fn changes(&self) -> Changes<'_> {
        Changes { drain: self, next: Box::pin(self.changed.notified()), seen: None }
    }

    /// Resolves once `phase` is reached, at once where it has been.
    pub async fn reached(&self, phase: Phase) {
        while self.phase.get() < phase {
            // Made before the phase is looked at again: single-threaded, so nothing comes between.
            self.changed.notified().await;
        }
    }
}

/// Wakes one task, always the same, at each change of phase.
#[derive(Debug)]
pub struct Changes<'a> {
    drain: &'a Drain,
    next: Pin<Box<Notified<'a>>>,
    /// The phase and the ring at which the task was last registered.
    seen: Option<(Phase, u32)>,
}

impl Changes<'_> {
    /// The phase; the task of `cx` is woken at the next one, unless this is the last.
    ///
    /// A connection asks in each of its turns, so this looks at nothing else while the phase is the same: the
    /// task is registered already, and stays so.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Phase {
        let (phase, ring) = (self.drain.phase(), self.drain.rings.get());
        if self.seen == Some((phase, ring)) {
            return phase;
        }
        while phase < Phase::Ending && self.next.as_mut().poll(cx).is_ready() {
            self.next.set(self.drain.changed.notified());
        }
        self.seen = Some((phase, ring));
        phase
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

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

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_long_lived_task_is_woken_at_each_change() {
        let (drain, count) = (Drain::default(), Arc::new(Wakes::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut changes = drain.changes();
        let mut look = || changes.poll(&mut Context::from_waker(&waker));
        for (woken, phase) in [Phase::Serving, Phase::LameDuck, Phase::Finishing, Phase::Ending].into_iter().enumerate()
        {
            drain.advance(phase);
            assert_eq!(count.0.load(Ordering::Relaxed), woken);
            assert_eq!((look(), look()), (phase, phase));
        }
    }

    #[test]
    fn a_ring_wakes_everybody_once_and_changes_nothing_else() {
        let (drain, count) = (Drain::default(), Arc::new(Wakes::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut changes = drain.changes();
        let mut look = || changes.poll(&mut Context::from_waker(&waker));
        for woken in 1..4 {
            assert_eq!((look(), look()), (Phase::Serving, Phase::Serving));
            drain.ring();
            assert_eq!(count.0.load(Ordering::Relaxed), woken);
        }
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
