//! `toolgate grants`: what users allowed clients at servers.

use clap::{Args, Subcommand};

use super::how::Final;
use super::server::server_name;

/// `toolgate grants`
#[derive(Debug, Subcommand)]
pub(crate) enum Grants {
    /// List what users allowed, by server and client; never their tokens.
    List,

    /// Forget what a user allowed a client at a server; its next call asks the user anew.
    Revoke(GrantRevoke),
}

/// `toolgate grants revoke`
#[derive(Debug, Args)]
pub(crate) struct GrantRevoke {
    /// The server.
    #[arg(value_parser = server_name)]
    pub(crate) server: String,

    /// The client, such as key:ana.
    pub(crate) client: String,

    #[command(flatten)]
    pub(crate) how: Final,
}
