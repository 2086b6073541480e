//! `toolgate server`: MCP servers behind the gate.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::how::{Final, How};
use super::{Edit, ModeChange};

/// `toolgate server`
#[derive(Debug, Subcommand)]
pub(crate) enum Server {
    /// Put an MCP server behind the gate: write its file, check, start, reload, and list its tools.
    #[command(after_help = "\
Examples:
  toolgate server add files -- mcp-server-filesystem /srv
  toolgate server add weather http://10.0.0.7:3001/mcp --bearer file:/etc/toolgate/secrets/weather

When it does not start, the reason and its last lines on standard error are printed, and the
configuration is left as it was.")]
    Add(ServerAdd),

    /// Start a server outside of the gate, as a child of this command, and list its tools.
    #[command(after_help = "\
Nothing is changed. The program runs with your rights and your environment, without the sandbox that
the gate gives it.

Example:
  toolgate server try -- mcp-server-filesystem /srv")]
    Try(ServerTry),

    /// Put the servers of a desktop client's file behind the gate, a file of conf.d for each.
    Import(ServerImport),

    /// Take a server away again, with its file.
    Remove(ServerRemove),

    /// List the servers of the running gate.
    List,

    /// Show a server with its instances, and the last words of the one that ended last.
    Show {
        /// The server.
        #[arg(value_parser = server_name)]
        name: String,
    },

    /// Replace the instances of a server, such as after its package was updated.
    #[command(after_help = "\
Without --rolling all instances end at once, and what is in flight is answered with an error. With it
each goes on with what is in flight, and new calls go to new instances. Sessions live on in both
cases; what a program remembered of them is lost.")]
    Restart(ServerRestart),

    /// Send nothing new to a server or one of its endpoints; sessions go on.
    #[command(after_help = "\
Calls without a session go to other endpoints, where the server has some; else they are refused.
With --deadline, sessions that only a drained endpoint knows end then.")]
    Drain(ModeChange),

    /// The same, and end its sessions at a deadline: after a minute, unless --deadline says otherwise.
    Maintenance(ModeChange),

    /// Have it serve again.
    Resume(ModeChange),

    /// Give an endpoint another weight, until the files give it another one or this is set back.
    Weight {
        /// The server.
        #[arg(value_parser = server_name)]
        name: String,

        /// Its URL.
        #[arg(long, value_name = "URL")]
        endpoint: String,

        /// From 0, which is no calls while others are there, to 1000.
        weight: u32,

        #[command(flatten)]
        how: Final,
    },

    /// Check endpoints now; exit status 3 when one does not answer.
    Check {
        /// The server.
        #[arg(value_parser = server_name)]
        name: String,

        /// One of its endpoints, instead of all.
        #[arg(long, value_name = "URL")]
        endpoint: Option<String>,

        #[command(flatten)]
        how: How,
    },
}

/// `toolgate server restart`
#[derive(Debug, Args)]
pub(crate) struct ServerRestart {
    /// The server.
    #[arg(value_parser = server_name)]
    pub(crate) name: String,

    /// End each instance when nothing is in flight with it; without it all end at once, which is to be confirmed.
    #[arg(long)]
    pub(crate) rolling: bool,

    #[command(flatten)]
    pub(crate) how: Final,
}

/// How a server is reached: by a URL, or by a command behind `--`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// The URL of a server over Streamable HTTP, instead of a command.
    #[arg(value_name = "URL", required_unless_present = "command", conflicts_with = "command")]
    pub(crate) url: Option<String>,

    /// Program and arguments of a server over stdio.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// What a server's table says beside how it is reached.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerTable {
    /// A variable of the program; VALUE may be credential:NAME or file:PATH.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) env: Vec<(String, String)>,

    /// The program's working directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<String>,

    /// Whom one instance of the program serves.
    #[arg(long, value_name = "WHOM")]
    pub(crate) per: Option<Per>,

    /// The gate's own credential at the server: credential:NAME or file:PATH.
    #[arg(long, value_name = "SECRET")]
    pub(crate) bearer: Option<String>,

    /// A header of every request to the server.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) header: Vec<(String, String)>,

    /// The URL is of HTTP+SSE, the transport of 2024-11-05.
    #[arg(long)]
    pub(crate) sse: bool,

    /// Any other key of its table, in TOML: instances.memory='"256M"'.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) set: Vec<(String, String)>,
}

/// Whom an instance serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Per {
    /// One session of one client
    Session,
    /// One client
    Client,
    /// Everybody
    All,
}

impl Per {
    /// The word of the configuration.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Client => "client",
            Self::All => "all",
        }
    }
}

/// `toolgate server add`
#[derive(Debug, Args)]
pub(crate) struct ServerAdd {
    /// Its name; it is offered at /mcp/NAME.
    #[arg(value_parser = server_name)]
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) target: Target,

    #[command(flatten)]
    pub(crate) table: ServerTable,

    /// Replace its file where there is one.
    #[arg(long)]
    pub(crate) force: bool,

    /// Keep its file also where the server does not answer.
    #[arg(long)]
    pub(crate) keep: bool,

    #[command(flatten)]
    pub(crate) edit: Edit,
}

/// `toolgate server try`
#[derive(Debug, Args)]
pub(crate) struct ServerTry {
    /// A URL, or a name and a URL; a name alone is passed over, so that `add` may become `try`.
    #[arg(value_name = "[NAME] URL", num_args = 0..=2, required_unless_present = "command")]
    pub(crate) words: Vec<String>,

    /// Program and arguments of a server over stdio.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,

    /// A variable of the program.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) env: Vec<(String, String)>,

    /// The program's working directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,

    /// A header of every request to the server.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) header: Vec<(String, String)>,

    /// Trust the authorities in this PEM file instead of the machine's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) timeout: u64,
}

/// `toolgate server import`
#[derive(Debug, Args)]
pub(crate) struct ServerImport {
    /// JSON with mcpServers (Claude Desktop, Claude Code, Cursor) or servers (VS Code).
    pub(crate) file: PathBuf,

    /// Replace files that exist.
    #[arg(long)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) edit: Edit,
}

/// `toolgate server remove`
#[derive(Debug, Args)]
pub(crate) struct ServerRemove {
    /// Its name.
    #[arg(value_parser = server_name)]
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) edit: Edit,
}

/// The rule for names that clients see in paths: `[a-z][a-z0-9-]{0,23}`.
pub(super) fn server_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.len() > 24 || !text.starts_with(|first: char| first.is_ascii_lowercase()) || !text.bytes().all(fits) {
        return Err("use a lower-case letter, then up to 23 of a-z, 0-9 and -".into());
    }
    Ok(text.to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Arguments, Command};
    use super::*;

    fn parsed(words: &[&str]) -> Option<Server> {
        let words = ["toolgate", "server"].iter().chain(words);
        match Arguments::try_parse_from(words).ok()?.command {
            Some(Command::Server { verb }) => verb,
            _ => None,
        }
    }

    #[test]
    fn a_server_is_a_url_or_a_command_and_never_both() {
        let Some(Server::Add(add)) = parsed(&["add", "files", "--env", "A=b=c", "--", "x", "--y"]) else { panic!() };
        assert_eq!((add.target.url, add.target.command), (None, vec!["x".to_owned(), "--y".to_owned()]));
        assert_eq!(add.table.env, [("A".to_owned(), "b=c".to_owned())]);
        let Some(Server::Add(add)) = parsed(&["add", "web", "http://h/mcp"]) else { panic!() };
        assert_eq!(add.target.url.as_deref(), Some("http://h/mcp"));
        assert!(parsed(&["add", "files"]).is_none());
        assert!(parsed(&["add", "files", "http://h/mcp", "--", "x"]).is_none());
        for name in ["Files", "1a", "a_b", "", "../x", "abcdefghijklmnopqrstuvwxy"] {
            assert!(parsed(&["add", name, "--", "x"]).is_none(), "{name}");
        }
    }

    #[test]
    fn what_is_added_may_be_tried_with_the_same_words() {
        for words in
            [&["try", "files", "--", "x"][..], &["try", "--", "x"], &["try", "web", "http://h/"], &["try", "http://h/"]]
        {
            assert!(matches!(parsed(words), Some(Server::Try(_))), "{words:?}");
        }
        assert!(parsed(&["try"]).is_none());
    }
}
