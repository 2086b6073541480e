//! The table of commands; help, man pages and completions are made from it.
//!
//! Nouns first, then verbs. Texts are for operators: what a command does, not how.

#![expect(clippy::doc_markdown, reason = "these comments are help texts, which are no Markdown")]

mod audit;
mod backup;
mod cache;
mod clients;
mod config;
mod console;
mod endpoints;
mod grants;
mod health;
mod how;
mod keys;
mod limits;
mod past;
mod policy;
mod queues;
mod seal;
mod server;
mod sessions;
mod tools;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use toolgate_admin_api::paths;

pub(crate) use audit::{Audit, AuditSearch};
pub(crate) use backup::{Backup, BackupCreate, BackupRestore, BackupSecret, BackupVerify};
pub(crate) use cache::Cache;
pub(crate) use clients::{ClientSuspend, Clients};
pub(crate) use config::{Config, Diff, History, Reload, Rollback};
pub(crate) use console::{Look, Replay, Top};
pub(crate) use endpoints::{Breaker, BreakerChange, ModeChange};
pub(crate) use grants::{GrantRevoke, Grants};
pub(crate) use health::{AlertAck, AlertSilence, Alerts};
pub(crate) use how::{Final, How, Rows, seconds};
pub(crate) use keys::{Key, KeyAdopt, KeyCreate, KeyImport, KeyList, KeyRotate, KeySuspend};
pub(crate) use limits::{LimitAdd, LimitExplain, LimitRevert, LimitSet, Limits};
pub(crate) use past::{Record, Rewind};
pub(crate) use policy::{Policy, PolicyExplain};
pub(crate) use queues::{Log, QueueSet, Queues};
pub(crate) use seal::Seal;
pub(crate) use server::{Server, ServerAdd, ServerImport, ServerRemove, ServerRestart, ServerTable, ServerTry, Target};
pub(crate) use sessions::{Calls, Sessions, SessionsEnd, Tail};
pub(crate) use tools::{ToolDisable, Tools, ToolsApprove};

/// Look at and steer a running toolgated.
#[derive(Debug, Parser)]
#[command(name = "toolgate", version, after_help = EXITS, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The daemon's runtime folder, which holds its admin sockets.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = paths::RUNTIME_DIR_VARIABLE,
        default_value = paths::RUNTIME_DIR
    )]
    pub(crate) socket_dir: PathBuf,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EXITS: &str = "\
Exit status:
   0  done
   1  failed
   2  the command line is wrong
   3  the daemon answers, and something that should work does not
  69  the daemon cannot be reached
  77  not allowed
  78  the configuration has errors";

/// What to do; absent: the console on a terminal, else the status, once.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what the daemon is doing; exit status 3 when something that should work does not.
    Status,

    /// Open the console; redirected, print once what it would show.
    Top(Top),

    /// Show again what `toolgate record` wrote.
    Replay(Replay),

    /// Look at the configuration and its past, check the files, take them over, go back.
    #[command(subcommand)]
    Config(Config),

    /// Add, try and remove MCP servers behind the gate.
    Server {
        /// Absent: `list`.
        #[command(subcommand)]
        verb: Option<Server>,
    },

    /// Open, close and reset the circuit breakers of a server.
    #[command(subcommand)]
    Breaker(Breaker),

    /// Show limits with what they count, and set one to another value for a time.
    #[command(args_conflicts_with_subcommands = true)]
    Limits {
        #[command(subcommand)]
        change: Option<Limits>,
    },

    /// Show checks, the process, alerts, and advice on size; exit status 3 when it is not healthy.
    Health,

    /// List alerts, acknowledge and silence them.
    #[command(args_conflicts_with_subcommands = true)]
    Alerts {
        #[command(subcommand)]
        change: Option<Alerts>,
    },

    /// List certificates with names, ends and files, and why newer files are not served.
    Certs,

    /// See who calls, and let a client do nothing for a while.
    Clients {
        /// Absent: `list`.
        #[command(subcommand)]
        verb: Option<Clients>,
    },

    /// See and end sessions of the legacy era.
    Sessions {
        /// Absent: `list`.
        #[command(subcommand)]
        verb: Option<Sessions>,
    },

    /// See and end calls that run.
    Calls {
        /// Absent: `list`.
        #[command(subcommand)]
        verb: Option<Calls>,
    },

    /// Show calls as they end.
    Tail(Tail),

    /// Tell the life of one call: where it is, or how it went and where its time was spent.
    Why {
        /// Its id: in the X-Request-Id of its answer, in every error's data and in every log line.
        call: String,
    },

    /// See who waits for which server, bound a queue otherwise for a time, take calls out.
    Queues {
        /// Absent: `list`.
        #[command(subcommand)]
        verb: Option<Queues>,
    },

    /// Set the level of the daemon's log for a time.
    #[command(subcommand)]
    Log(Log),

    /// See who called and changed what, and check that the log of it is whole.
    #[command(subcommand)]
    Audit(Audit),

    /// See what answers are kept, and forget them.
    #[command(subcommand)]
    Cache(Cache),

    /// See tools and how they have changed, switch them off and on, approve what they are now.
    Tools {
        /// Absent: `list`.
        #[command(subcommand)]
        verb: Option<Tools>,
    },

    /// See what users allowed clients at servers, and forget it.
    #[command(subcommand)]
    Grants(Grants),

    /// Print what the graphs showed at a time of the last day.
    Rewind(Rewind),

    /// Write what the console would show into a file, for a colleague or a report.
    Record(Record),

    /// Keep what a gate is made of in one file, and put it back.
    #[command(subcommand)]
    Backup(Backup),

    /// See and replace the keys of what clients hold for the gate.
    #[command(subcommand)]
    Seal(Seal),

    /// Ask who may do what, and by which rule.
    #[command(subcommand)]
    Policy(Policy),

    /// Make keys for clients, change them, take them away.
    #[command(subcommand)]
    Key(Key),

    /// Be an MCP server over stdio that relays to a gate, for clients that only speak stdio.
    Bridge(Bridge),

    /// Print what to paste into an MCP client so that it uses a gate.
    ClientConfig(ClientConfig),

    /// Exit with 0 when the daemon is healthy, else with 1; for containers and scripts.
    Probe(Probe),

    /// Print a completion script.
    Completions {
        /// For this shell.
        shell: Shell,
    },

    /// Print names that live now, a line each, for completions.
    #[command(hide = true)]
    Complete {
        /// Of which kind.
        noun: Noun,

        /// Tools of this server alone, by their own names.
        #[arg(long, value_name = "SERVER")]
        of: Option<String>,
    },

    /// Write the man pages.
    #[command(hide = true)]
    Man {
        /// Into this folder.
        folder: PathBuf,
    },
}

/// What has names that live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Noun {
    /// Servers behind the gate.
    Servers,
    /// Sessions that are open.
    Sessions,
    /// Calls that run.
    Calls,
    /// Clients that are known.
    Clients,
    /// Limits that hold.
    Limits,
    /// Keys of clients.
    Keys,
    /// Tools that are known, as `SERVER/TOOL`.
    Tools,
    /// Alerts that fire, or have of late.
    Alerts,
}

/// Commands that write the configuration.
#[derive(Debug, Clone, Args)]
pub(crate) struct Edit {
    /// The main file; absent: the one that the daemon reads, else /etc/toolgate/toolgate.toml.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Say what would be written, write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `toolgate bridge`
#[derive(Debug, Args)]
pub(crate) struct Bridge {
    /// The gate, such as https://gate.example.org/mcp; http:// only on this machine.
    pub(crate) url: String,

    #[command(flatten)]
    pub(crate) key: ClientKey,

    #[command(flatten)]
    pub(crate) trust: Trust,
}

/// The API key of a client.
#[derive(Debug, Args)]
pub(crate) struct ClientKey {
    /// The API key; better in the environment or a file, where others do not see it.
    #[arg(long, value_name = "KEY", env = "TOOLGATE_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,

    /// A file that holds the API key.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub(crate) key_file: Option<PathBuf>,
}

/// Which certificates are believed.
#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// Trust the authorities in this PEM file instead of the machine's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// `toolgate client-config`
#[derive(Debug, Args)]
pub(crate) struct ClientConfig {
    /// The client to print for.
    #[arg(long = "for", value_name = "CLIENT")]
    pub(crate) client: Client,

    /// The gate, such as https://gate.example.org/mcp.
    pub(crate) url: String,

    /// The API key to write into it; absent: a reference to TOOLGATE_KEY where the client has such.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,

    /// The name that the client shows.
    #[arg(long, value_name = "NAME", default_value = "toolgate", value_parser = name)]
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) trust: Trust,
}

/// An MCP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// Claude Desktop (stdio only: through `toolgate bridge`)
    ClaudeDesktop,
    /// Claude Code
    ClaudeCode,
    /// Cursor
    Cursor,
    /// VS Code
    Vscode,
    /// Windsurf
    Windsurf,
    /// Zed (through `toolgate bridge`)
    Zed,
    /// Codex CLI
    Codex,
    /// Gemini CLI
    GeminiCli,
    /// MCP Inspector
    Inspector,
    /// curl, for a first try
    Curl,
    /// The plain `mcpServers` form that many clients read
    McpServers,
}

/// `toolgate probe`
#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// Ask whether it takes calls, not only whether it lives.
    #[arg(long)]
    pub(crate) ready: bool,

    /// Ask a listener over HTTP, such as http://127.0.0.1:9090, instead of the view socket.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,

    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(1..=300))]
    pub(crate) timeout: u64,

    #[command(flatten)]
    pub(crate) trust: Trust,
}

/// Text that goes into a configuration file and into logs.
fn printable(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters".into());
    }
    Ok(text.to_owned())
}

/// A name that is safe in every client's file and on a command line.
fn name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.is_empty() || text.starts_with('-') || !text.bytes().all(fits) {
        return Err("use letters, digits, - and _".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_table_is_sound() {
        Arguments::command().debug_assert();
    }
}
