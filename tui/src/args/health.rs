//! `toolgate alerts`: what an operator should look at.

use clap::{Args, Subcommand};

use super::how::{How, seconds};

/// `toolgate alerts`
#[derive(Debug, Subcommand)]
pub(crate) enum Alerts {
    /// Say that an alert was seen: until it gets worse or is over it is not told again.
    Ack(AlertAck),

    /// Do not tell an alert for a while.
    #[command(after_help = "\
Examples:
  toolgate alerts silence certificate:public:/etc/toolgate/tls/fullchain.pem --for 2d
  toolgate alerts silence server_trouble:weather --for 30m --reason \"it is being mended\"

The end of an alert whose beginning was told is told all the same. A silence outlives reloads.")]
    Silence(AlertSilence),
}

/// `toolgate alerts ack`
#[derive(Debug, Args)]
pub(crate) struct AlertAck {
    /// The alert, as `toolgate alerts` lists it.
    pub(crate) id: String,

    #[command(flatten)]
    pub(crate) how: How,
}

/// `toolgate alerts silence`
#[derive(Debug, Args)]
pub(crate) struct AlertSilence {
    /// The alert, as `toolgate alerts` lists it.
    pub(crate) id: String,

    /// How long, such as 30m or 2d.
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
    pub(crate) seconds: u64,

    #[command(flatten)]
    pub(crate) how: How,
}
