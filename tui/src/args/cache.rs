//! `toolgate cache`: answers that are kept.

use clap::Subcommand;

use super::how::How;
use super::server::server_name;

/// `toolgate cache`
#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// Show what is kept of each server's answers, and how often it was of use.
    Show,

    /// Forget kept answers; the next call of each kind goes to the server.
    Clear {
        /// Of this server; absent: of all.
        #[arg(value_parser = server_name)]
        server: Option<String>,

        #[command(flatten)]
        how: How,
    },
}
