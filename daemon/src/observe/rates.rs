//! How the calls of the last minute fared, as health and alerts weigh it.

use std::collections::HashMap;

use toolgate_admin_api::Traffic;

use super::ledger::Ledger;

/// Fewer calls in a minute say nothing.
const LEAST: f64 = 20.0;

/// The calls of the last minute.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rates {
    /// How long 95 of 100 calls took at most, in seconds.
    pub response_time: f64,
    /// Share of calls that servers or the gate failed, of those that were not refused.
    pub errors: f64,
    /// The server whose calls took longest.
    pub slowest: Option<String>,
    /// The server whose calls failed most.
    pub worst: Option<String>,
}

impl Rates {
    /// Reads the ledger.
    #[must_use]
    pub fn of(ledger: &Ledger) -> Self {
        Self::weigh(&ledger.traffic(), &ledger.servers())
    }

    fn weigh(all: &Traffic, servers: &HashMap<String, Traffic>) -> Self {
        if answered(all) < LEAST {
            return Self::default();
        }
        let most = |measure: fn(&Traffic) -> f64| {
            let measured = servers.iter().map(|(name, traffic)| (name, measure(traffic)));
            let most =
                measured.filter(|(_, measure)| *measure > 0.0).max_by(|(_, one), (_, other)| one.total_cmp(other));
            most.map(|(name, _)| name.clone())
        };
        Self {
            response_time: response_time(all),
            errors: errors(all),
            slowest: most(response_time),
            worst: most(|traffic| errors(traffic) * answered(traffic)),
        }
    }
}

/// Calls of the last minute that were not refused.
fn answered(traffic: &Traffic) -> f64 {
    (traffic.calls_per_second - traffic.refused_per_second) * 60.0
}

fn errors(traffic: &Traffic) -> f64 {
    let answered = traffic.calls_per_second - traffic.refused_per_second;
    if answered > 0.0 { (traffic.errors_per_second / answered).min(1.0) } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a call are far below 2^52")]
fn response_time(traffic: &Traffic) -> f64 {
    traffic.latency.p95_us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use toolgate_admin_api::Percentiles;

    use super::*;

    fn traffic(calls: f64, errors: f64, p95_us: u64) -> Traffic {
        let latency = Percentiles { p95_us, ..Percentiles::default() };
        // As many are refused as are called: a limit says nothing of servers.
        Traffic {
            calls_per_second: calls * 2.0,
            refused_per_second: calls,
            errors_per_second: errors,
            latency,
            ..Traffic::default()
        }
    }

    #[test]
    fn a_minute_is_weighed_and_who_is_to_blame_is_named() {
        let servers = HashMap::from([
            ("slow".to_owned(), traffic(0.1, 0.0, 8_000_000)),
            ("broken".to_owned(), traffic(4.0, 1.0, 1_000)),
        ]);
        let rates = Rates::weigh(&traffic(4.1, 1.0, 2_500_000), &servers);
        assert!((rates.response_time - 2.5).abs() < 1e-9 && (rates.errors - 1.0 / 4.1).abs() < 1e-9, "{rates:?}");
        assert_eq!((rates.slowest.as_deref(), rates.worst.as_deref()), (Some("slow"), Some("broken")));
        assert_eq!(Rates::weigh(&traffic(0.3, 0.3, 9_000_000), &servers), Rates::default(), "too few calls");
    }
}
