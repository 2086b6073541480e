//! When checks take an endpoint out of service and back in: so many in a row, either way.
//!
//! `toolgated::servers::endpoints` tells what each check and call found. Pure.

/// How many in a row it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Good checks that take it back in.
    pub rise: u32,
    /// Bad checks that take it out.
    pub fall: u32,
}

/// What the checks say of an endpoint. It starts in service: nothing speaks against it yet.
#[derive(Debug, Default)]
pub struct Health {
    out: bool,
    /// Findings in a row against what it is.
    against: u32,
}

impl Health {
    /// Whether it is in service.
    #[must_use]
    pub fn is_up(&self) -> bool {
        !self.out
    }

    /// Whether it is in service, and the last that was found speaks for it.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        !self.out && self.against == 0
    }

    /// Takes in what was found; whether it is in service now, where that has changed.
    pub fn note(&mut self, good: bool, thresholds: Thresholds) -> Option<bool> {
        if good != self.out {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let needed = if self.out { thresholds.rise } else { thresholds.fall };
        if self.against < needed.max(1) {
            return None;
        }
        self.against = 0;
        self.out = !self.out;
        Some(!self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_takes_so_many_in_a_row() {
        let thresholds = Thresholds { rise: 2, fall: 3 };
        let mut health = Health::default();
        let told: Vec<_> = [false, false, true, false, false, false, true, false, true, true, true]
            .map(|good| health.note(good, thresholds))
            .into_iter()
            .enumerate()
            .filter_map(|(at, change)| Some((at, change?)))
            .collect();
        assert_eq!(told, [(5, false), (9, true)]);
    }

    proptest! {
        /// It never changes its mind without the whole row, and always does with it.
        #[test]
        fn a_change_has_its_row(rise in 1_u32..5, fall in 1_u32..5, found in prop::collection::vec(any::<bool>(), 0..200)) {
            let mut health = Health::default();
            let mut row: (bool, u32) = (true, 0);
            for good in found {
                row = if row.0 == good { (good, row.1 + 1) } else { (good, 1) };
                let before = health.is_up();
                let change = health.note(good, Thresholds { rise, fall });
                prop_assert_eq!(change.is_some(), before != health.is_up());
                let needed = if good { rise } else { fall };
                prop_assert_eq!(health.is_up() == good, before == good || row.1 >= needed);
            }
        }
    }
}
