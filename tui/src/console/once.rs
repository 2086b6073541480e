//! What the console shows, printed once, or line by line for programs.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use toolgate_admin_api::{Exit, Overview, ServerRow, Shown, WatchLine};

use super::data::Data;
use super::units::{bytes, count, long, percent, rate, since, span_us};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// What is printed.
const ROUTE: &str = "/v1/watch?topics=overview,servers&interval=1000";

/// Both topics come at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prints the overview and the servers.
pub(super) async fn print(runtime_dir: &Path, json: bool) -> Result<Exit, Failure> {
    let mut stream = AdminClient::view(runtime_dir).await?.follow(ROUTE).await?;
    let mut data = Data::default();
    let heard = async {
        while data.overview.is_none() || data.servers.is_none() {
            let Some(line) = stream.next().await? else { break };
            if let Ok(line) = serde_json::from_slice::<WatchLine>(&line) {
                data.watch(line, super::run::wall_ms());
            }
        }
        Ok::<_, Failure>(())
    };
    timeout(PATIENCE, heard).await.unwrap_or(Ok(()))?;
    if data.overview.is_none() {
        return Err(Failure::new(Exit::Unreachable, "The daemon does not say how it does.")
            .remedy("`toolgate status` may; `journalctl -u toolgated` may say why."));
    }
    Ok(show(&data, json))
}

/// Prints every line of a watch as it comes.
pub(super) async fn watch(runtime_dir: &Path) -> Result<Exit, Failure> {
    let mut stream = AdminClient::view(runtime_dir).await?.follow(ROUTE).await?;
    while let Some(line) = stream.next().await? {
        output::raw(&line);
        output::raw(b"\n");
    }
    Err(Failure::new(Exit::Unreachable, "The daemon has ended the watch."))
}

/// Prints what is known; 3 when something that should work does not.
pub(super) fn show(data: &Data, json: bool) -> Exit {
    let servers = data.servers.as_deref().unwrap_or_default();
    if json {
        output::json(&json!({ "hello": data.hello, "overview": data.overview, "servers": servers }));
    } else {
        output::raw(text(data, servers).as_bytes());
    }
    let ready =
        data.overview.as_ref().is_none_or(|overview| overview.status.ready && overview.status.overload.is_none());
    let working = servers.iter().all(|row| !row.status.state.is_bad());
    if ready && working { Exit::Done } else { Exit::Degraded }
}

fn text(data: &Data, servers: &[ServerRow]) -> String {
    let mut text = data.overview.as_deref().map_or_else(String::new, |overview| glance(data, overview));
    if !servers.is_empty() {
        let head = ["SERVER", "STATE", "IN FLIGHT", "WAITING", "CALLS/S", "ERRORS/S", "P50", "P99", "REASON"];
        let head = std::iter::once(head.map(String::from).to_vec());
        text.push('\n');
        text.push_str(&output::table(&head.chain(servers.iter().map(server)).collect::<Vec<_>>()));
    }
    text
}

fn glance(data: &Data, overview: &Overview) -> String {
    let (status, traffic) = (&overview.status, &overview.traffic);
    let host = data.hello.as_ref().map(|hello| hello.host.as_str()).filter(|host| !host.is_empty());
    let ready = if status.ready { "ready" } else { "not ready" };
    let mut text = format!(
        "{}  toolgated {}  up {}  configuration {}  {ready}\n\
         {} calls/s  {} errors/s  {} refused/s  p50 {}  p99 {}\n\
         {} in flight  {} sessions  {} connections  cpu {}  memory {}\n",
        Shown(host.unwrap_or("toolgate")),
        Shown(&status.version),
        long(status.uptime_seconds),
        status.revision,
        rate(traffic.calls_per_second),
        rate(traffic.errors_per_second),
        rate(traffic.refused_per_second),
        span_us(traffic.latency.p50_us),
        span_us(traffic.latency.p99_us),
        count(traffic.in_flight),
        count(status.sessions),
        count(status.connections),
        percent(overview.process.cpu),
        bytes(overview.process.memory),
    );
    for alert in &overview.alerts {
        let age = since(alert.since_ms, data.heard_ms.unwrap_or(alert.since_ms));
        let line = format!("{}: {} ({age}) {}\n", Shown(&alert.severity), Shown(&alert.message), Shown(&alert.remedy));
        text.push_str(&line);
    }
    text
}

fn server(row: &ServerRow) -> Vec<String> {
    let (status, traffic) = (&row.status, &row.traffic);
    vec![
        Shown(&status.name).to_string(),
        status.state.word().into(),
        status.in_flight.to_string(),
        status.waiting.to_string(),
        rate(traffic.calls_per_second),
        rate(traffic.errors_per_second),
        span_us(traffic.latency.p50_us),
        span_us(traffic.latency.p99_us),
        Shown(status.reason.as_deref().unwrap_or_default()).to_string(),
    ]
}
