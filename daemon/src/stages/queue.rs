//! A permit of the server's, waited for in its queue where none is free.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::observe::ledger::Stage;
use crate::servers::Server;
use crate::servers::queue::{Flow, Permit, Reason, Refusal};

/// Admits the call to a server; the permit stays with the call until its answer has ended.
pub async fn admit(call: &mut Call, server: &Arc<Server>) -> Result<(), Failure> {
    let (permit, at) = if let Some(permit) = server.queue.try_enter(Some(call.client())) {
        (permit, call.times.read)
    } else {
        call.core.desk.stage(call, Stage::Queue);
        // Only a call that must wait pays for the means to.
        let waited = Box::pin(server.queue.enter(flow(call))).await;
        (waited.map_err(|refused| refusal(server, refused))?, Instant::now())
    };
    server.use_now();
    call.permits.push(permit);
    call.times.admitted = Some(at);
    call.core.desk.stage(call, Stage::Server);
    Ok(())
}

/// Admits a call that listens: its stream lives long and does nothing, and must not take a caller's place.
pub async fn admit_stream(call: &mut Call, server: &Arc<Server>) -> Result<(), Failure> {
    let permit = server.open_stream(flow(call)).await?;
    server.use_now();
    call.permits.push(permit);
    Ok(())
}

/// The server has begun to answer the call: how long it takes says how busy the server is.
pub fn answered(call: &mut Call) {
    for permit in &mut call.permits {
        permit.answered();
    }
}

/// A permit for a call that has given its own up for a while.
pub async fn wait(server: &Arc<Server>, flow: Flow) -> Result<Permit, Failure> {
    server.queue.enter(flow).await.map_err(|refused| refusal(server, refused))
}

/// Waiting calls are ordered fairly between tiers and clients.
pub fn flow(call: &Call) -> Flow {
    Flow::of(call.client())
}

fn refusal(server: &Server, refused: Refusal) -> Failure {
    let name = &server.settings.name;
    // Where nothing has moved yet nobody knows better than the longest wait.
    let wait = refused.retry_after.unwrap_or(server.settings.queue.timeout).max(Duration::from_millis(100));
    let (kind, text) = match refused.reason {
        Reason::Full => (Kind::QueueFull, format!("Too many calls wait for the server {name}.")),
        Reason::Own => (Kind::QueueFull, format!("Too many of your own calls wait for the server {name}.")),
        Reason::Displaced => (
            Kind::QueueFull,
            format!("Too many calls wait for the server {name}, and others had fewer than you. Nothing was done."),
        ),
        Reason::Purged => {
            let text = format!(
                "The operator of this gate has taken your call out of the queue of the server {name}. Nothing was done. Do not repeat it at once."
            );
            return Failure::new(Kind::QueueFull, text).retry_after(Duration::from_secs(10).max(wait));
        }
        Reason::Deadline => {
            (Kind::QueueTimeout, format!("The server {name} had no room for this call in time. Nothing was done."))
        }
    };
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Failure::new(kind, format!("{text} Try again in {seconds} s.")).retry_after(wait)
}
