//! The command line of `toolgated`.
//!
//! `main` parses it; every command is a function of the library.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use toolgated::lifecycle::run;
use toolgated::{config, demo, generator, import, instance, keeper};
use tracing_subscriber::EnvFilter;

use crate::generate;

/// The gate in front of MCP servers
#[derive(Debug, Parser)]
#[command(name = "toolgated", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve, as the configuration says
    Run(run::RunArgs),
    /// Say what is wrong with a configuration
    Check(config::CheckArgs),
    /// Try the gate: a TLS endpoint with two small MCP servers, until Ctrl-C
    Demo(demo::DemoArgs),
    /// Turn the MCP servers of a desktop client into a conf.d file
    Import(import::ImportArgs),
    /// Start instances of stdio servers where systemd does not
    Keeper(keeper::KeeperArgs),
    /// Run one instance of a stdio server; started by systemd or the keeper
    #[command(hide = true)]
    Instance(instance::InstanceArgs),
    /// Write the systemd units that the generator would write
    #[command(hide = true)]
    Render(generator::RenderArgs),
    /// A small MCP server to play with
    #[command(hide = true)]
    DemoServer(demo::server::DemoServerArgs),
    /// Print a completion script
    #[command(hide = true)]
    Completions {
        /// For this shell
        shell: Shell,
    },
    /// Write the man pages
    #[command(hide = true)]
    Man {
        /// Into this folder
        folder: PathBuf,
    },
}

impl Cli {
    /// Runs the command to its end.
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            Command::Run(args) => run::run(&args),
            Command::Check(args) => config::check(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Import(args) => import::import(&args),
            Command::Keeper(args) => {
                let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
                let colours = std::io::stderr().is_terminal();
                tracing_subscriber::fmt()
                    .with_ansi(colours)
                    .with_writer(std::io::stderr)
                    .with_env_filter(filter)
                    .init();
                keeper::run(&args)
            }
            Command::Instance(args) => instance::run(&args),
            Command::Render(args) => generator::render_command(&args),
            Command::DemoServer(args) => demo::server::run(&args),
            Command::Completions { shell } => generate::completions(shell),
            Command::Man { folder } => generate::man_pages(&folder),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_table_is_sound() {
        Cli::command().debug_assert();
    }
}
