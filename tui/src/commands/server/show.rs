//! `toolgate server show`: one server and its instances.

use toolgate_admin_api::{
    EndpointMode, EndpointStatus, Exit, HeldByHand, Instance, InstanceEnd, Instances, ServerStatus, Shown,
};

use super::last_words;
use crate::client::admin::AdminClient;
use crate::commands::{Context, history, status};
use crate::failure::Failure;
use crate::output;

/// Prints it; 3 when it does not work.
pub(super) async fn run(context: &Context, name: &str) -> Result<Exit, Failure> {
    let answer = AdminClient::control(&context.runtime_dir).await?.get(&format!("/v1/servers/{name}")).await?;
    let server: ServerStatus = answer.read()?;
    if context.json {
        output::json(&server);
    } else {
        print(&server);
    }
    Ok(if server.state.is_bad() { Exit::Degraded } else { Exit::Done })
}

fn print(server: &ServerStatus) {
    output::raw(output::table(&[status::server_head(), status::server(server)]).as_bytes());
    if let Some(pool) = &server.connections {
        output::line(&format!("\nconnections: {}", status::pool(pool)));
    }
    endpoints(server);
    let Some(instances) = &server.instances else { return };
    if !instances.each.is_empty() {
        output::line("");
        output::raw(output::table(&each(instances)).as_bytes());
    }
    if let Some(end) = &instances.last_end {
        output::line("");
        last_end(end);
    }
}

/// Where there is more to say of them than the server's own row does.
fn endpoints(server: &ServerStatus) {
    let plain = |endpoint: &EndpointStatus| {
        let is_as_configured = endpoint.mode == EndpointMode::Ready && endpoint.by_hand.is_empty();
        is_as_configured && endpoint.breaker.is_none() && endpoint.last_check.is_none()
    };
    if server.endpoints.len() < 2 && server.endpoints.iter().all(plain) {
        return;
    }
    let head =
        ["ENDPOINT", "MODE", "WEIGHT", "IN FLIGHT", "CONNECTIONS", "SESSIONS", "BREAKER", "LAST CHECK", "TROUBLE"];
    let rows = std::iter::once(head.map(String::from).to_vec()).chain(server.endpoints.iter().map(endpoint));
    output::line("");
    output::raw(output::table(&rows.collect::<Vec<_>>()).as_bytes());
    let found = server.endpoints.iter().filter_map(|endpoint| {
        let problem = endpoint.last_check.as_ref()?.problem.as_deref()?;
        Some(format!("{}: {}", Shown(endpoint.url.as_deref().unwrap_or("instances")), Shown(problem)))
    });
    for (index, line) in found.enumerate() {
        if index == 0 {
            output::line("\nThe last checks found:");
        }
        output::line(&line);
    }
    let by_hand =
        server.endpoints.iter().flat_map(|endpoint| endpoint.by_hand.iter().map(move |held| (endpoint, held)));
    for (index, (endpoint, held)) in by_hand.enumerate() {
        if index == 0 {
            output::line("\nBy hand, until it is taken back:");
        }
        output::line(&format!("{}: {}", Shown(endpoint.url.as_deref().unwrap_or("instances")), said(held)));
    }
}

/// What an operator said, with who said it and when.
fn said(held: &HeldByHand) -> String {
    let end = held.until_ms.map_or_else(String::new, |end| format!(", sessions end at {}", history::time(end)));
    let why = held.reason.as_deref().map_or_else(String::new, |why| format!(": {}", Shown(why)));
    format!("{}{end}, since {} by {}{why}", Shown(&held.what), history::time(held.since_ms), Shown(&held.who))
}

fn endpoint(endpoint: &EndpointStatus) -> Vec<String> {
    let count = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let check = endpoint.last_check.as_ref().map_or_else(
        || "-".to_owned(),
        |check| {
            let found = if check.problem.is_some() { "bad" } else { "good" };
            format!("{found}, {} ago", status::duration(check.age_ms / 1000))
        },
    );
    vec![
        Shown(endpoint.url.as_deref().unwrap_or("instances")).to_string(),
        endpoint.mode.word().into(),
        endpoint.weight.to_string(),
        count(endpoint.in_flight),
        count(endpoint.connections),
        count(endpoint.sessions),
        endpoint.breaker.as_ref().map_or("-", |breaker| breaker.state.word()).into(),
        check,
        Shown(endpoint.trouble.as_deref().unwrap_or_default()).to_string(),
    ]
}

fn each(instances: &Instances) -> Vec<Vec<String>> {
    let head = ["PID", "ROLE", "AGE", "IDLE", "IN FLIGHT", "ANSWERED", "MEMORY", "PEAK", "TASKS", "OOM KILLS"];
    let rows = instances.each.iter().map(row);
    std::iter::once(head.map(String::from).to_vec()).chain(rows).collect()
}

fn row(instance: &Instance) -> Vec<String> {
    let count = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let leaving = if instance.leaving { ", leaving" } else { "" };
    vec![
        instance.pid.to_string(),
        format!("{}{leaving}", instance.role.word()),
        status::duration(instance.age_seconds),
        status::duration(instance.idle_seconds),
        instance.in_flight.to_string(),
        instance.answered.to_string(),
        bytes(instance.memory),
        bytes(instance.memory_peak),
        count(instance.tasks),
        count(instance.oom_kills),
    ]
}

/// As the configuration writes sizes: `256M`.
fn bytes(number: Option<u64>) -> String {
    match number {
        None => "-".into(),
        Some(bytes @ 0..1024) => bytes.to_string(),
        Some(bytes @ 1024..0x10_0000) => format!("{}K", bytes >> 10),
        Some(bytes @ 0x10_0000..0x4000_0000) => format!("{}M", bytes >> 20),
        Some(bytes) => format!("{}.{}G", bytes >> 30, (bytes >> 20) % 1024 * 10 / 1024),
    }
}

fn last_end(end: &InstanceEnd) {
    let peak = end.memory_peak.map_or_else(String::new, |_| format!(", at most {} of memory", bytes(end.memory_peak)));
    output::line(&format!("The instance that ended last (pid {}): {}{peak}", end.pid, Shown(&end.how)));
    if end.stderr.is_empty() {
        return output::line("It wrote nothing on standard error.");
    }
    for line in last_words(&end.stderr) {
        output::line(&output::printable(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_by_hand_is_told_with_its_end_and_without_escapes() {
        let mut held = HeldByHand { what: "drain".into(), who: "root".into(), ..HeldByHand::default() };
        assert_eq!(said(&held), "drain, since 1970-01-01 00:00:00Z by root");
        (held.until_ms, held.reason) = (Some(60_000), Some("disks\u{1b}[2J".into()));
        let text = said(&held);
        assert!(text.starts_with("drain, sessions end at 1970-01-01 00:01:00Z, since "), "{text}");
        assert!(text.contains(" by root: disks") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn sizes_are_short() {
        let sizes = [None, Some(7), Some(2048), Some(300 << 20), Some(3 << 29)].map(bytes);
        assert_eq!(sizes, ["-", "7", "2K", "300M", "1.5G"]);
    }
}
