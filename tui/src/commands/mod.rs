//! One file per command.
//!
//! A command gets its arguments and prints; it returns the exit status, or a failure that `main`
//! prints. Nothing here draws or keeps state.

mod alerts;
mod audit;
mod backup;
mod breaker;
mod cache;
mod calls;
mod certs;
mod change;
mod client_config;
mod clients;
mod complete;
mod config;
mod diff;
mod generate;
mod grants;
mod health;
mod history;
mod interrupt;
mod key;
mod limits;
mod live;
mod log;
mod policy;
mod probe;
mod queues;
mod record;
mod rewind;
mod rollback;
mod seal;
mod server;
mod sessions;
mod starter;
pub(crate) mod status;
mod tail;
mod takeover;
mod tools;

pub(crate) use change::is_zero;
use std::path::PathBuf;

use toolgate_admin_api::Exit;

use crate::args::{Arguments, Calls, Clients, Command, Config, Queues, Rows, Server, Sessions, Tools};
use crate::bridge;
use crate::console;
use crate::failure::Failure;

/// What every command gets.
pub(crate) struct Context {
    /// Print JSON.
    pub(crate) json: bool,
    /// Where the admin sockets are.
    pub(crate) runtime_dir: PathBuf,
}

/// Runs what the command line says.
pub(crate) fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let context = Context { json: arguments.json, runtime_dir: arguments.socket_dir };
    match arguments.command {
        None => console::without_command(&context),
        Some(Command::Top(top)) => console::top(&context, &top),
        Some(Command::Replay(replay)) => console::replay(&context, &replay),
        Some(Command::Status) => block_on(status::run(&context)),
        Some(Command::Config(Config::Check { file: Some(file) })) => config::check_file(&context, &file),
        Some(Command::Config(Config::Check { file: None })) => block_on(config::check(&context)),
        Some(Command::Config(Config::Reload(reload))) => block_on(config::reload(&context, reload)),
        Some(Command::Config(Config::Show)) => block_on(config::show(&context)),
        Some(Command::Config(Config::History(history))) => block_on(history::run(&context, &history)),
        Some(Command::Config(Config::Diff(diff))) => block_on(diff::run(&context, &diff)),
        Some(Command::Config(Config::Rollback(rollback))) => block_on(rollback::run(&context, &rollback)),
        Some(Command::Server { verb }) => server::run(&context, verb.unwrap_or(Server::List)),
        Some(Command::Breaker(breaker)) => block_on(breaker::run(&context, breaker)),
        Some(Command::Limits { change }) => block_on(limits::run(&context, change)),
        Some(Command::Health) => block_on(health::run(&context)),
        Some(Command::Alerts { change }) => block_on(alerts::run(&context, change)),
        Some(Command::Certs) => block_on(certs::run(&context)),
        Some(Command::Clients { verb }) => {
            block_on(clients::run(&context, verb.unwrap_or(Clients::List(Rows::default()))))
        }
        Some(Command::Sessions { verb }) => {
            block_on(sessions::run(&context, verb.unwrap_or(Sessions::List(Rows::default()))))
        }
        Some(Command::Calls { verb }) => block_on(calls::run(&context, verb.unwrap_or(Calls::List(Rows::default())))),
        Some(Command::Tail(tail)) => block_on(tail::run(&context, &tail)),
        Some(Command::Why { call }) => block_on(calls::why(&context, &call)),
        Some(Command::Queues { verb }) => block_on(queues::run(&context, verb.unwrap_or(Queues::List))),
        Some(Command::Log(log)) => block_on(log::run(&context, log)),
        Some(Command::Audit(audit)) => block_on(audit::run(&context, audit)),
        Some(Command::Cache(cache)) => block_on(cache::run(&context, cache)),
        Some(Command::Grants(grants)) => block_on(grants::run(&context, grants)),
        Some(Command::Tools { verb }) => block_on(tools::run(&context, verb.unwrap_or(Tools::List(Rows::default())))),
        Some(Command::Rewind(rewind)) => block_on(rewind::run(&context, &rewind)),
        Some(Command::Record(record)) => block_on(record::run(&context, &record)),
        Some(Command::Backup(backup)) => backup::run(&context, &backup),
        Some(Command::Seal(seal)) => block_on(seal::run(&context, seal)),
        Some(Command::Policy(policy)) => block_on(policy::run(&context, policy)),
        Some(Command::Key(key)) => block_on(key::run(&context, key)),
        Some(Command::Bridge(bridge)) => bridge::run(&bridge),
        Some(Command::ClientConfig(config)) => client_config::run(&context, &config),
        Some(Command::Probe(probe)) => block_on(probe::run(&context, probe)),
        Some(Command::Completions { shell }) => Ok(generate::completions(shell)),
        Some(Command::Complete { noun, of }) => block_on(complete::run(&context, noun, of.as_deref())),
        Some(Command::Man { folder }) => generate::man_pages(&folder),
    }
}

/// Runs a command that talks, on this thread.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::local("The command cannot start", error))?
        .block_on(command)
}
