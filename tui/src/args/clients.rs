//! `toolgate clients`: who calls, and who may not for now.

use clap::{Args, Subcommand};

use super::how::{Final, How, Rows, seconds};

/// `toolgate clients`
#[derive(Debug, Subcommand)]
pub(crate) enum Clients {
    /// List clients, with what they call.
    List(Rows),

    /// Let a client do nothing, and end what it does; it reads why.
    #[command(after_help = "\
Example:
  toolgate clients suspend key:ci --say \"You are in a loop. Ask your user.\" --for 1h --confirm key:ci

It holds across reloads and restarts, until its time is over or `toolgate clients resume`.")]
    Suspend(ClientSuspend),

    /// Let it call again.
    Resume {
        /// The client.
        client: String,

        #[command(flatten)]
        how: How,
    },
}

/// `toolgate clients suspend`
#[derive(Debug, Args)]
pub(crate) struct ClientSuspend {
    /// The client, such as key:ci or address:10.0.0.7.
    pub(crate) client: String,

    /// What it reads instead of answers.
    #[arg(long, value_name = "TEXT")]
    pub(crate) say: Option<String>,

    /// How long, such as 10m; absent: until it is resumed.
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
    pub(crate) seconds: Option<u64>,

    #[command(flatten)]
    pub(crate) how: Final,
}
