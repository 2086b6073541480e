//! The line that `systemctl status` shows: live numbers, or what a new installation still lacks.
//!
//! `run` sends it at the start, after each reload, and every few seconds.

use std::path::Path;
use std::sync::atomic::Ordering;

use crate::config::Settings;
use crate::config::settings::AuthMethod;
use crate::gate::Gate;

/// The line.
pub(super) fn line(gate: &Gate) -> String {
    let settings = gate.settings.load();
    let (calls, sessions) = (gate.calls.load(Ordering::Relaxed), gate.sessions.len());
    let overload = gate.overload.told().map_or_else(String::new, |told| format!("; {}", told.sentence()));
    let numbers = format!("{calls} calls in flight, {sessions} sessions{overload}");
    match (settings.from_history(), next_step(&settings)) {
        (Some(sentence), _) => format!("{sentence}; {numbers}"),
        (None, Some(step)) => format!("revision {}: {step}", settings.revision),
        (None, None) => format!("revision {}: {numbers}", settings.revision),
    }
}

/// What an operator has to do before anybody can make a call.
fn next_step(settings: &Settings) -> Option<String> {
    let main = settings.files.first().map_or(Path::new("toolgate.toml"), |file| file);
    if settings.listeners.is_empty() {
        return Some(format!("nobody can connect: write a [listener.NAME] into {}", main.display()));
    }
    if settings.servers.is_empty() {
        return Some(format!("no server yet: run `toolgate server add NAME -- COMMAND`; {} says more", main.display()));
    }
    let by_key =
        settings.listeners.iter().any(|listener| listener.serve.mcp && listener.auth.contains(&AuthMethod::Key));
    if by_key && settings.keys.is_empty() {
        return Some("no key yet, so nobody can call: run `toolgate key create --owner NAME --write`".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn step(text: &str) -> Option<String> {
        next_step(&config::from_text(text).unwrap())
    }

    #[test]
    fn a_new_installation_is_told_one_step_after_the_other() {
        let packaged = include_str!("../../../packaging/toolgate.toml");
        let server = "[server.a]\nendpoints = \"http://127.0.0.1:1/mcp\"\n";
        let key = format!("[key.abcdef]\nhash = \"sha256:{}\"\n", "0".repeat(64));
        assert!(step("version = 1\n").is_some_and(|step| step.contains("nobody can connect")));
        assert!(step(packaged).is_some_and(|step| step.contains("toolgate server add")));
        assert!(step(&format!("{packaged}{server}")).is_some_and(|step| step.contains("toolgate key create")));
        assert_eq!(step(&format!("{packaged}{server}{key}")), None);
        let open = "version = 1\n[listener.a]\naddress = \"127.0.0.1:1\"\nauth = \"none\"\n";
        assert_eq!(step(&format!("{open}{server}")), None);
    }
}
