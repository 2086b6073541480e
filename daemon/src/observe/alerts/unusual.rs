//! Clients that call far more than they usually do.

use std::collections::HashMap;
use std::sync::Arc;

use toolgate_protocol::baseline::Baseline;

/// Clients whose minutes are remembered; others are not judged.
const CLIENTS: usize = 4096;

/// Clients that are told of at once.
const TOLD: usize = 20;

/// A minute, in milliseconds.
const MINUTE_MS: u64 = 60_000;

/// The minutes of all clients.
#[derive(Debug, Default)]
pub(super) struct Minutes {
    began: Option<u64>,
    clients: HashMap<Arc<str>, Client>,
    found: Vec<Unusual>,
}

#[derive(Debug)]
struct Client {
    baseline: Baseline,
    /// What it had called when the minute began.
    before: u64,
    /// What it has called.
    total: u64,
    /// It is still known elsewhere.
    listed: bool,
}

/// A client that calls far more than it usually does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusual {
    /// Its id.
    pub(super) client: String,
    /// Calls in this minute so far, or in the last one.
    pub(super) calls: u64,
    /// Calls in a minute of its last hour.
    pub(super) mean: u64,
}

impl Minutes {
    /// Takes in how many calls each client has made since the process began. `now` is of the monotonic clock.
    pub(super) fn read(&mut self, now: u64, totals: impl Iterator<Item = (Arc<str>, u64)>, multiple: u64) {
        let began = *self.began.get_or_insert(now);
        self.clients.values_mut().for_each(|client| client.listed = false);
        for (id, total) in totals {
            let room = self.clients.len() < CLIENTS;
            match self.clients.get_mut(&id) {
                Some(client) => (client.total, client.listed) = (total, true),
                // What it called before it was known here is of no minute.
                None if room => {
                    let client = Client { baseline: Baseline::default(), before: total, total, listed: true };
                    self.clients.insert(id, client);
                }
                None => {}
            }
        }
        let mut found: Vec<_> = self
            .clients
            .iter()
            .filter_map(|(id, client)| {
                let calls = client.total.saturating_sub(client.before);
                let mean = client.baseline.exceeded(calls, multiple)?;
                Some(Unusual { client: id.to_string(), calls, mean })
            })
            .collect();
        let minute_is_over = now.saturating_sub(began) >= MINUTE_MS;
        // What was found in a minute holds until the next one is over: a burst is no shorter for being counted anew.
        let kept = std::mem::take(&mut self.found);
        if !minute_is_over {
            let kept: Vec<_> =
                kept.into_iter().filter(|one| found.iter().all(|other| other.client != one.client)).collect();
            found.extend(kept);
        }
        found.sort_by(|one, other| other.calls.cmp(&one.calls).then_with(|| one.client.cmp(&other.client)));
        found.truncate(TOLD);
        self.found = found;
        if minute_is_over {
            self.began = Some(now);
            for client in self.clients.values_mut() {
                client.baseline.minute(client.total.saturating_sub(client.before));
                client.before = client.total;
            }
            self.clients.retain(|_, client| client.listed);
        }
    }

    /// Those that call far more than they usually do.
    pub(super) fn found(&self) -> &[Unusual] {
        &self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(minutes: &mut Minutes, second: u64, total: u64) -> Vec<(u64, u64)> {
        minutes.read(second * 1000, [("key:a".into(), total)].into_iter(), 5);
        minutes.found().iter().map(|one| (one.calls, one.mean)).collect()
    }

    #[test]
    fn a_burst_is_found_within_its_minute_and_over_a_minute_later() {
        let mut minutes = Minutes::default();
        let mut total = 1000;
        read(&mut minutes, 0, total);
        for minute in 1..=20 {
            total += 10;
            assert_eq!(read(&mut minutes, minute * 60, total), [], "minute {minute}");
        }
        assert_eq!(read(&mut minutes, 1205, total + 100), [(100, 10)]);
        assert_eq!(read(&mut minutes, 1255, total + 110), [(110, 10)]);
        assert_eq!(read(&mut minutes, 1260, total + 110), [(110, 10)]);
        // Quiet again: it is told until that minute is over.
        assert_eq!(read(&mut minutes, 1290, total + 110), [(110, 10)]);
        assert_eq!(read(&mut minutes, 1320, total + 110), []);
    }

    #[test]
    fn who_is_not_known_any_more_is_forgotten() {
        let mut minutes = Minutes::default();
        read(&mut minutes, 0, 0);
        assert_eq!(minutes.clients.len(), 1);
        minutes.read(60_000, std::iter::empty(), 5);
        assert_eq!(minutes.clients.len(), 0);
    }
}
