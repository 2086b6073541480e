//! `toolgate server try`: does it start, what does it speak, what does it offer.

use std::time::Duration;

use rustix::process::geteuid;
use serde_json::json;
use toolgate_admin_api::{Exit, Shown};

use super::{last_words, print_tools};
use crate::args::ServerTry;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output;
use crate::trial::{self, Address, Found, Program};

/// Tries it once; nothing is changed anywhere.
pub(super) async fn run(context: &Context, attempt: ServerTry) -> Result<Exit, Failure> {
    let patience = Duration::from_secs(attempt.timeout);
    let (found, stderr) = if attempt.command.is_empty() {
        let url = attempt.words.last().map(String::as_str).unwrap_or_default();
        let address = Address::new(url, &attempt.header, attempt.ca.as_deref())?;
        (trial::address(&address, patience).await, Vec::new())
    } else {
        if geteuid().is_root() {
            eprintln!("It runs as root here; behind the gate it has a user of its own.");
        }
        let environment = attempt.env.iter().map(resolved).collect::<Result<_, _>>()?;
        let program = Program { command: attempt.command, environment, directory: attempt.directory };
        trial::program(&program, patience).await.map_err(|error| {
            Failure::new(Exit::Failed, error.to_string()).remedy("Install it, or write its absolute path.")
        })?
    };
    match found {
        Ok(found) => {
            told(context, &found, &stderr);
            Ok(Exit::Done)
        }
        Err(why) => Err(Failure { lines: last_words(&stderr), ..Failure::new(Exit::Failed, why) }),
    }
}

fn told(context: &Context, found: &Found, stderr: &[String]) {
    let millis = u64::try_from(found.first_answer.as_millis()).unwrap_or(u64::MAX);
    if context.json {
        output::json(&json!({ "era": found.era, "revision": found.revision, "name": found.name,
            "first_answer_ms": millis, "tools": found.tools, "stderr": stderr }));
        return;
    }
    let name = found.name.as_deref().map_or("It".to_owned(), |name| Shown(name).to_string());
    output::line(&format!(
        "{name} speaks the {} era ({}); its first answer came after {millis} ms.\n",
        found.era.word(),
        Shown(&found.revision)
    ));
    print_tools(&found.tools);
    if !stderr.is_empty() {
        output::line("\nOn standard error:");
        for line in stderr {
            output::line(&format!("  {}", output::printable(line)));
        }
    }
}

/// A variable's value, read from where it is.
fn resolved((name, value): &(String, String)) -> Result<(String, String), Failure> {
    let value = if let Some(path) = value.strip_prefix("file:") {
        let text =
            std::fs::read_to_string(path).map_err(|error| Failure::local(format!("{path} cannot be read"), error))?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else if value.starts_with("credential:") {
        return Err(Failure::new(Exit::Usage, format!("{name} is a credential, which systemd gives to a unit only."))
            .remedy("Give the value itself, or file:PATH."));
    } else {
        value.clone()
    };
    Ok((name.clone(), value))
}
