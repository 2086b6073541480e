//! Who starts the commands of stdio servers on this machine, and how it learns of changed files.
//!
//! systemd, whose units a generator renders from the configuration, or `toolgated keeper`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use toolgate_admin_api::{Exit, FileText, paths};

use crate::failure::Failure;

/// How long a server's socket may take to be there.
const APPEARANCE: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Names of the stdio servers that a change of files concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Moves {
    /// Not there before.
    new: BTreeSet<String>,
    /// Started in another way than before.
    changed: BTreeSet<String>,
    /// Started no more.
    gone: BTreeSet<String>,
}

impl Moves {
    /// What lies between two states of the files.
    pub(super) fn between(before: &[FileText], after: &[FileText]) -> Self {
        let (before, after) = (commands(before), commands(after));
        let mut moves = Self::default();
        for (name, table) in &after {
            match before.get(name) {
                None => drop(moves.new.insert(name.clone())),
                Some(was) if was != table => drop(moves.changed.insert(name.clone())),
                Some(_) => {}
            }
        }
        moves.gone = before.into_keys().filter(|name| !after.contains_key(name)).collect();
        moves
    }

    /// The way back.
    pub(super) fn reversed(&self) -> Self {
        Self { new: self.gone.clone(), changed: self.changed.clone(), gone: self.new.clone() }
    }
}

/// The tables of servers that are commands. A file that cannot be read as TOML has none.
fn commands(files: &[FileText]) -> BTreeMap<String, toml::Value> {
    let tables = files.iter().filter_map(|file| file.text.parse::<toml::Table>().ok());
    let servers = tables.filter_map(|mut table| match table.remove("server") {
        Some(toml::Value::Table(servers)) => Some(servers),
        _ => None,
    });
    let enabled = |server: &toml::Value| server.get("enabled").and_then(toml::Value::as_bool) != Some(false);
    servers.flatten().filter(|(_, server)| server.get("command").is_some() && enabled(server)).collect()
}

/// Who starts commands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Starter {
    /// systemd, by the units `toolgate-server-NAME.socket`.
    Systemd,
    /// A keeper, with the folder of its sockets.
    Keeper(Pid, PathBuf),
    /// Nobody, as far as can be seen.
    Nobody,
}

impl Starter {
    /// A keeper where one has the runtime folder, else systemd where it runs this machine and
    /// the folder is the packaged one.
    pub(super) fn find(runtime_dir: &Path) -> Self {
        let servers = runtime_dir.join("servers");
        if let Some(keeper) = keeper(&servers) {
            return Self::Keeper(keeper, servers);
        }
        let packaged = runtime_dir == Path::new(paths::RUNTIME_DIR);
        if packaged && Path::new("/run/systemd/system").is_dir() { Self::Systemd } else { Self::Nobody }
    }

    /// Makes the sockets of new servers be there, and closes those of servers that are gone. Servers that
    /// changed are started in the new way from the next instance on.
    pub(super) fn follow(&self, moves: &Moves) -> Result<(), Failure> {
        if *moves == Moves::default() {
            return Ok(());
        }
        match self {
            Self::Systemd => {
                // While systemd still knows what it was.
                sockets("stop", &moves.gone)?;
                systemctl(&["daemon-reload"])?;
                sockets("start", &moves.new)
            }
            Self::Keeper(keeper, servers) => {
                hang_up(*keeper)?;
                moves.new.iter().try_for_each(|name| appeared(&servers.join(format!("{name}.sock"))))
            }
            // The gate itself says best that nobody is behind the socket.
            Self::Nobody => Ok(()),
        }
    }
}

/// Starts or stops the socket units of servers.
fn sockets(verb: &str, servers: &BTreeSet<String>) -> Result<(), Failure> {
    if servers.is_empty() {
        return Ok(());
    }
    let units: Vec<_> = servers.iter().map(|name| format!("toolgate-server-{name}.socket")).collect();
    let words: Vec<_> = [verb].into_iter().chain(units.iter().map(String::as_str)).collect();
    systemctl(&words)
}

fn systemctl(words: &[&str]) -> Result<(), Failure> {
    let shown = format!("systemctl {}", words.join(" "));
    let output = Command::new("systemctl")
        .args(words)
        .output()
        .map_err(|error| Failure::local(format!("`{shown}` cannot be run"), error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let message = format!("`{shown}` failed: {}", said.trim());
    Err(Failure::new(Exit::Failed, message).remedy("`systemctl status` of the unit and its journal say more."))
}

/// The keeper of a folder of sockets: the file of its lock has its process id.
fn keeper(servers: &Path) -> Option<Pid> {
    let pid = fs::read_to_string(servers.join(".keeper")).ok()?.trim().parse().ok().and_then(Pid::from_raw)?;
    // It may have ended, and whoever could write the file must not choose whom root sends a signal.
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = words.split(|byte| *byte == 0);
    let program = words.next()?;
    (program.ends_with(b"toolgated") && words.next() == Some(b"keeper")).then_some(pid)
}

fn hang_up(keeper: Pid) -> Result<(), Failure> {
    kill_process(keeper, Signal::HUP).map_err(|error| {
        Failure::new(Exit::Failed, format!("The keeper (pid {keeper}) cannot be told of the change: {error}."))
            .remedy("Send it SIGHUP as its user, then try again.")
    })
}

fn appeared(socket: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + APPEARANCE;
    while !socket.exists() {
        if Instant::now() > deadline {
            let message = format!("The keeper did not make {} within {} s.", socket.display(), APPEARANCE.as_secs());
            return Err(Failure::new(Exit::Failed, message).remedy("What it wrote on standard error says why."));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> [FileText; 1] {
        [FileText { name: "toolgate.toml".into(), text: text.into(), mode: None }]
    }

    #[test]
    fn servers_that_come_change_and_go_are_told_apart() {
        let before = files(
            "[server.same]\ncommand = [\"a\"]\n[server.other]\ncommand = [\"b\"]\n[server.gone]\ncommand = [\"c\"]\n\
             [server.web]\nendpoints = \"http://127.0.0.1:1/\"\n",
        );
        let after = files(
            "[server.same]\ncommand = [\"a\"]\n[server.other]\ncommand = [\"B\"]\n[server.new]\ncommand = [\"d\"]\n\
             [server.off]\ncommand = [\"e\"]\nenabled = false\n",
        );
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let expected = Moves { new: names(&["new"]), changed: names(&["other"]), gone: names(&["gone"]) };
        assert_eq!(Moves::between(&before, &after), expected);
        assert_eq!(Moves::between(&after, &before), expected.reversed());
        assert_eq!(Moves::between(&after, &after), Moves::default());
        assert_eq!(Moves::between(&files("broken ="), &files("broken =")), Moves::default());
    }
}
