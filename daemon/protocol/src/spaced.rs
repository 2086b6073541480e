//! Events of one kind, spaced out: the first passes at once, later ones at most once per gap.
//!
//! Whoever announces keeps one per kind and client, and asks again at the time that it is told.
//! The latest event stands for those that it supersedes; none is delayed by more than the gap.

/// Spaces out events. Times are milliseconds of any clock that does not go back.
#[derive(Debug)]
pub struct Spaced<T> {
    gap: u64,
    last: Option<u64>,
    waiting: Option<T>,
}

/// What becomes of an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// It passes.
    Now(T),
    /// It waits; ask for it at this time.
    At(u64),
    /// It takes the place of one that waits already.
    Superseding,
}

impl<T> Spaced<T> {
    /// Nothing happened yet.
    pub const fn new(gap_millis: u64) -> Self {
        Self { gap: gap_millis, last: None, waiting: None }
    }

    /// An event that happens now.
    pub fn note(&mut self, now: u64, event: T) -> Next<T> {
        if self.waiting.replace(event).is_some() {
            return Next::Superseding;
        }
        match self.due(now) {
            Some(event) => Next::Now(event),
            None => Next::At(self.last.unwrap_or(now) + self.gap),
        }
    }

    /// When the event that waits is due, if one does.
    pub fn next(&self) -> Option<u64> {
        self.waiting.as_ref().map(|_| self.last.unwrap_or_default() + self.gap)
    }

    /// The event that waits, once its time has come.
    pub fn due(&mut self, now: u64) -> Option<T> {
        if self.last.is_some_and(|last| now < last + self.gap) {
            return None;
        }
        let event = self.waiting.take()?;
        self.last = Some(now);
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_passes_at_once_and_the_latest_stands_for_the_rest() {
        let mut spaced = Spaced::new(100);
        assert_eq!(spaced.note(1000, 1), Next::Now(1));
        assert_eq!(spaced.note(1001, 2), Next::At(1100));
        assert_eq!(spaced.note(1099, 3), Next::Superseding);
        assert_eq!(spaced.due(1099), None);
        assert_eq!(spaced.due(1100), Some(3));
        assert_eq!(spaced.due(1200), None);
        assert_eq!(spaced.note(1200, 4), Next::Now(4));
    }

    proptest! {
        /// Played by a caller that asks at the told time: never two within a gap, and after every
        /// event one passes within a gap.
        #[test]
        fn gaps_hold_and_nothing_is_lost(pauses in proptest::collection::vec(0_u64..250, 1..80)) {
            let mut spaced = Spaced::new(100);
            let (mut now, mut alarm, mut passed) = (0, None, Vec::new());
            for pause in pauses.iter().copied().chain([1000]) {
                let next = now + pause;
                if let Some(at) = alarm.filter(|at| *at <= next) {
                    passed.extend(spaced.due(at).map(|event| (at, event)));
                    alarm = None;
                }
                now = next;
                match spaced.note(now, now) {
                    Next::Now(event) => passed.push((now, event)),
                    Next::At(at) => alarm = Some(at),
                    Next::Superseding => prop_assert!(alarm.is_some()),
                }
            }
            if let Some(at) = alarm {
                passed.extend(spaced.due(at).map(|event| (at, event)));
            }
            prop_assert!(passed.windows(2).all(|pair| pair[0].0 + 100 <= pair[1].0));
            prop_assert!(passed.iter().all(|(at, event)| at - event <= 100));
            prop_assert_eq!(passed.last().map(|(_, event)| *event), Some(now));
        }
    }
}
