//! Who did something most often of late, among any number of those who do it, in a table of fixed size.
//! Called by the ledger: callers of a tool, tools of a client.
//! Must hold: whoever did more than one of `PLACES` shares of all is in the table, and is never told too low.

/// Parts of the time that is looked back on; the oldest is forgotten as a whole.
const PARTS: usize = 6;

/// The busiest of a sliding time; `tick` below is the number of the current part of it.
#[derive(Debug, Clone)]
pub struct Busiest<const PLACES: usize> {
    places: [Place; PLACES],
    tick: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    key: u64,
    counts: [u32; PARTS],
}

impl Place {
    fn sum(&self) -> u32 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl<const PLACES: usize> Default for Busiest<PLACES> {
    fn default() -> Self {
        Self { places: [Place::default(); PLACES], tick: 0 }
    }
}

impl<const PLACES: usize> Busiest<PLACES> {
    /// Counts one for `key`. Where all places are taken, it inherits the place and the count of the least busy.
    pub fn note(&mut self, key: u64, tick: u64) {
        self.turn(tick);
        let part = part(tick);
        let mut least = (u32::MAX, 0);
        for (at, place) in self.places.iter_mut().enumerate() {
            let sum = place.sum();
            if place.key == key && sum > 0 {
                place.counts[part] = place.counts[part].saturating_add(1);
                return;
            }
            if sum < least.0 {
                least = (sum, at);
            }
        }
        let place = &mut self.places[least.1];
        place.key = key;
        place.counts[part] = place.counts[part].saturating_add(1);
    }

    /// Those in the table with how often, at most, they did it of late; in no order.
    pub fn told(&mut self, tick: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.turn(tick);
        self.places.iter().map(|place| (place.key, u64::from(place.sum()))).filter(|(_, count)| *count > 0)
    }

    /// Forgets the parts that lie too far back.
    fn turn(&mut self, tick: u64) {
        // Another core's reader may be a little ahead.
        let passed = tick.saturating_sub(self.tick);
        if passed == 0 {
            return;
        }
        for past in 0..passed.min(PARTS as u64) {
            let part = part(tick - past);
            self.places.iter_mut().for_each(|place| place.counts[part] = 0);
        }
        self.tick = tick;
    }
}

fn part(tick: u64) -> usize {
    usize::try_from(tick % PARTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::chance::Chance;

    fn told<const PLACES: usize>(busiest: &mut Busiest<PLACES>, tick: u64) -> HashMap<u64, u64> {
        busiest.told(tick).collect()
    }

    #[test]
    fn few_are_counted_exactly_and_forgotten_in_time() {
        let mut busiest = Busiest::<4>::default();
        for (key, times, tick) in [(7, 3, 10), (8, 1, 10), (7, 2, 12)] {
            (0..times).for_each(|_| busiest.note(key, tick));
        }
        assert_eq!(told(&mut busiest, 12), HashMap::from([(7, 5), (8, 1)]));
        assert_eq!(told(&mut busiest, 16), HashMap::from([(7, 2)]), "ticks 11 to 16");
        assert_eq!(told(&mut busiest, 1_000), HashMap::new());
    }

    #[test]
    fn a_reader_that_is_behind_takes_nothing_away() {
        let mut busiest = Busiest::<2>::default();
        busiest.note(1, 20);
        assert_eq!(told(&mut busiest, 19), HashMap::from([(1, 1)]));
    }

    #[test]
    fn the_busy_are_found_among_any_number_of_others() {
        let mut chance = Chance::new(5);
        let (mut busiest, mut truth) = (Busiest::<8>::default(), HashMap::<u64, u64>::new());
        for _ in 0..20_000 {
            // A quarter each for two, the rest spread over a thousand.
            let key = match chance.below(4) {
                0 => 1,
                1 => 2,
                _ => 100 + chance.below(1_000),
            };
            *truth.entry(key).or_default() += 1;
            busiest.note(key, 3);
        }
        let told = told(&mut busiest, 3);
        for key in [1, 2] {
            let (seen, true_count) = (told[&key], truth[&key]);
            assert!(seen >= true_count && seen <= true_count + 20_000 / 8, "{key}: {seen} of {true_count}");
        }
    }
}
