//! The task that opens connections of HTTP/2 for those who wait: one at a time for each core and endpoint, until nobody
//! waits who could be helped by another.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::conn::Conn;
use super::connect::Speech;
use super::drive;
use super::error::{SendError, SendErrorKind};
use super::lanes::{Lane, Stage};
use super::line::Handed;
use super::used::Used;
use super::{Endpoint, HttpClient};

/// After one that failed while others stand.
const AGAIN: Duration = Duration::from_millis(200);

/// What came of it.
enum Opened {
    /// There is one more, or one that was idle takes calls again.
    Shared,
    /// The server has chosen HTTP/1.1.
    Plain,
}

/// For whom connections are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Those who wait.
    Line,
    /// Nobody yet: one ahead, or in the place of an old one.
    Later,
}

/// Has connections opened, where nobody does so already.
pub(super) fn begin(client: &HttpClient, lane: &Arc<Lane>, endpoint: usize, whom: For) {
    if lane.begin_opening() {
        let (client, lane) = (client.clone(), Arc::clone(lane));
        tokio::task::spawn_local(async move { run(&client, &lane, endpoint, whom).await });
    }
}

async fn run(client: &HttpClient, lane: &Arc<Lane>, index: usize, whom: For) {
    let pool = client.pool();
    let Some(endpoint) = client.server.endpoints.get(index) else { return lane.opened() };
    let has_none = || pool.lanes().is_none_or(|lanes| lanes.len(index) == 0);
    let mut first = whom == For::Later;
    loop {
        while std::mem::take(&mut first) || lane.line.count() > 0 {
            match open(client, endpoint, lane, index).await {
                Ok(Opened::Shared) => {
                    lane.serve_and_rest(pool);
                    // Whoever else needs what it takes is to get on.
                    tokio::task::yield_now().await;
                }
                Ok(Opened::Plain) => {
                    lane.has_chosen_plain();
                    lane.line.tell(|| Handed::Plain);
                }
                Err(error) if has_none() => lane.line.tell(|| Handed::Failed(error.clone())),
                // Those who wait may still get a stream of the others.
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
        lane.opened();
        // Whoever came between the two has nobody who opens one.
        if lane.line.is_empty() || !lane.begin_opening() {
            return;
        }
    }
}

async fn open(client: &HttpClient, endpoint: &Endpoint, lane: &Arc<Lane>, index: usize) -> Result<Opened, SendError> {
    let (pool, lanes) = (client.pool(), client.pool().lanes());
    let at_bound = |stage| {
        lane.at(stage);
        if let Some(lanes) = lanes {
            lanes.serve_from_others(client.core, index, pool);
        }
    };
    let permit = if let Some(permit) = pool.try_permit(index) {
        permit
    } else {
        at_bound(Stage::Pool);
        pool.permit(index).await.map_err(SendError::at)?
    };
    let Some(mut permit) = lane.wake(permit) else { return Ok(Opened::Shared) };
    if !pool.has_room(index)
        && let Some(lanes) = lanes
    {
        // Rather one that is there than one in its place.
        match lanes.wake_other(client.core, index, pool, permit) {
            Some(back) => permit = back,
            None => return Ok(Opened::Shared),
        }
    }
    let slot = pool.room(client.core, (index, permit.has_own())).await;
    let right = pool.try_open_one();
    if right.is_none() {
        at_bound(Stage::Gate);
    }
    let right = client.right(right).await?;
    lane.at(Stage::Connects);
    let deadline = Instant::now() + client.server.timeout.connect;
    let stream = endpoint.target.connect(Speech::Http2, deadline).await?;
    if endpoint.target.is_secure() && !stream.has_chosen_http2() {
        pool.put(client.core, index, Conn::new(stream, (slot, right)), Instant::now());
        return Ok(Opened::Plain);
    }
    let used = Arc::new(Used::new(permit, (slot, right)));
    let begun = drive::start(lane, pool, stream, Arc::clone(&used)).await;
    begun.map_err(|error| SendError::unsent(SendErrorKind::Connect, format!("HTTP/2 cannot be begun: {error}")))?;
    // A server says first how many calls it takes (RFC 9113, 3.4); one that does not speak HTTP/2 never does.
    let told = timeout_at(deadline, used.ready.notified()).await;
    if told.is_ok() && !used.is_over() {
        pool.has_more_shared(index);
        return Ok(Opened::Shared);
    }
    lane.remove(&used);
    used.retire();
    let advice = if endpoint.target.is_secure() { "" } else { ": take `http2` out if it speaks HTTP/1.1 only" };
    let cause = format!("{} does not begin to speak HTTP/2{advice}", endpoint.target.url());
    Err(SendError::unsent(SendErrorKind::Connect, cause))
}
