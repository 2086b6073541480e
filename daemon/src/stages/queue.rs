//! A permit of the server's, waited for in its queue where none is free.
//!
//! A call waits only while an endpoint would take it: what a breaker, an operator or checks keep from the server is told
//! so at once, however long those that hold the permits still take.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::observe::ledger::Stage;
use crate::servers::Server;
use crate::servers::endpoints::{self, To};
use crate::servers::queue::{Flow, Permit, Reason, Refusal};

/// Admits the call to a server; the permit stays with the call until its answer has ended. `to` says where it would go,
/// see [`endpoints::would_admit`], and is asked only where it must wait.
///
/// # Errors
/// Where it has to wait and no endpoint takes it, and where the queue refuses it.
pub async fn admit(call: &mut Call, server: &Arc<Server>, to: impl Fn() -> Option<To>) -> Result<(), Failure> {
    let (permit, at) = if let Some(permit) = server.queue.try_enter(Some(call.client())) {
        (permit, call.times.read)
    } else {
        call.core.desk.stage(call, Stage::Queue);
        // Only a call that must wait pays for the means to.
        (Box::pin(wait_to(server, to, flow(call))).await?, Instant::now())
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

/// A permit, waited for while an endpoint would take the call.
///
/// # Errors
/// The same as of [`admit`].
pub async fn wait_to(server: &Arc<Server>, to: impl Fn() -> Option<To>, flow: Flow) -> Result<Permit, Failure> {
    let mut waited = pin!(wait(server, flow));
    loop {
        // Before the question: what turns after it is not missed.
        let turn = server.endpoints.turn();
        endpoints::would_admit(server, to())?;
        tokio::select! {
            biased;
            permit = &mut waited => return permit,
            () = turn => {}
        }
    }
}

/// A permit for a call that its server has already, and that has given its own up for a while.
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
        Reason::Full => (Kind::QueueFull, format!("Too many calls wait for the server {name}. Nothing was done.")),
        Reason::Own => {
            (Kind::QueueFull, format!("Too many of your own calls wait for the server {name}. Nothing was done."))
        }
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

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::policy::Policy;
    use toolgate_protocol::breaker::State;

    use crate::servers::endpoints::Mode;

    /// A server that takes one call at a time, whose breaker opens upon a failure and lets a probe go at once.
    fn server() -> Arc<Server> {
        let text = "version = 1\n[server.some]\nendpoints = \"http://127.0.0.1:1/mcp\"\nmax_calls = 1\n\
                    breaker = { failures = 1, open_for = \"1ms\" }\n";
        let policy = Policy::new(Arc::new(crate::config::from_text(text).unwrap()), None).unwrap();
        Arc::clone(&policy.servers["some"])
    }

    fn poll(waiting: std::pin::Pin<&mut impl Future<Output = Result<Permit, Failure>>>) -> Poll<Result<Permit, Kind>> {
        waiting.poll(&mut Context::from_waker(Waker::noop())).map_err(|failure| failure.kind)
    }

    #[tokio::test]
    async fn a_call_waits_only_while_its_endpoint_takes_it() {
        let server = server();
        let endpoint = server.endpoints.get(0);
        let held = server.queue.try_enter(None).unwrap();
        let mut new = pin!(wait_to(&server, || Some(To::Any), Flow::default()));
        let mut of_session = pin!(wait_to(&server, || Some(To::Session(0)), Flow::default()));
        let mut unsure = pin!(wait_to(&server, || None, Flow::default()));
        assert!(poll(new.as_mut()).is_pending() && poll(of_session.as_mut()).is_pending());
        assert!(poll(unsure.as_mut()).is_pending());
        endpoint.set_mode(Mode::Drain);
        assert!(matches!(poll(new.as_mut()), Poll::Ready(Err(Kind::ServerUnavailable))));
        assert!(poll(of_session.as_mut()).is_pending() && poll(unsure.as_mut()).is_pending(), "sessions go on");
        drop(held);
        let Poll::Ready(Ok(held)) = poll(of_session.as_mut()) else { panic!("it was next in the line") };
        endpoint.force(State::ForcedOpen);
        assert!(matches!(poll(unsure.as_mut()), Poll::Ready(Err(Kind::BreakerOpen))));
        endpoint.set_mode(Mode::Ready);
        let late = wait_to(&server, || Some(To::Any), Flow::default()).await;
        assert_eq!(late.unwrap_err().kind, Kind::BreakerOpen, "it does not wait at all");
        drop(held);
        assert!(server.queue.try_enter(None).is_some(), "nobody keeps a place in the line");
    }

    #[tokio::test]
    async fn who_waits_beside_a_probe_is_refused_when_it_begins() {
        let server = server();
        let admit = || endpoints::admit(&server, To::Any, Duration::from_secs(60)).map(|(_, attempt)| attempt);
        admit().unwrap().expect("an attempt").failed();
        let _held = server.queue.try_enter(None).unwrap();
        while endpoints::would_admit(&server, Some(To::Any)).is_err() {
            tokio::task::yield_now().await;
        }
        let mut waiting = pin!(wait_to(&server, || Some(To::Any), Flow::default()));
        assert!(poll(waiting.as_mut()).is_pending(), "it may be the probe");
        let _probe = admit().unwrap();
        assert!(matches!(poll(waiting.as_mut()), Poll::Ready(Err(Kind::BreakerOpen))));
    }
}
