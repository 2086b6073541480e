//! The line that `systemctl status` shows: live numbers, or what a new installation still lacks.
//!
//! `run` sends it at the start, after each reload, and every few seconds.

use std::path::Path;
use std::sync::atomic::Ordering;

use crate::config::Settings;
use crate::config::settings::{AuthMethod, Server};
use crate::gate::Gate;

/// The line.
pub(super) fn line(gate: &Gate) -> String {
    let settings = gate.settings.load();
    let (calls, sessions) = (gate.calls.load(Ordering::Relaxed), gate.sessions.len());
    let overload = gate.overload.told().map_or_else(String::new, |told| format!("; {}", told.sentence()));
    let numbers = format!("{calls} calls in flight, {sessions} sessions{overload}");
    match (warning(&settings), next_step(&settings, gate.keys.index().len())) {
        (Some(sentence), _) => format!("{sentence}; {numbers}"),
        (None, Some(step)) => format!("revision {}: {step}", settings.revision),
        (None, None) => format!("revision {}: {numbers}", settings.revision),
    }
}

/// What is served otherwise than the files ask for.
fn warning(settings: &Settings) -> Option<String> {
    let from_history = settings.from_history();
    let lacking: Vec<_> = enabled(settings).filter_map(|server| Some((&server.name, server.lacks()?))).collect();
    let lacking = match lacking[..] {
        [] => return from_history,
        [(name, why)] => format!("the server {name} cannot be called: {why}"),
        [(name, _), ..] => {
            format!("{} servers cannot be called, {name} among them: a secret is missing", lacking.len())
        }
    };
    Some(match from_history {
        Some(sentence) => format!("{sentence}; {lacking}"),
        None => format!("revision {}: {lacking}", settings.revision),
    })
}

fn enabled(settings: &Settings) -> impl Iterator<Item = &Server> {
    settings.servers.values().map(AsRef::as_ref).filter(|server| server.enabled)
}

/// What an operator has to do before anybody can make a call.
fn next_step(settings: &Settings, stored_keys: usize) -> Option<String> {
    let main = settings.files.first().map_or(Path::new("toolgate.toml"), |file| file);
    if settings.listeners.is_empty() {
        return Some(format!("nobody can connect: write a [listener.NAME] into {}", main.display()));
    }
    if settings.servers.is_empty() {
        return Some(format!("no server yet: run `toolgate server add NAME -- COMMAND`; {} says more", main.display()));
    }
    let by_key = settings.listeners.iter().any(|listener| listener.serve.mcp && listener.auth == [AuthMethod::Key]);
    if by_key && settings.keys.is_empty() && stored_keys == 0 {
        return Some("no key yet, so nobody can call: run `toolgate key create --owner NAME`".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment, Scrutiny};

    fn step(text: &str) -> Option<String> {
        next_step(&config::from_text(text).unwrap(), 0)
    }

    #[test]
    fn a_server_that_cannot_be_called_comes_first() {
        let told = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            let main = folder.path().join("toolgate.toml");
            std::fs::write(&main, text).unwrap();
            let environment = Environment { scrutiny: Scrutiny::Start, ..Environment::default() };
            warning(&config::load(&main, &environment).unwrap().0)
        };
        let server = |name: &str| {
            format!("[server.{name}]\nendpoints = \"http://127.0.0.1:1/mcp\"\nbearer = \"credential:token\"\n")
        };
        let one = told(&format!("version = 1\n{}", server("a"))).unwrap();
        assert!(
            one.starts_with("revision 1: the server a cannot be called: there is no credential \"token\""),
            "{one}"
        );
        let two = told(&format!("version = 1\n{}{}", server("a"), server("b"))).unwrap();
        assert_eq!(two, "revision 1: 2 servers cannot be called, a among them: a secret is missing");
        assert_eq!(told(&format!("version = 1\n{}enabled = false\n", server("a"))), None);
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
