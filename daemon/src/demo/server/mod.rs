//! The built-in MCP server: a few tools, a resource, a template and a prompt.
//!
//! `toolgated demo` and tests start it behind the gate. It speaks every revision, over stdio and
//! over HTTP, and is an ordinary server: it reads whole JSON values, which the gate never does.

mod body;
mod calendar;
mod dialogue;
mod http;
mod offers;
mod reply;
mod stdio;
mod tools;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::task::LocalSet;

/// Arguments of `toolgated demo-server`.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoServerArgs {
    /// Speak lines on standard input and output
    #[arg(long, required_unless_present = "http", conflicts_with = "http")]
    pub stdio: bool,
    /// Speak Streamable HTTP at `/mcp` of this address
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
    /// End when the process that started this one ends
    #[arg(long)]
    pub end_with_parent: bool,
}

/// Serves until its input ends or it is told to stop; exits with 1 where it cannot serve.
#[must_use]
pub fn run(args: &DemoServerArgs) -> ExitCode {
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("toolgated demo-server: {e}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &DemoServerArgs) -> io::Result<()> {
    if args.end_with_parent {
        set_parent_process_death_signal(Some(Signal::TERM))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = LocalSet::new();
    match args.http {
        Some(address) => tasks.block_on(&runtime, http::serve(address)),
        None => tasks.block_on(&runtime, stdio::serve()),
    }
}
