//! What is made from the table of commands: completions and man pages.
//!
//! The package calls it at build time through hidden commands; what it writes is never committed.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;

mod file_format;

/// The section of system administration: this is the daemon, not the operator's command.
const SECTION: &str = "8";
const NAME: &str = "toolgated";

/// Prints the completion script of a shell.
pub(crate) fn completions(shell: Shell) -> ExitCode {
    clap_complete::generate(shell, &mut visible(), NAME, &mut io::stdout());
    ExitCode::SUCCESS
}

/// Writes `toolgated.8`, a page per command, and toolgate.toml(5) into a folder, which must exist.
pub(crate) fn man_pages(folder: &Path) -> ExitCode {
    let mut command = visible().disable_help_subcommand(true);
    // Names the pages of the commands: toolgated-run and so on.
    command.build();
    let written = write(command, folder).and_then(|()| {
        let mut file = File::create(folder.join(file_format::FILE))?;
        file_format::write(&source(), &mut file)
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("toolgated man: {} cannot be written: {problem}", folder.display());
            ExitCode::FAILURE
        }
    }
}

/// The table without what is hidden: completions would offer it.
fn visible() -> Command {
    let whole = Cli::command();
    let shown = whole.get_subcommands().filter(|inner| !inner.is_hide_set()).cloned();
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about(whole.get_about().cloned().unwrap_or_default())
        .subcommand_required(true)
        .subcommands(shown)
}

fn write(command: Command, folder: &Path) -> io::Result<()> {
    for inner in command.get_subcommands() {
        write(inner.clone(), folder)?;
    }
    let page = Man::new(command).section(SECTION).source(source());
    page.render(&mut File::create(folder.join(page.get_filename()))?)
}

/// What the foot of each page says.
fn source() -> String {
    format!("{NAME} {}", env!("CARGO_PKG_VERSION"))
}
