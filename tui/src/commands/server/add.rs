//! `toolgate server add`: from a command line to tools that clients may call.
//!
//! Every step that fails or is interrupted takes back what was done before it, so that a server that
//! does not start leaves no trace in the configuration.

use std::path::Path;

use serde_json::json;
use toolgate_admin_api::{Exit, FileText, ServerTools};

use super::{ask, print_tools, table};
use crate::args::ServerAdd;
use crate::commands::interrupt::Interrupt;
use crate::commands::{Context, takeover};
use crate::edit::{Access, Change, Place};
use crate::failure::Failure;
use crate::output;

/// The mend for a server that does not answer.
const AS_BEFORE: &str = "The configuration is as it was before. \
    Try the server by itself with `toolgate server try`, or add it all the same with --keep.";

/// Adds the server, or leaves everything as it was.
pub(super) async fn run(context: &Context, add: &ServerAdd) -> Result<Exit, Failure> {
    let place = Place::find(&context.runtime_dir, add.edit.config.as_deref()).await?;
    let path = place.drop_in(&add.name);
    let text = table::file(&add.name, &add.target, &add.table)?;
    let _lock = if add.edit.dry_run { None } else { Some(place.lock().await?) };
    if path.exists() && !add.force {
        return Err(Failure::new(Exit::Failed, format!("{} exists already.", path.display()))
            .remedy("Choose another name, or replace it with --force."));
    }
    if add.edit.dry_run {
        if context.json {
            output::json(&json!({ "file": path, "text": text }));
        } else {
            output::line(&format!("{} would be written:\n\n{}", path.display(), text.trim_end()));
        }
        return Ok(Exit::Done);
    }
    let before = place.read()?;
    if place.served {
        may_be_known(add, &before, &path)?;
    }
    let interrupt = Interrupt::listen()?;
    let mut change = Change::default();
    change.write(&path, &text, Access::Daemon)?;
    let taken = takeover::run(context, &place, &before, change, &format!("server add {}", add.name)).await?;
    if taken.reload.is_none() {
        told(context, add, &path, &taken, None);
        return Ok(Exit::Done);
    }
    let asked = tokio::select! {
        biased;
        interrupted = interrupt.came() => Err(interrupted),
        tools = ask(context, &add.name) => tools,
    };
    match asked {
        Ok(tools) => {
            told(context, add, &path, &taken, Some(&tools));
            Ok(Exit::Done)
        }
        Err(failure) if add.keep => Err(failure.remedy(format!("{} is kept, as --keep says.", path.display()))),
        Err(failure) => {
            taken.give_back(context, &format!("server add {} failed", add.name)).await?;
            Err(failure.remedy(format!("{AS_BEFORE}{}", hint(add))))
        }
    }
}

/// Whether a gate that runs can have the credentials that a server at a URL needs: systemd hands them
/// to the gate at its start only, so that one is there only where the configuration names it already.
fn may_be_known(add: &ServerAdd, before: &[FileText], path: &Path) -> Result<(), Failure> {
    if add.target.url.is_none() {
        return Ok(());
    }
    let values = add.table.bearer.iter().chain(add.table.header.iter().map(|(_, value)| value));
    let mut names = values.filter_map(|value| value.strip_prefix("credential:"));
    let is_named = |name: &str| {
        let quoted = ['"', '\''].map(|quote| format!("{quote}credential:{name}{quote}"));
        before.iter().any(|file| quoted.iter().any(|reference| file.text.contains(reference)))
    };
    let Some(name) = names.find(|name| !is_named(name)) else { return Ok(()) };
    Err(Failure::new(Exit::Failed, format!("A gate that runs gets no new credential such as {name}.")).remedy(format!(
        "Name a file instead, as file:PATH. Or put what --dry-run prints into {}, the secret into \
         /etc/toolgate/credentials/{name}, then run `systemctl daemon-reload` and `systemctl restart toolgated`.",
        path.display()
    )))
}

/// What most often is the matter with programs that start at a desk and not here.
fn hint(add: &ServerAdd) -> &'static str {
    let program = add.target.command.first().map(String::as_str).unwrap_or_default();
    match program.rsplit('/').next().unwrap_or_default() {
        "npx" | "uvx" | "bunx" | "pnpx" => {
            " It fetches its program from the network at every start: install the program, and name it instead."
        }
        "docker" | "podman" => " A program that starts containers needs rights which the gate does not give.",
        _ => "",
    }
}

/// What was done, and what the server offers where somebody could ask it.
fn told(context: &Context, add: &ServerAdd, path: &Path, taken: &takeover::Taken, tools: Option<&ServerTools>) {
    if context.json {
        output::json(&json!({ "file": path, "reload": taken.reload, "tools": tools }));
        return;
    }
    output::line(&format!("{} is written.", path.display()));
    taken.print();
    let Some(tools) = tools else { return };
    output::line("");
    print_tools(&tools.tools);
    let era = tools.era.map(|era| format!(" It speaks the {} era.", era.word())).unwrap_or_default();
    output::line(&format!("\nClients find {} at /mcp/{}, and among others at /mcp.{era}", add.name, add.name));
}
