//! A client of one era on a server of the other.
//!
//! `protocol::bridge` decides what a message becomes; here calls are kept going over several rounds:
//! `played` asks a legacy client what a modern server requires, `held` runs a modern client's call
//! in a legacy session, and `parked` keeps it while its client is asked. Of calls that become tasks, `tasked` sees to
//! those of modern servers and `awaited` to those of legacy ones.

mod awaited;
pub mod held;
pub mod listened;
pub mod parameters;
pub mod parked;
pub mod played;
mod tasked;
pub mod watched;

use bytes::Bytes;
use toolgate_protocol::bridge::levels::Level;
use toolgate_protocol::bridge::{request, result, tasks};
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::Era;

use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::servers::Server;
use crate::servers::leg::Leg;
use crate::sessions::Hosted;

/// A request of the call in the era of a leg, for what needs no round trips: lists.
pub fn request(call: &Call, leg: &Leg, message: &Message) -> Result<Message, Failure> {
    let crossed = match (call.era, leg.era) {
        (Era::Legacy, Era::Modern) => match hosted(call) {
            Some(hosted) => request::to_modern(&message.bytes, &message.envelope, &hosted.declared, None),
            None => return Ok(message.clone()),
        },
        (Era::Modern, Era::Legacy) => request::to_legacy(&message.bytes, &message.envelope),
        _ => return Ok(message.clone()),
    };
    read(crossed)
}

/// The answer to such a request in the era of the call.
pub fn answer(call: &Call, leg: &Leg, answer: Message) -> Result<Message, Failure> {
    let method = call.message().envelope.known_method;
    let crossed = match (leg.era, call.era) {
        (Era::Modern, Era::Legacy) => result::to_legacy(&answer.bytes, &answer.envelope, method, None),
        (Era::Legacy, Era::Modern) => {
            let asked = result::Asked { method, capabilities: capabilities(call.message()), server_info: None };
            result::to_modern(&answer.bytes, &answer.envelope, &asked)
        }
        _ => return Ok(answer),
    };
    read(crossed)
}

/// One page of a list in the era of whoever merges it. Cache hints are merged by the caller.
pub fn page(from: Era, to: Era, method: Method, page: Message) -> Result<Message, Failure> {
    if (from, to) != (Era::Modern, Era::Legacy) {
        return Ok(page);
    }
    read(result::to_legacy(&page.bytes, &page.envelope, Some(method), None))
}

/// The capabilities that a modern request declares, raw.
fn capabilities(message: &Message) -> &[u8] {
    message.raw(message.envelope.client_capabilities).unwrap_or(b"{}")
}

/// The hosted session that the call belongs to.
fn hosted(call: &Call) -> Option<&Hosted> {
    call.session.as_ref().and_then(|(session, _)| session.hosted())
}

/// Refuses a request about a task at a server of this other era: tasks have no handles there.
pub fn refuse_tasks(method: Option<Method>, era: Era) -> Result<(), Failure> {
    match method.and_then(|method| tasks::refusal(method, era)) {
        Some(why) => Err(Failure::new(Kind::MethodUnknown, why)),
        None => Ok(()),
    }
}

/// The level that a legacy session asked for, where the modern server knows levels.
fn level(hosted: &Hosted, server: &Server) -> Option<Level> {
    let request = Message::parse(hosted.log_level()?).ok()?;
    Level::of_params(&request.bytes, &request.envelope).filter(|_| server.discovery.declares_logging())
}

/// What the gate makes of a server's error to a request of its own.
fn refused(server: &Server) -> Failure {
    Failure::new(Kind::ServerGarbage, format!("The server {} refused what it offers.", server.settings.name))
}

/// A message that the bridge made.
fn read(text: Vec<u8>) -> Result<Message, Failure> {
    Message::parse(Bytes::from(text)).map_err(|problem| Failure::new(Kind::Internal, problem.to_string()))
}
