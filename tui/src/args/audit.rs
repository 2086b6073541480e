//! `toolgate audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::how::seconds;

/// `toolgate audit`
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Show the newest lines: calls, what was refused, and changes that somebody made, or tried to.
    Tail {
        /// How many.
        #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
        lines: u64,

        /// Go on with those that come.
        #[arg(short, long)]
        follow: bool,

        /// Only lines of this kind, such as change, call or refused.
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
    },

    /// Show lines that fit, the newest last.
    #[command(after_help = "\
Example:
  toolgate audit search --client key:ci --tool delete_account --since 7d")]
    Search(AuditSearch),

    /// Check that the log is as it was written; exit status 1 where it is not. The first line that was changed, dropped,
    /// moved or put in is named by its number.
    Verify {
        /// Files, the oldest first, or a folder with all of them; absent: the log of the daemon, or where none runs the
        /// one in its state folder.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,

        /// The state folder to look into where no daemon runs.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/toolgate")]
        state_dir: PathBuf,
    },
}

/// `toolgate audit search`
#[derive(Debug, Args)]
pub(crate) struct AuditSearch {
    /// The client's id, such as key:ci.
    #[arg(long, value_name = "CLIENT")]
    pub(crate) client: Option<String>,

    /// The server.
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<String>,

    /// The tool, prompt or resource, as its server names it.
    #[arg(long, value_name = "TOOL")]
    pub(crate) tool: Option<String>,

    /// Not older than this, such as 1h.
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    pub(crate) since: Option<u64>,

    /// How it ended: ok, error, refused or gone; of a change done, or why not.
    #[arg(long, value_name = "OUTCOME")]
    pub(crate) outcome: Option<String>,

    /// The call's id.
    #[arg(long, value_name = "CALL")]
    pub(crate) call: Option<String>,

    /// The kind of line, such as change, call or refused.
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,

    /// The newest so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) limit: u64,
}
