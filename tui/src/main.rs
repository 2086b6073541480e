//! The operator's command line of the gate.
//!
//! `args` is the table of commands, `commands` has a file for each, `client` talks to the daemon, `edit`
//! changes the configuration's files, `trial` plays a client of a server, `console` is what an operator looks at all day.

mod args;
mod backup;
mod bridge;
mod client;
mod commands;
mod console;
mod edit;
mod failure;
mod output;
mod trial;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    let json = arguments.json;
    match commands::run(arguments) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print(json);
            failure.exit.into()
        }
    }
}
