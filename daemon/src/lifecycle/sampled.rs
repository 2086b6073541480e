//! What the history remembers of each ten seconds.

use std::sync::Arc;

use toolgate_admin_api as api;

use super::daemon::Daemon;
use crate::observe::history::{Reading, Sampled};

/// Servers of which all is kept. Where there are more, of each is kept what the console draws.
const WHOLE: usize = 50;

/// That.
const DRAWN: [&str; 5] = ["calls", "errors", "p99", "in_flight", "waiting"];

/// The daemon, sampled.
pub(super) struct Samples {
    daemon: Arc<Daemon>,
}

impl Samples {
    /// Of a daemon that serves.
    pub(super) fn of(daemon: &Arc<Daemon>) -> Arc<dyn Sampled> {
        Arc::new(Self { daemon: Arc::clone(daemon) })
    }
}

impl Sampled for Samples {
    fn sample(&self) -> Vec<(String, Reading)> {
        let policy = self.daemon.gate.policy.load_full();
        let status = self.daemon.glance(&policy);
        let rows = self.daemon.server_rows(&policy);
        let sample = self.daemon.gate.sample();
        let waiting = rows.iter().map(|row| row.status.waiting).sum();
        let mut all = of_traffic("", &self.daemon.gate.ledger.traffic());
        all.extend([
            ("waiting".to_owned(), level(waiting)),
            ("sessions".to_owned(), level(status.sessions)),
            ("connections".to_owned(), level(status.connections)),
            ("cpu".to_owned(), Reading::Level(sample.cpu)),
            ("memory".to_owned(), level(sample.process.memory)),
        ]);
        all.extend(of_servers(&rows));
        for row in &self.daemon.gate.ledger.tools() {
            of_one_of_many(&format!(":{}/{}", row.server, row.tool), &row.traffic, &mut all);
        }
        for row in &self.daemon.gate.ledger.clients() {
            of_one_of_many(&format!("@{}", row.id), &row.traffic, &mut all);
        }
        all
    }
}

fn of_servers(rows: &[api::ServerRow]) -> Vec<(String, Reading)> {
    let mut all: Vec<_> = rows.iter().flat_map(of_server).collect();
    if rows.len() > WHOLE {
        all.retain(|(name, _)| name.split_once(':').is_some_and(|(kind, _)| DRAWN.contains(&kind)));
    }
    all
}

fn of_server(row: &api::ServerRow) -> Vec<(String, Reading)> {
    let name = &row.status.name;
    let mut all = of_traffic(&format!(":{name}"), &row.traffic);
    all.push((format!("waiting:{name}"), level(row.status.waiting)));
    let instances = row.status.instances.as_ref().map(|instances| &instances.each);
    let memory = instances.map(|each| each.iter().filter_map(|instance| instance.memory).sum());
    all.extend(memory.map(|memory| (format!("memory:{name}"), level(memory))));
    all
}

/// What is known of calls, with `of` behind the names.
fn of_traffic(of: &str, traffic: &api::Traffic) -> Vec<(String, Reading)> {
    let counts = [("bytes_in", traffic.bytes_in), ("bytes_out", traffic.bytes_out)];
    let counts = counts.map(|(word, count)| (format!("{word}{of}"), Reading::Count(count)));
    // Where there were no calls nobody waited: that is a gap, and no answer within nothing.
    let median = Some(traffic.latency.p50_us).filter(|_| traffic.latency.max_us > 0);
    let median = median.map(|time| (format!("p50{of}"), level(time)));
    let in_flight = (format!("in_flight{of}"), level(traffic.in_flight));
    let refused = (format!("refused{of}"), Reading::Count(traffic.refused));
    counts.into_iter().chain(median).chain([in_flight, refused]).chain(few(of, traffic)).collect()
}

/// Of tools and clients a few series each, and points of those only that are busy: there may be very many. What an idle
/// one has counted is told all the same, for its next calls are counted from there.
fn of_one_of_many(of: &str, traffic: &api::Traffic, all: &mut Vec<(String, Reading)>) {
    if traffic.calls_per_second > 0.0 {
        all.extend(few(of, traffic));
    } else {
        all.extend(counted(of, traffic).map(|(name, count)| (name, Reading::Rare(count))));
    }
}

/// The most telling of it.
fn few(of: &str, traffic: &api::Traffic) -> Vec<(String, Reading)> {
    let slow = Some(traffic.latency.p99_us).filter(|_| traffic.latency.max_us > 0);
    let slow = slow.map(|time| (format!("p99{of}"), level(time)));
    counted(of, traffic).map(|(name, count)| (name, Reading::Count(count))).into_iter().chain(slow).collect()
}

fn counted(of: &str, traffic: &api::Traffic) -> [(String, u64); 2] {
    [("calls", traffic.calls), ("errors", traffic.errors)].map(|(word, count)| (format!("{word}{of}"), count))
}

#[expect(clippy::cast_precision_loss, reason = "a graph has fewer digits")]
fn level(number: u64) -> Reading {
    Reading::Level(number as f64)
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::history::{Class, Store};

    use super::*;

    fn rows(servers: usize) -> Vec<api::ServerRow> {
        let told = |number: usize| {
            let row = serde_json::json!({
                "name": format!("s{number}"), "state": "idle", "transport": "http", "critical": false,
                "in_flight": 0, "waiting": 0
            });
            serde_json::from_value(row).unwrap()
        };
        (0..servers).map(told).collect()
    }

    #[test]
    fn what_is_told_of_as_many_servers_as_are_promised_has_room() {
        for servers in [1, WHOLE, WHOLE + 1, 500] {
            let told = of_servers(&rows(servers));
            // Instances' memory and the two percentiles are not told of idle ones.
            let most = told.len() + if servers > WHOLE { servers } else { 3 * servers };
            assert!(most <= Class::Server.most(), "{servers} servers: {most} series");
            let mut store = Store::default();
            assert!(told.iter().all(|(name, _)| store.put(name, 1, 0.0)), "{servers} servers");
        }
    }

    fn told(traffic: &api::Traffic) -> Vec<(String, Reading)> {
        let mut all = Vec::new();
        of_one_of_many(":web/pay", traffic, &mut all);
        all
    }

    #[test]
    fn an_idle_tool_says_what_it_has_counted_and_a_busy_one_how_slow_it_is_besides() {
        let idle = api::Traffic { calls: 1_000_000, errors: 3, ..api::Traffic::default() };
        let counted = [("calls:web/pay".to_owned(), 1_000_000), ("errors:web/pay".to_owned(), 3)];
        assert_eq!(told(&idle), counted.clone().map(|(name, count)| (name, Reading::Rare(count))));
        let latency = api::Percentiles { p99_us: 700, max_us: 900, ..api::Percentiles::default() };
        let busy = api::Traffic { calls_per_second: 0.1, latency, ..idle };
        let mut expected = counted.map(|(name, count)| (name, Reading::Count(count))).to_vec();
        expected.push(("p99:web/pay".into(), Reading::Level(700.0)));
        assert_eq!(told(&busy), expected);
    }
}
