//! What is made from the table of commands: completions and man pages.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use toolgate_admin_api::Exit;

use super::live;
use crate::args::Arguments;
use crate::console;
use crate::failure::Failure;
use crate::output;

/// Prints the completion script of a shell.
pub(super) fn completions(shell: Shell) -> Exit {
    output::raw(script(shell).as_bytes());
    Exit::Done
}

/// It.
pub(super) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "toolgate", &mut script);
    live::with_names(shell, &String::from_utf8_lossy(&script))
}

/// Writes `toolgate.1` and a page per command into a folder, which must exist.
pub(super) fn man_pages(folder: &Path) -> Result<Exit, Failure> {
    clap_mangen::generate_to(Arguments::command(), folder)
        .and_then(|()| keys(&folder.join("toolgate-top.1")))
        .map_err(|error| Failure::local(format!("{} cannot be written", folder.display()), error))?;
    Ok(Exit::Done)
}

/// Adds the console's keys to its page.
fn keys(page: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).open(page)?.write_all(console::keys_manual().as_bytes())
}
