//! `toolgate bridge`: an MCP server over stdio that relays to a gate.
//!
//! A line from standard input becomes a POST, every message of an answer becomes a line on standard
//! output. Messages are relayed as bytes; only their envelope is read.

mod call;
mod head;
mod listen;
mod params;
mod refusal;
mod relay;
mod stdio;

use std::rc::Rc;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::watch;
use toolgate_admin_api::Exit;

use crate::args::{self, ClientKey};
use crate::client::connection::Connections;
use crate::client::url::GateUrl;
use crate::commands::block_on;
use crate::failure::Failure;
use relay::Relay;
use stdio::{Input, Line};

/// Calls may still finish for this long after standard input has ended. Clients kill what stays
/// longer than about two seconds.
const GRACE: Duration = Duration::from_millis(1500);

/// Runs until standard input ends or a signal comes.
pub(crate) fn run(arguments: &args::Bridge) -> Result<Exit, Failure> {
    let connections = Connections::new(GateUrl::parse(&arguments.url)?, arguments.trust.ca.as_deref())?;
    let bearer = bearer(&arguments.key)?;
    let output = stdio::output()?;
    let input = stdio::input()?;
    let relay = Relay::new(connections, bearer, output.lines());
    block_on(async {
        tokio::task::LocalSet::new().run_until(serve(Rc::new(relay), input)).await;
        Ok(())
    })?;
    output.finish();
    Ok(Exit::Done)
}

async fn serve(relay: Rc<Relay>, mut input: Input) {
    let ended = input.ended();
    tokio::select! {
        () = relay_all(&relay, &mut input) => {}
        () = grace(ended) => {}
    }
    relay.end().await;
}

async fn relay_all(relay: &Rc<Relay>, input: &mut Input) {
    while let Some(line) = input.next().await {
        match line {
            Line::Message(message) => relay.accept(message).await,
            Line::TooLong => {
                eprintln!("toolgate bridge: A message of more than {} MiB was dropped.", stdio::LINE_LIMIT >> 20);
            }
        }
    }
    relay.idle().await;
}

async fn grace(mut ended: watch::Receiver<bool>) {
    // An error means that the reader is gone, which is the same.
    let _ = ended.wait_for(|ended| *ended).await;
    tokio::time::sleep(GRACE).await;
}

/// `Authorization`, where a key was given.
fn bearer(arguments: &ClientKey) -> Result<Option<HeaderValue>, Failure> {
    let from_file = |file: &std::path::PathBuf| {
        std::fs::read_to_string(file)
            .map_err(|error| Failure::new(Exit::Usage, format!("{} cannot be read: {error}.", file.display())))
    };
    let key = match (&arguments.key, &arguments.key_file) {
        (Some(key), _) => key.clone(),
        (None, Some(file)) => from_file(file)?,
        (None, None) => return Ok(None),
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim())).map_err(|_| {
        Failure::new(Exit::Usage, "The key has characters that no key has.")
            .remedy("A key is one line such as tg_ID_SECRET.")
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}
