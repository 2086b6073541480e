//! Modern requests that the gate itself answers or routes: to stdio servers and in merged views.
//!
//! Nothing is kept between requests but the legs, which are shared by the rules of `instances`.

use std::sync::Arc;
use std::time::Instant;

use http::{Response, StatusCode};
use toolgate_protocol::bridge::url;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::{Era, MODERN};

use super::course::Course;
use super::crossing::held::Held;
use super::crossing::{self, parked};
use super::hosted::{destination, empty};
use super::{answer, greet, lists, subscribe};
use crate::answers::{self, Next};
use crate::body::Body;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::identity::Client;
use crate::message::Message;
use crate::observe::ledger::Stage;
use crate::servers::endpoints::To;
use crate::servers::leg::Leg;
use crate::servers::{Server, eras};
use crate::stages::queue;
use crate::tasks;

/// Serves one modern request.
pub async fn serve(call: &mut Call) -> Result<Response<Body>, Failure> {
    greet::known_version(call)?;
    let message = call.message().clone();
    match message.shape() {
        Shape::Request => {}
        // The revision defines none over HTTP; a closed stream is the cancellation.
        Shape::Notification => return Ok(empty(StatusCode::ACCEPTED)),
        Shape::Response => {
            return Err(Failure::new(Kind::InvalidRequest, "Revision 2026-07-28 has no responses from clients."));
        }
    }
    if let Some(key) = message.envelope.missing_meta(&message.bytes) {
        return Err(Failure::new(Kind::MetaMissing, format!("`params._meta` must carry `{key}`.")));
    }
    let method = Method::parse(&message.method());
    if let Some(method) = method.filter(|method| !method.exists_in(Era::Modern)) {
        return Err(Failure::new(
            Kind::MethodUnknown,
            format!("The method {} does not exist in revision 2026-07-28.", method.as_str()),
        ));
    }
    match method {
        Some(Method::Discover) => discover(call).await,
        Some(Method::Listen) if !listens_straight(call).await => subscribe::listen(call).await,
        Some(method) if lists::is_list(method) => list(call, method).await,
        method => run(call, method, message).await,
    }
}

/// Whether the subscription passes as it is to the one server behind the path.
async fn listens_straight(call: &Call) -> bool {
    match call.view().single() {
        Some(server) => !server.answers.blocks() && eras::speaks(&call.core, server, Era::Modern).await,
        None => false,
    }
}

async fn run(call: &mut Call, method: Option<Method>, message: Message) -> Result<Response<Body>, Failure> {
    let (server, message) = destination(call, message)?;
    match answers::before(call, &server, &message).await? {
        Next::Answer(answer) => return Ok(answer),
        Next::Ask(reception) => call.reception = reception,
    }
    let answered = run_at(call, &server, method, message).await;
    answered.or_else(|failure| answers::rescue(call, &server, failure))
}

async fn run_at(
    call: &mut Call,
    server: &Arc<Server>,
    method: Option<Method>,
    message: Message,
) -> Result<Response<Body>, Failure> {
    let wait = server.first_byte(message.envelope.name_str(&message.bytes).as_deref());
    if let Some(place) = parked::continued(call, server, &message) {
        let continued = parked::resume(call, &message, place).await?;
        return answer::relay(call, server, Course::Resumed(continued), wait).await;
    }
    let straight = eras::speaks(&call.core, server, Era::Modern).await;
    if !straight {
        crossing::refuse_tasks(method, Era::Legacy)?;
    }
    let (tasks, named) = tasks::enter(call, server, &message)?.unzip();
    let message = named.flatten().unwrap_or(message);
    if !straight && message.envelope.request_state.is_some() {
        // Whatever it continued is not here, and must not be run anew.
        return Err(parked::gone());
    }
    if method == Some(Method::Listen) {
        call.mark.listens_to(server.generation);
        queue::admit_stream(call, server).await?;
    } else {
        let held_for = (!straight).then(|| Arc::clone(call.client()));
        let held = |client: &Arc<Client>| Held::to(server, client, &message);
        queue::admit(call, server, || held_for.as_ref().map_or(Some(To::Any), held)).await?;
    }
    let course = if straight {
        let leg = leg_timed(call, server).await?;
        let exchange = leg.call(&call.core, &message, &call.provenance()).await?;
        call.times.connect += exchange.connect();
        Course::about_tasks(&call.core, exchange, None, tasks)
    } else {
        not_declined(&message)?;
        Course::Held(Box::new(Held::begin(call, server, &message).await?))
    };
    answer::relay(call, server, course, wait).await
}

/// A retry that says that the user did not visit a URL would be asked for the same again.
fn not_declined(message: &Message) -> Result<(), Failure> {
    if url::is_declined(&message.bytes, &message.envelope) {
        return Err(Failure::new(
            Kind::InvalidParams,
            "The user did not visit the URL that this call needs, so it was not run.",
        ));
    }
    Ok(())
}

/// The same leg, with what it took to have it: an instance may have to start.
async fn leg_timed(call: &mut Call, server: &Arc<Server>) -> Result<Leg, Failure> {
    if server.http().is_some() {
        return leg(call, server).await;
    }
    let asked = Instant::now();
    call.core.desk.stage(call, Stage::Connect);
    let leg = leg(call, server).await?;
    call.times.connect = asked.elapsed();
    call.core.desk.stage(call, Stage::Server);
    Ok(leg)
}

/// The leg for a client's modern calls to a server.
pub async fn leg(call: &Call, server: &Arc<Server>) -> Result<Leg, Failure> {
    let message = call.message();
    let capabilities = message.raw(message.envelope.client_capabilities).unwrap_or(b"{}");
    server.modern_leg(&call.client().id, capabilities).await
}

async fn discover(call: &mut Call) -> Result<Response<Body>, Failure> {
    let answer = greet::discover(call).await?;
    Ok(answer::json_answer(Era::Modern, answer))
}

async fn list(call: &mut Call, method: Method) -> Result<Response<Body>, Failure> {
    let Some(server) = call.view().single().cloned() else {
        let merged = lists::merged(call, method, MODERN).await?;
        return Ok(answer::json_answer(Era::Modern, merged));
    };
    match answers::before(call, &server, call.message()).await? {
        Next::Answer(answer) => return Ok(answer),
        Next::Ask(reception) => call.reception = reception,
    }
    let answered = single_list(call, &server, method).await;
    answered.or_else(|failure| answers::rescue(call, &server, failure))
}

async fn single_list(call: &mut Call, server: &Arc<Server>, method: Method) -> Result<Response<Body>, Failure> {
    // The leg that lists come from may be one that lives.
    queue::admit(call, server, || None).await?;
    let leg = lists::shared_leg(call, server, MODERN).await?;
    lists::single(call, server, leg, method).await
}
