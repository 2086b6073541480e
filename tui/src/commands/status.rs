//! `toolgate status`, and what `toolgate` alone prints.

use toolgate_admin_api::{Era, Exit, PoolStatus, ServerStatus, Shown, Status};

use super::{Context, block_on};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Prints the status once; 3 when something that should work does not.
pub(super) async fn run(context: &Context) -> Result<Exit, Failure> {
    let answer = AdminClient::view(&context.runtime_dir).await?.get("/v1/status").await?;
    let status: Status = answer.read()?;
    if context.json {
        output::raw(answer.json());
        output::raw(b"\n");
    } else {
        output::raw(text(&status).as_bytes());
    }
    Ok(if status.degraded() { Exit::Degraded } else { Exit::Done })
}

/// `toolgate` alone: the status, and how to learn more.
pub(crate) fn without_command(context: &Context) -> Result<Exit, Failure> {
    let exit = block_on(run(context))?;
    if !context.json {
        eprintln!("\n`toolgate --help` lists what else there is.");
    }
    Ok(exit)
}

fn text(status: &Status) -> String {
    let mut text = format!(
        "toolgated {}  instance {}  pid {}  up {}  configuration {}  {}\n\
         {} connections  {} sessions  {} calls in flight\n",
        Shown(&status.version),
        Shown(status.instance.get(..8).unwrap_or(&status.instance)),
        status.pid,
        duration(status.uptime_seconds),
        status.revision,
        state(status),
        status.connections,
        status.sessions,
        status.calls_in_flight,
    );
    if let Some(pool) = &status.server_connections {
        text.extend(["connections to servers: ", &self::pool(pool), "\n"]);
    }
    if !status.listeners.is_empty() {
        text.push('\n');
        text.push_str(&output::table(&listeners(status)));
    }
    if !status.servers.is_empty() {
        text.push('\n');
        text.push_str(&output::table(&servers(status)));
    }
    if !status.warnings.is_empty() {
        text.push('\n');
    }
    for warning in &status.warnings {
        text.extend(["warning: ", &Shown(warning).to_string(), "\n"]);
    }
    text
}

/// Connections that share a bound, in words.
pub(super) fn pool(pool: &PoolStatus) -> String {
    match pool.waiting {
        0 => format!("{} of {}", pool.open, pool.max),
        waiting => format!("{} of {}, and {waiting} calls wait for one", pool.open, pool.max),
    }
}

fn state(status: &Status) -> String {
    if status.draining {
        return "draining".into();
    }
    match (&status.not_ready, status.ready) {
        (_, true) => "ready".into(),
        (Some(reason), false) => format!("not ready: {}", Shown(reason)),
        (None, false) => "not ready".into(),
    }
}

fn listeners(status: &Status) -> Vec<Vec<String>> {
    let head = ["LISTENER", "ADDRESS", "TLS", "SERVES", "CONNECTIONS"].map(String::from).to_vec();
    let rows = status.listeners.iter().map(|listener| {
        vec![
            Shown(&listener.name).to_string(),
            Shown(&listener.addresses.join(" ")).to_string(),
            if listener.tls { "yes" } else { "no" }.into(),
            Shown(&listener.serve.join(" ")).to_string(),
            listener.connections.to_string(),
        ]
    });
    std::iter::once(head).chain(rows).collect()
}

/// The table of servers, with its head.
pub(super) fn servers(status: &Status) -> Vec<Vec<String>> {
    std::iter::once(server_head()).chain(status.servers.iter().map(server)).collect()
}

/// What stands above a server's row.
pub(super) fn server_head() -> Vec<String> {
    ["SERVER", "STATE", "TRANSPORT", "ERA", "IN FLIGHT", "WAITING", "INSTANCES", "REASON"].map(String::from).to_vec()
}

/// A row of the table of servers.
pub(super) fn server(server: &ServerStatus) -> Vec<String> {
    let critical = if server.critical { "*" } else { "" };
    vec![
        format!("{}{critical}", Shown(&server.name)),
        server.state.word().into(),
        server.transport.word().into(),
        server.era.map_or("-", Era::word).into(),
        server.in_flight.to_string(),
        server.waiting.to_string(),
        server.instances.as_ref().map_or("-".into(), |count| format!("{}/{}", count.running, count.max)),
        Shown(server.reason.as_deref().unwrap_or_default()).to_string(),
    ]
}

/// The two largest units: `3d 4h`, `12m 5s`.
pub(super) fn duration(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {seconds}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        let shown = [5, 65, 3_700, 90_000].map(duration);
        assert_eq!(shown, ["5s", "1m 5s", "1h 1m", "1d 1h"]);
    }
}
