//! `toolgate limits`: what bounds clients, and for how long it is another number.

use clap::{Args, Subcommand};

use super::how::{Final, How, seconds};

/// `toolgate limits`
#[derive(Debug, Subcommand)]
pub(crate) enum Limits {
    /// Set a limit to another value for a time; what was counted goes on.
    #[command(after_help = "\
Examples:
  toolgate limits set tier.free.1 20/min --for 10m
  toolgate limits set calls 5 --for 1h --reason \"the server is slow today\"

A limit keeps what it bounds: a rate is set to a rate, a quota to a quota of the same period, and a
number in flight to a number. An override outlives reloads and restarts of the daemon.")]
    Set(LimitSet),

    /// Add a limit that no file has, for a client, a tool or both, for a time.
    #[command(after_help = "\
Example:
  toolgate limits add 5/min --client key:ci --tool pay/charge --for 1h --say \"You are in a loop\"

It outlives reloads and restarts of the daemon. `toolgate limits` lists it, `limits revert` ends it.
A limit of 0 stops the calls, and needs --confirm with the client or the tool.")]
    Add(LimitAdd),

    /// Show every limit that a call would meet: what is left of each, and where it comes from.
    Explain(LimitExplain),

    /// Take an override away: the limit is again what the configuration says.
    Revert(LimitRevert),
}

/// `toolgate limits set`
#[derive(Debug, Args)]
pub(crate) struct LimitSet {
    /// The limit, as `toolgate limits` lists it.
    pub(crate) name: String,

    /// As the configuration writes it, such as 20/min, 5000/day or 5.
    pub(crate) value: String,

    /// How long it holds, such as 10m or 1h30m.
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
    pub(crate) seconds: u64,

    /// At once, for a token bucket; absent: the value's count.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) burst: Option<u64>,

    #[command(flatten)]
    pub(crate) how: Final,
}

/// `toolgate limits revert`
#[derive(Debug, Args)]
pub(crate) struct LimitRevert {
    /// The limit.
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) how: How,
}

/// `toolgate limits add`
#[derive(Debug, Args)]
pub(crate) struct LimitAdd {
    /// As the configuration writes a rate, such as 5/min, or a number of calls in flight; 0 lets none through.
    pub(crate) value: String,

    /// For this client, such as key:ci; absent: for all of them together.
    #[arg(long, value_name = "CLIENT", required_unless_present = "tool")]
    pub(crate) client: Option<String>,

    /// For this tool, as SERVER/TOOL; absent: for all calls.
    #[arg(long, value_name = "TOOL")]
    pub(crate) tool: Option<String>,

    /// How long it holds, such as 10m or 1h30m.
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
    pub(crate) seconds: u64,

    /// What a refused client reads, before it is told when to come back.
    #[arg(long, value_name = "TEXT")]
    pub(crate) say: Option<String>,

    #[command(flatten)]
    pub(crate) how: Final,
}

/// `toolgate limits explain`
#[derive(Debug, Args)]
pub(crate) struct LimitExplain {
    /// The client, such as key:ci or address:10.0.0.7.
    #[arg(long, value_name = "CLIENT")]
    pub(crate) client: String,

    /// The tool, as SERVER/TOOL.
    #[arg(long, value_name = "TOOL")]
    pub(crate) tool: String,

    /// The listener that the call comes to; absent: the first that serves MCP.
    #[arg(long, value_name = "NAME")]
    pub(crate) listener: Option<String>,
}
