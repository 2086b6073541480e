//! Many changes made one: lists that change often, or on several servers at once, are announced now and then.
//! Called for each change that a server announces, and by a timer at [`Announcements::next`].
//! Must hold: every change is followed by an announcement, the first at once; two of a kind never within the quiet time.

use super::List;

/// How long a list is not announced again.
pub const QUIET_MILLIS: u64 = 100;

/// The announcements of one stream. Times are milliseconds of any monotonic clock.
#[derive(Clone, Debug, Default)]
pub struct Announcements {
    lists: [Announced; 3],
}

#[derive(Clone, Copy, Debug, Default)]
struct Announced {
    /// No announcement before this.
    quiet_until: u64,
    /// Whether it changed since the last announcement.
    changed: bool,
}

impl Announcements {
    /// A list has changed. Whether to announce it at once; else it is [`Announcements::due`] later.
    #[must_use = "the change must be announced"]
    pub fn changed(&mut self, list: List, now: u64) -> bool {
        let announced = &mut self.lists[list as usize];
        announced.changed = now < announced.quiet_until;
        if !announced.changed {
            announced.quiet_until = now.saturating_add(QUIET_MILLIS);
        }
        !announced.changed
    }

    /// The lists to announce now.
    #[must_use = "the changes must be announced"]
    pub fn due(&mut self, now: u64) -> Vec<List> {
        let is_due = |list: &List| {
            let announced = self.lists[*list as usize];
            announced.changed && announced.quiet_until <= now
        };
        let due: Vec<List> = List::ALL.into_iter().filter(is_due).collect();
        for list in &due {
            let quiet_until = now.saturating_add(QUIET_MILLIS);
            self.lists[*list as usize] = Announced { quiet_until, changed: false };
        }
        due
    }

    /// When the next list is due, if one is.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.lists.iter().filter(|announced| announced.changed).map(|announced| announced.quiet_until).min()
    }
}
