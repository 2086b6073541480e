//! How a server is asked who it is: by an introduction of the gate's own, or a session's.
//!
//! Whoever greets, lists or opens a leg comes here first. What is asked is remembered in
//! [`Discovery`](super::Discovery); an instance that does not answer in time is ended.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use toolgate_protocol::bridge::result;
use toolgate_protocol::error::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION};
use toolgate_protocol::json;
use toolgate_protocol::revision::{Era, Revision};
use tracing::info;

use super::own;
use super::{Introduced, Outcome, REMEMBER_SILENCE, Refused, State, Trouble, forget_all};
use crate::clock;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::Server;
use crate::servers::leg::Leg;
use crate::sessions::Hosted;
use crate::state::entry::Introduction;

/// How long a server may take to show that it speaks the modern era: one that knows nothing of
/// that era may say nothing at all (2026-07-28, "Backward Compatibility").
const PROBE: Duration = Duration::from_secs(10);

/// What a server says of itself in a revision; asked now unless it is known.
///
/// Callers at the same time share one question. It has the server's own patience and goes on when
/// a caller goes away, else a server that starts slowly would be ended before it ever answers.
pub async fn introduced(core: &Rc<Core>, server: &Arc<Server>, revision: Revision) -> Result<Arc<Introduced>, Failure> {
    let mut outcome = {
        let mut known = server.discovery.of(revision);
        if let Some(introduced) = known.introduced() {
            return Ok(introduced);
        }
        if let Some(outcome) = known.question() {
            outcome
        } else {
            known.recent_trouble()?;
            let outcome = question(core, server, revision);
            known.state = State::Asked(outcome.clone());
            outcome
        }
    };
    let settled = outcome.wait_for(Option::is_some).await.ok().and_then(|settled| settled.clone());
    match settled {
        Some(outcome) => outcome.map_err(|trouble| trouble.failure()),
        None => Err(unasked(server)),
    }
}

fn question(core: &Rc<Core>, server: &Arc<Server>, revision: Revision) -> watch::Receiver<Option<Outcome>> {
    let (settled, outcome) = watch::channel(None);
    let (core, server) = (Rc::clone(core), Arc::clone(server));
    tokio::task::spawn_local(async move {
        let asked = ask(&core, &server, revision).await;
        learn(&server, revision, &asked);
        if asked.is_ok() {
            // It may be another program by now than the one whose tools are known.
            server.catalog.forget();
        }
        let outcome = server.discovery.settle(revision, asked);
        settled.send_replace(Some(outcome));
    });
    outcome
}

/// What the answer says of the server's era; a failure to ask says nothing.
fn learn(server: &Server, revision: Revision, asked: &Result<Introduced, Refused>) {
    let speaks = match asked {
        Ok(_) => true,
        Err(Refused { said_so: true, .. }) => false,
        Err(_) => return,
    };
    server.eras.learn(&server.settings.name, revision.era(), speaks);
}

/// What a server says of itself, for a view that waits no longer than `patience` for one of many,
/// and not at all for one that was silent for that long already.
pub async fn introduced_within(
    patience: Duration,
    core: &Rc<Core>,
    server: &Arc<Server>,
    revision: Revision,
) -> Result<Arc<Introduced>, Failure> {
    {
        let mut known = server.discovery.of(revision);
        if let Some(introduced) = known.introduced() {
            return Ok(introduced);
        }
        known.recent_trouble()?;
    }
    timeout(patience, introduced(core, server, revision)).await.unwrap_or_else(|_| {
        let failure = silent(server);
        let mut known = server.discovery.of(revision);
        if known.question().is_some() {
            known.trouble = Some(Trouble::new(&failure, REMEMBER_SILENCE));
        }
        Err(failure)
    })
}

/// How long a server may take to introduce itself.
fn patience(server: &Server) -> Duration {
    server.settings.timeout.connect + server.settings.timeout.first_byte
}

/// Ends a leg that is given up before it was introduced, and its instance with it.
struct Unfinished(Option<Leg>);

impl Unfinished {
    fn finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(leg) = self.0.take() {
            leg.end();
        }
    }
}

async fn ask(core: &Rc<Core>, server: &Arc<Server>, revision: Revision) -> Result<Introduced, Refused> {
    let leg = server.own_leg(revision.era(), revision.as_str()).await?;
    let unfinished = Unfinished(Some(leg.clone()));
    let asked = match revision.era() {
        Era::Legacy => {
            timeout(patience(server), greet(core, leg, revision)).await.unwrap_or_else(|_| Err(silent(server)))
        }
        Era::Modern => {
            let asked = timeout(patience(server).min(PROBE), probe(core, leg.clone())).await;
            let asked = asked.unwrap_or_else(|_| Err(other_era(server, revision)));
            asked.map_err(|failure| as_other_era(&leg, revision, failure))
        }
    };
    let (leg, answer) = asked?;
    if !introduces(&answer, revision.era()) {
        let said_so = answer.envelope.result.is_some() || speaks_of_the_era(&answer);
        return Err(Refused { failure: other_era(server, revision), said_so });
    }
    leg.introduced(|| Introduction::Own { revision: revision.as_str().to_owned(), answer: answer.bytes[..].into() })
        .await;
    unfinished.finish();
    Ok(Introduced { leg, answer })
}

async fn greet(core: &Rc<Core>, leg: Leg, revision: Revision) -> Result<(Leg, Message), Failure> {
    leg.initialize(core, &own::initialize(revision), &Provenance::own()).await
}

async fn probe(core: &Rc<Core>, leg: Leg) -> Result<(Leg, Message), Failure> {
    let answer = leg.call(core, &own::discover(), &Provenance::own()).await?.answer().await?;
    Ok((leg, answer))
}

/// Whether the answer is an introduction in this era: some programs answer what they do not know with an empty result.
fn introduces(answer: &Message, era: Era) -> bool {
    let Some(result) = answer.envelope.result else { return false };
    era == Era::Legacy || json::get(&answer.bytes, result, "supportedVersions").is_some()
}

/// Whether an error says that its server does not know the greeting or the version, and not that it
/// is out of order at the moment.
fn speaks_of_the_era(answer: &Message) -> bool {
    let code = answer.envelope.error.and_then(|error| result::code(&answer.bytes, error));
    matches!(code, Some(METHOD_NOT_FOUND | INVALID_REQUEST | INVALID_PARAMS | UNSUPPORTED_PROTOCOL_VERSION))
}

fn other_era(server: &Server, revision: Revision) -> Failure {
    Failure::new(Kind::EraUnsupported, format!("The server {} does not speak MCP {revision}.", server.settings.name))
}

fn silent(server: &Server) -> Failure {
    Failure::new(Kind::ServerTimeout, format!("The server {} did not introduce itself in time.", server.settings.name))
}

fn unasked(server: &Server) -> Failure {
    let name = &server.settings.name;
    Failure::new(Kind::ServerUnavailable, format!("The server {name} could not be asked who it is. Try again."))
}

/// Some programs of the legacy era end upon a method that they do not know, and some HTTP servers
/// answer it with a bare status: neither speaks the modern era.
fn as_other_era(leg: &Leg, revision: Revision, failure: Failure) -> Failure {
    match failure.kind {
        Kind::ServerGarbage => other_era(&leg.server, revision),
        Kind::ServerUnavailable if leg.server.instances().is_some() => {
            leg.forgive();
            other_era(&leg.server, revision)
        }
        _ => failure,
    }
}

/// The leg that all legacy sessions of a client share, introduced by whoever comes first.
pub async fn shared_leg(
    core: &Rc<Core>,
    server: &Arc<Server>,
    revision: Revision,
    client: &str,
) -> Result<Leg, Failure> {
    let mut opened = server.discovery.opening(client, revision).lock_owned().await;
    if let Some(leg) = opened.as_ref().filter(|leg| leg.is_open()) {
        return Ok(leg.clone());
    }
    // It goes on when the caller goes away: others may wait for it.
    let (core, owner, client) = (Rc::clone(core), Arc::clone(server), client.to_owned());
    let opening = tokio::task::spawn_local(async move {
        let leg = greet_client(&core, &owner, revision, &client).await?;
        *opened = Some(leg.clone());
        Ok(leg)
    });
    opening.await.unwrap_or_else(|_| Err(unasked(server)))
}

async fn greet_client(core: &Rc<Core>, server: &Arc<Server>, revision: Revision, client: &str) -> Result<Leg, Failure> {
    let leg = server.sessions_leg(client, revision).await?;
    let (leg, _) = greet_shared(core, leg, revision, &own::initialize(revision)).await?;
    leg.introduced(|| Introduction::Client { client: client.to_owned(), revision: revision.as_str().to_owned() }).await;
    Ok(leg)
}

/// Introduces a leg that several calls or sessions will share, with this `initialize`; gives back
/// the leg to go on with and the server's answer.
pub async fn greet_shared(
    core: &Rc<Core>,
    leg: Leg,
    revision: Revision,
    initialize: &Message,
) -> Result<(Leg, Message), Failure> {
    let server = Arc::clone(&leg.server);
    let unfinished = Unfinished(Some(leg.clone()));
    let greeted = timeout(patience(&server), leg.initialize(core, initialize, &Provenance::own())).await;
    let (leg, answer) = greeted.unwrap_or_else(|_| Err(silent(&server)))?;
    if answer.envelope.result.is_none() {
        return Err(other_era(&server, revision));
    }
    unfinished.finish();
    heed_change(core, &server, revision, &answer);
    Ok((leg.to_shared(), answer))
}

/// A new instance that calls itself otherwise than the one that lists come from was started from another
/// program: the older one is asked no more, and ends once nothing is in flight with it.
///
/// Not more often than twice a minute: some programs call themselves otherwise at each start. Nor over HTTP:
/// endpoints of several versions are one server all the same, and one that was replaced knows our session no more.
fn heed_change(core: &Rc<Core>, server: &Arc<Server>, revision: Revision, answer: &Message) {
    let Some(known) = server.discovery.known(revision) else { return };
    if known.leg.conversation().is_some() || same_program(&known.answer, answer) {
        return;
    }
    if !server.eras.may_doubt(clock::millis()) {
        return;
    }
    info!(server = server.settings.name, "the program of a server has changed: what is known of it is forgotten");
    known.leg.leave();
    forget_all(server);
    server.lists_changed();
    let (core, server) = (Rc::clone(core), Arc::clone(server));
    // Whoever listens learns of the change when the gate has introduced itself anew.
    tokio::task::spawn_local(async move { introduced(&core, &server, revision).await.map(drop) });
}

fn same_program(one: &Message, other: &Message) -> bool {
    let member = |answer: &Message, name: &str| -> Option<String> {
        let info = json::get(&answer.bytes, answer.envelope.result?, "serverInfo")?;
        Some(json::decode_str(json::get(&answer.bytes, info, name)?.of(&answer.bytes)).into_owned())
    };
    ["name", "version"].into_iter().all(|name| member(one, name) == member(other, name))
}

/// Introduces a hosted session's leg as the client introduced itself.
pub async fn introduce_session(core: &Rc<Core>, leg: Leg, hosted: &Hosted) -> Result<Leg, Failure> {
    let server = Arc::clone(&leg.server);
    let unfinished = Unfinished(Some(leg.clone()));
    let introduced = timeout(patience(&server), present(core, leg, hosted)).await;
    let (leg, answer) = introduced.unwrap_or_else(|_| Err(silent(&server)))?;
    unfinished.finish();
    heed_change(core, &server, hosted.revision, &answer);
    Ok(leg)
}

async fn present(core: &Rc<Core>, leg: Leg, hosted: &Hosted) -> Result<(Leg, Message), Failure> {
    let from = Provenance::own();
    let (leg, answer) = leg.initialize(core, &hosted.initialize, &from).await?;
    if answer.is_error() {
        let name = &leg.server.settings.name;
        return Err(Failure::new(Kind::ServerUnavailable, format!("The server {name} refused to open a session."))
            .because(String::from_utf8_lossy(answer.raw(answer.envelope.error).unwrap_or_default())));
    }
    if let Some(level) = hosted.log_level() {
        let request = Message::parse(level).map_err(|problem| Failure::new(Kind::Internal, problem.to_string()))?;
        leg.call(core, &request, &from).await?.answer().await?;
    }
    Ok((leg, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_result_introduces_nobody_in_the_modern_era() {
        for (text, legacy, modern) in [
            (r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#, true, true),
            (r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#, true, false),
            ("{}", true, false),
        ] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{text}}}"#);
            let answer = Message::parse(text.clone().into()).unwrap();
            assert_eq!(
                (introduces(&answer, Era::Legacy), introduces(&answer, Era::Modern)),
                (legacy, modern),
                "{text}"
            );
        }
        let refused =
            Message::parse(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#.into()).unwrap();
        assert!(!introduces(&refused, Era::Legacy) && !introduces(&refused, Era::Modern));
    }
}
