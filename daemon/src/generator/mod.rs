//! `toolgate-generator`: the configuration as systemd units, one socket per listener and server.
//!
//! systemd runs it at the start of the machine and at each `daemon-reload`, as root, before
//! anything else; it only reads files and writes a folder. Whatever cannot be rendered is left out
//! and said, and the exit status is 0 all the same: nothing here may hold up a start.

pub mod drift;
mod escape;
mod front;
mod listener;
mod server;
mod units;
mod write;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::Parts;
use crate::config::check::STANDARD_PATH;
use crate::config::salvage::salvage;
use crate::config::secret::is_stored;
use crate::config::settings::Transport;
use units::Units;

/// The name by which systemd calls this program.
pub const NAME: &str = "toolgate-generator";

/// The socket unit of a listener.
pub use listener::unit as listener_unit;

/// The first line of all that is rendered.
const HEAD: &str = "# Rendered from /etc/toolgate by toolgate-generator; `systemctl daemon-reload` renders it anew.\n";

/// The gate's program, as the package installs it.
const PROGRAM: &str = "/usr/bin/toolgated";

/// What ends with `systemctl stop toolgate.target`.
const TARGET: &str = "toolgate.target";

/// Renders units from a configuration; for tests and for a look at what the generator would do.
#[derive(Debug, clap::Args)]
pub struct RenderArgs {
    /// The main file; conf.d/*.toml beside it is read too
    #[arg(long, value_name = "FILE", default_value = STANDARD_PATH)]
    pub config: PathBuf,
    /// The folder to write to, which must exist
    pub folder: PathBuf,
}

/// Whether the program was called by the generator's name, and then its folder for units.
#[must_use]
pub fn called_as_generator(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> Option<PathBuf> {
    let name = arguments.next()?;
    let called = Path::new(&name).file_name() == Some(OsStr::new(NAME));
    // systemd names three folders; units that an operator may override belong into the first.
    called.then(|| arguments.next().map_or_else(PathBuf::new, PathBuf::from))
}

/// What systemd runs. Problems go to the kernel's log, which the journal reads.
#[must_use]
pub fn generate(folder: &Path) -> ExitCode {
    if folder.as_os_str().is_empty() {
        eprintln!("{NAME}: systemd runs this; `toolgated render FOLDER` shows what it would write");
        return ExitCode::SUCCESS;
    }
    for problem in render_to(Path::new(STANDARD_PATH), folder) {
        write::report(&problem);
    }
    ExitCode::SUCCESS
}

/// `toolgated render`: the same, with problems on standard error and in the exit status.
#[must_use]
pub fn render_command(args: &RenderArgs) -> ExitCode {
    let problems = render_to(&args.config, &args.folder);
    for problem in &problems {
        eprintln!("{NAME}: {problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn render_to(config: &Path, folder: &Path) -> Vec<String> {
    let (parts, mut problems) = salvage(config);
    let (units, left_out) = render(&parts, &folder.display().to_string());
    problems.extend(left_out);
    problems.extend(front::absent(&parts, is_stored));
    problems.extend(write::all(&units, folder));
    problems
}

/// The units of a configuration, and why what could not be rendered was left out.
///
/// `folder` is where they will be: what they refer to among themselves is named by it.
fn render(parts: &Parts, folder: &str) -> (Units, Vec<String>) {
    let mut units = Units::default();
    let mut left_out = Vec::new();
    let mut sockets = front::Sockets::default();
    for settings in &parts.listeners {
        if let Some(text) = listener::render(settings) {
            let name = listener::unit(&settings.name);
            units.add(&name, text);
            sockets.listeners.push(name);
        }
    }
    for settings in parts.servers.iter().filter(|server| server.enabled) {
        let Transport::Stdio(stdio) = &settings.transport else { continue };
        match server::render(&settings.name, stdio, &parts.daemon.runtime_dir, folder) {
            Ok(rendered) => {
                sockets.servers.push(server::socket_unit(&settings.name));
                for (name, unit) in rendered {
                    units.insert(name, unit);
                }
            }
            Err(why) => left_out.push(format!("the server {} gets no units: {why}", settings.name)),
        }
    }
    let (text, problems) = front::render(parts, &sockets);
    units.add(front::DROP_IN, text);
    left_out.extend(problems);
    (units, left_out)
}

#[cfg(test)]
mod tests;
