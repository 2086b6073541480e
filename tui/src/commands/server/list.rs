//! `toolgate server list`: the servers of the running gate.

use toolgate_admin_api::{Exit, Status};

use crate::client::admin::AdminClient;
use crate::commands::{Context, status};
use crate::failure::Failure;
use crate::output;

/// Prints them.
pub(super) async fn run(context: &Context) -> Result<Exit, Failure> {
    let answer = AdminClient::view(&context.runtime_dir).await?.get("/v1/status").await?;
    let status: Status = answer.read()?;
    if context.json {
        output::json(&status.servers);
    } else if status.servers.is_empty() {
        output::line("There is no server yet: `toolgate server add NAME -- COMMAND` adds one.");
    } else {
        output::raw(output::table(&status::servers(&status)).as_bytes());
    }
    Ok(Exit::Done)
}
