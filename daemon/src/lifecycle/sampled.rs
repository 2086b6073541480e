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
        // Of tools and clients a few series each, and of those only that are busy: there may be very many.
        let busy = |traffic: &api::Traffic| traffic.calls_per_second > 0.0;
        for row in self.daemon.gate.ledger.tools().iter().filter(|row| busy(&row.traffic)) {
            all.extend(few(&format!(":{}/{}", row.server, row.tool), &row.traffic));
        }
        for row in self.daemon.gate.ledger.clients().iter().filter(|row| busy(&row.traffic)) {
            all.extend(few(&format!("@{}", row.id), &row.traffic));
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

/// The most telling of it.
fn few(of: &str, traffic: &api::Traffic) -> Vec<(String, Reading)> {
    let slow = Some(traffic.latency.p99_us).filter(|_| traffic.latency.max_us > 0);
    let slow = slow.map(|time| (format!("p99{of}"), level(time)));
    let counts = [("calls", traffic.calls), ("errors", traffic.errors)];
    counts.map(|(word, count)| (format!("{word}{of}"), Reading::Count(count))).into_iter().chain(slow).collect()
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
}
