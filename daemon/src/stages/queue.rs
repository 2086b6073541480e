//! A permit of the server's, waited for in its queue where none is free.

use std::sync::Arc;
use std::time::Instant;

use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::servers::Server;
use crate::servers::queue::{Flow, Permit, Refusal};

/// Admits the call to a server; the permit stays with the call until its answer has ended.
pub async fn admit(call: &mut Call, server: &Arc<Server>) -> Result<(), Failure> {
    let (permit, at) = if let Some(permit) = server.queue.try_enter() {
        (permit, call.times.read)
    } else {
        // Only a call that must wait pays for the means to.
        let waited = Box::pin(server.queue.enter(flow(call))).await;
        (waited.map_err(|refused| refusal(server, &refused))?, Instant::now())
    };
    server.use_now();
    call.permits.push(permit);
    call.times.admitted = Some(at);
    Ok(())
}

/// A permit for a call that has given its own up for a while.
pub async fn wait(server: &Arc<Server>, flow: Flow) -> Result<Permit, Failure> {
    server.queue.enter(flow).await.map_err(|refused| refusal(server, &refused))
}

/// Waiting calls are ordered fairly between clients.
pub fn flow(call: &Call) -> Flow {
    Flow(call.client().number)
}

fn refusal(server: &Server, refused: &Refusal) -> Failure {
    let name = &server.settings.name;
    let wait = server.settings.queue.timeout;
    let (kind, text) = match refused {
        Refusal::Full { .. } => (Kind::QueueFull, format!("Too many calls wait for the server {name}.")),
        Refusal::Deadline { .. } => {
            (Kind::QueueTimeout, format!("The server {name} had no room for this call in time. Nothing was done."))
        }
    };
    Failure::new(kind, format!("{text} Try again in {} s.", wait.as_secs().max(1))).retry_after(wait)
}
