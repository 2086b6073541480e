//! `toolgate queues` and `toolgate log`.

use clap::{Args, Subcommand};

use super::how::{Final, How, seconds};
use super::server::server_name;

/// `toolgate queues`
#[derive(Debug, Subcommand)]
pub(crate) enum Queues {
    /// Show who waits for which server.
    List,

    /// Take calls out of a queue; they are refused with words.
    Purge {
        /// The server.
        #[arg(value_parser = server_name)]
        server: String,

        /// Only those of this client; else --confirm with the server's name is needed.
        #[arg(long, value_name = "CLIENT")]
        client: Option<String>,

        #[command(flatten)]
        how: Final,
    },

    /// Bound a queue otherwise for a time. Calls that wait already keep their deadline.
    Set(QueueSet),

    /// Give a queue its configured bounds back.
    Revert {
        /// The server.
        #[arg(value_parser = server_name)]
        server: String,

        #[command(flatten)]
        how: How,
    },
}

/// `toolgate queues set`
#[derive(Debug, Args)]
pub(crate) struct QueueSet {
    /// The server.
    #[arg(value_parser = server_name)]
    pub(crate) server: String,

    /// How long a call may wait, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", required_unless_present = "max_size")]
    pub(crate) timeout_ms: Option<u64>,

    /// Calls that may wait.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_size: Option<u64>,

    /// How long it holds, such as 10m.
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
    pub(crate) seconds: u64,

    #[command(flatten)]
    pub(crate) how: How,
}

/// `toolgate log`
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Set the level of the daemon's log for a time.
    #[command(after_help = "\
Example:
  toolgate log set info,toolgated::servers=debug --for 10m")]
    Set {
        /// As `log.level` of the configuration is written.
        level: String,

        /// How long, such as 10m; absent: until the next reload.
        #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
        seconds: Option<u64>,

        #[command(flatten)]
        how: How,
    },
}
