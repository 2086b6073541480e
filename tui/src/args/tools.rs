//! `toolgate tools`: tools that are not what they were.

use clap::{Args, Subcommand};

use super::how::{How, Rows, seconds};
use super::server::server_name;

/// `toolgate tools`
#[derive(Debug, Subcommand)]
pub(crate) enum Tools {
    /// Show tools that are not what they were when they were accepted, with what changed.
    Changes,

    /// List tools that were called or changed, with what calls to them did.
    List(Rows),

    /// Switch a tool off: it leaves the lists, and calls to it are refused with words.
    #[command(after_help = "\
Example:
  toolgate tools disable pay charge --say \"Payments are closed today.\" --for 2h

It holds across reloads and restarts, until its time is over or `toolgate tools enable`.")]
    Disable(ToolDisable),

    /// Switch it on again.
    Enable {
        /// The server.
        #[arg(value_parser = server_name)]
        server: String,

        /// The server's own name for the tool.
        tool: String,

        #[command(flatten)]
        how: How,
    },

    /// Accept what a tool is now; where it was withheld, clients get it again.
    #[command(after_help = "\
Look at `toolgate tools changes` first. A description is read by models as an instruction: one that was
changed can make them do something else, with all that they may use.")]
    Approve(ToolsApprove),
}

/// `toolgate tools approve`
#[derive(Debug, Args)]
pub(crate) struct ToolsApprove {
    /// The server.
    #[arg(value_parser = server_name)]
    pub(crate) server: String,

    /// The server's own name for the tool.
    pub(crate) tool: String,

    /// Accept it only if it is what `toolgate tools changes` showed under this hash.
    #[arg(long, value_name = "HASH")]
    pub(crate) hash: Option<String>,

    #[command(flatten)]
    pub(crate) how: How,
}

/// `toolgate tools disable`
#[derive(Debug, Args)]
pub(crate) struct ToolDisable {
    /// The server.
    #[arg(value_parser = server_name)]
    pub(crate) server: String,

    /// The server's own name for the tool.
    pub(crate) tool: String,

    /// What whoever calls it reads.
    #[arg(long, value_name = "TEXT")]
    pub(crate) say: Option<String>,

    /// How long, such as 10m; absent: until it is enabled.
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
    pub(crate) seconds: Option<u64>,

    #[command(flatten)]
    pub(crate) how: How,
}
