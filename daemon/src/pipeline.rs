//! The way of a call through the gate. Start reading here.
//!
//! Each stage reads the `Call`, adds what it found, or ends it with a `Failure`, which becomes an
//! answer in one place. Later stages rely on what earlier ones put into the call.

use std::pin::pin;
use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::sleep;

use crate::body::Body;
use crate::call::Call;
use crate::core::Core;
use crate::failure::{self, Failure};
use crate::listen::connection::{Connection, Protocol};
use crate::observe::{inquiry, traces};
use crate::stages::record::Entry;
use crate::stages::secure::Place;
use crate::stages::{
    address, authorise, batch, certified, compress, consent, contain, ending, facet, forward, identify, limit, loops,
    read, recorded, route, secure, session, shed, suspended, unread,
};

/// Takes up one HTTP request, for [`serve`].
pub fn begin(
    core: &Rc<Core>,
    connection: &Rc<Connection>,
    request: Request<Incoming>,
) -> (Box<Entry>, Option<Incoming>) {
    let (head, body) = request.into_parts();
    (Entry::begin(Call::new(core, connection, head)), Some(body))
}

/// Answers one HTTP request.
pub async fn serve(mut entry: Box<Entry>, mut unread: Option<Incoming>) -> Response<Body> {
    let (core, protocol, id) = (Rc::clone(&entry.call.core), entry.call.connection.protocol, entry.call.id);
    let at = entry.call.mark.at();
    let outcome = {
        // Pinned here and lent: handed on by value it would be held twice for as long as the call runs.
        let work = pin!(answer(&mut entry.call, &mut unread));
        // When the time to drain is up, an error now is better than a connection that breaks.
        ending::unless_cut_off(&core, at, protocol, pin!(contain::contained(id, work))).await
    };
    let mut response = match outcome {
        Ok(response) => response,
        // Boxed, so that a call that goes well does not carry what it takes to refuse it.
        Err(failure) => Box::pin(refuse(&mut entry, unread.take(), failure)).await,
    };
    loops::warn(&entry.call, &mut response);
    limit::tell(&entry.call, &mut response);
    secure::stamp(&entry.call, &mut response);
    entry.plain = compress::answer(&entry.call, &mut response);
    entry.finish(response)
}

/// The answer of a call that failed, with its id where its body can still tell.
async fn refuse(entry: &mut Entry, unread: Option<Incoming>, failure: Failure) -> Response<Body> {
    if let Some(body) = unread {
        unread::look(&mut entry.call, body).await;
    }
    entry.failed(&failure);
    failure::answer(&entry.call, &failure)
}

/// Answers one message of a batch.
pub async fn part(call: Call) -> Response<Body> {
    let mut entry = Entry::begin(call);
    let (core, at, id) = (Rc::clone(&entry.call.core), entry.call.mark.at(), entry.call.id);
    let outcome = {
        let work = pin!(async {
            batch::fits(&entry.call)?;
            message(&mut entry.call).await
        });
        // It is a task of its own, as a stream of HTTP/2 is.
        ending::unless_cut_off(&core, at, Protocol::Http2, pin!(contain::contained(id, work))).await
    };
    let mut response = outcome.unwrap_or_else(|failure| {
        entry.failed(&failure);
        failure::answer(&entry.call, &failure)
    });
    loops::warn(&entry.call, &mut response);
    entry.finish(response)
}

async fn answer(call: &mut Call, unread: &mut Option<Incoming>) -> Result<Response<Body>, Failure> {
    #[cfg(test)]
    contain::rehearse(call, "call");
    // Where it comes from: the peer, or whom a trusted proxy speaks for.
    address::find(call)?;
    // A certificate that was revoked since it was shown opens nothing any more.
    certified::check(call)?;
    // Host, Origin and path: what no credential can make right.
    let place = secure::check(call)?;
    match place {
        Place::Mcp => {}
        Place::Page(page) => return Ok(Box::pin(page.answer(call)).await),
        Place::Inquiry => return Box::pin(inquiry::answer(call, unread)).await,
    }
    // From here on it is known who is to blame, and whose session a session id must be.
    identify::identify(call).await?;
    // Servers that the client has a credential of its own at meet it with that one, and nobody else's.
    facet::choose(call);
    // A path behind which nothing is open to it is none.
    authorise::path(call)?;
    // What an overloaded gate lets go of must not count against its client.
    shed::early(call)?;
    // A modern client at its limit is refused by what its headers say, however long its body is.
    limit::early(call)?;
    // The envelope: method, names, ids, era. The body stays as it came.
    read::read(call, unread).await?;
    // Whoever the operator suspended reads why, in the form of its era.
    suspended::check(call)?;
    // A stream that was reset meanwhile ends here, before anybody works for it.
    read::heed_reset(call).await;
    // Several messages in one body, of the revision that has them, go on as calls of their own.
    if let Some(messages) = call.batch.clone() {
        return Box::pin(batch::serve(call, messages)).await;
    }
    message(call).await
}

/// The rest of the way, for one message of a client that is known.
async fn message(call: &mut Call) -> Result<Response<Body>, Failure> {
    // What is to be told of it to a collector of traces, and to its server.
    traces::begin(call);
    // A legacy session is found before anything is counted against its server.
    session::find(call)?;
    // What an overloaded gate lets go of, before it works for it.
    shed::shed(call)?;
    // What nothing can be recorded of is not begun, where the operator wants that.
    recorded::check(call)?;
    // Where a name leads and who may use it; denied and unknown look the same.
    let routed = route::route(call);
    call.core.desk.learn(call);
    routed?;
    facet::check(call)?;
    // What acts for its users waits for one of them to allow it.
    if let Some(asked) = consent::ask(call)? {
        return Ok(asked);
    }
    // What may be held against the client is held against it before the server is disturbed.
    limit::check(call)?;
    // Whoever goes round in circles is told, slowed, or stopped.
    if let Some(delay) = loops::heed(call)? {
        Box::pin(sleep(delay)).await;
    }
    // Who answers: the gate itself, one server, or several; with the server's queue in front.
    forward::forward(call).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that an async function makes.
    fn size_of_future<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_call_in_flight_stays_small() {
        let size = size_of_future(serve);
        // A size class of the allocator.
        assert!(size <= 2560, "{size} bytes per call in flight: box what few calls need");
    }
}
