//! `toolgate server`: MCP servers behind the gate, added, tried and taken away.

mod add;
mod attempt;
mod endpoint;
mod import;
mod list;
mod mode;
mod remove;
mod restart;
mod show;
mod table;

use toolgate_admin_api::{Exit, ServerTools, Shown, Tool};

use super::{Context, block_on};
use crate::args::Server;
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Characters of a description that are shown.
const DESCRIPTION: usize = 80;

/// Runs one of them.
pub(super) fn run(context: &Context, server: Server) -> Result<Exit, Failure> {
    match server {
        Server::Add(add) => block_on(add::run(context, &add)),
        Server::Try(attempt) => block_on(attempt::run(context, attempt)),
        Server::Import(import) => block_on(import::run(context, &import)),
        Server::Remove(remove) => block_on(remove::run(context, &remove)),
        Server::List => block_on(list::run(context)),
        Server::Show { name } => block_on(show::run(context, &name)),
        Server::Restart(restart) => block_on(restart::run(context, restart)),
        Server::Drain(change) => block_on(mode::run(context, "drain", change)),
        Server::Maintenance(change) => block_on(mode::run(context, "maintenance", change)),
        Server::Resume(change) => block_on(mode::run(context, "resume", change)),
        Server::Weight { name, endpoint, weight, how } => {
            block_on(endpoint::weigh(context, &name, (endpoint, weight), &how))
        }
        Server::Check { name, endpoint, how } => block_on(endpoint::check(context, &name, endpoint, &how)),
    }
}

/// What the gate finds out of a server now; a failure has the server's last words.
async fn ask(context: &Context, name: &str) -> Result<ServerTools, Failure> {
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let tools: ServerTools = client.get_slowly(&format!("/v1/servers/{name}/tools")).await?.read()?;
    match &tools.trouble {
        None => Ok(tools),
        Some(trouble) => {
            Err(Failure { lines: last_words(&trouble.stderr), ..Failure::new(Exit::Failed, trouble.message.clone()) })
        }
    }
}

/// The end of a program's standard error under a heading; nothing where it wrote nothing.
fn last_words(stderr: &[String]) -> Vec<String> {
    let heading = (!stderr.is_empty()).then(|| "Its last lines on standard error:".to_owned());
    heading.into_iter().chain(stderr.iter().map(|line| format!("  {line}"))).collect()
}

/// Tools for people: name, and the beginning of what the server says of each.
fn print_tools(tools: &[Tool]) {
    if tools.is_empty() {
        output::line("It offers no tools.");
        return;
    }
    let head = ["TOOL", "DESCRIPTION"].map(String::from).to_vec();
    let rows = tools.iter().map(|tool| {
        let name = if tool.hidden { format!("{} (hidden)", tool.name) } else { tool.name.clone() };
        vec![Shown(&name).to_string(), Shown(&beginning(tool.description.as_deref().unwrap_or_default())).to_string()]
    });
    output::raw(output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()).as_bytes());
}

/// The first line of a description, cut where it is long.
fn beginning(description: &str) -> String {
    let line = description.trim().lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(DESCRIPTION).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_its_first_line() {
        assert_eq!(beginning("\n Reads a file.\nMore."), "Reads a file.");
        assert_eq!(beginning(&"é".repeat(100)).chars().count(), DESCRIPTION + 1);
    }
}
