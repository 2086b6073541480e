//! The built-in MCP server.

use std::net::SocketAddr;
use std::process::ExitCode;

/// Arguments of `toolgated demo-server`.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub struct DemoServerArgs {
    /// Speak lines on standard input and output
    #[arg(long)]
    pub stdio: bool,
    /// Speak Streamable HTTP at `/mcp` of this address
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
}

/// Serves until its input ends or it is told to stop.
#[must_use]
pub fn run(_args: &DemoServerArgs) -> ExitCode {
    ExitCode::SUCCESS
}
