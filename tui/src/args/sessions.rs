//! `toolgate sessions` and `toolgate calls`: conversations, and what runs now.

use clap::{Args, Subcommand};

use super::how::{Final, How, Rows, seconds};

/// `toolgate sessions`
#[derive(Debug, Subcommand)]
pub(crate) enum Sessions {
    /// List sessions of clients of the legacy era.
    List(Rows),

    /// Show a session with what went on in it.
    Show {
        /// The session, as `toolgate sessions list` names it.
        session: String,
    },

    /// End a session, or all that match, with the calls in them; their clients may open new ones.
    #[command(after_help = "\
Examples:
  toolgate sessions end 93ad0f6c1b7e2d48
  toolgate sessions end --client key:ci --confirm key:ci
  toolgate sessions end --idle 2h --confirm all --reason \"left behind\"

Whoever ends more than one confirms with the client, with the server, or with `all` where neither is given.")]
    End(SessionsEnd),
}

/// `toolgate sessions end`
#[derive(Debug, Args)]
pub(crate) struct SessionsEnd {
    /// One session; absent: those that match.
    #[arg(conflicts_with_all = ["client", "server", "idle"], required_unless_present_any = ["client", "server", "idle"])]
    pub(crate) session: Option<String>,

    /// Those of this client, such as key:ci.
    #[arg(long, value_name = "CLIENT")]
    pub(crate) client: Option<String>,

    /// Those in which this server has a part.
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<String>,

    /// Those that were not used for so long, such as 30m.
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    pub(crate) idle: Option<u64>,

    #[command(flatten)]
    pub(crate) how: Final,
}

/// `toolgate tail`
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// What a call must have: words, with ! before one that it must not have, client=, server=, tool=, outcome=, slower=500ms.
    pub(crate) filter: Vec<String>,

    /// End after so many calls.
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub(crate) lines: Option<u64>,
}

/// `toolgate calls`
#[derive(Debug, Subcommand)]
pub(crate) enum Calls {
    /// List calls that run, the oldest first.
    List(Rows),

    /// End a call; its client reads that the operator did.
    Cancel {
        /// The call, as `toolgate calls list` names it.
        call: String,

        #[command(flatten)]
        how: How,
    },
}
