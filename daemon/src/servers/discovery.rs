//! What a server says of itself, asked once per revision and remembered.
//!
//! Greetings and lists come from here, so that a client that only looks around starts no instance
//! of its own.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::time::timeout;
use toolgate_protocol::json;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::{Era, MODERN, Revision};

use super::Server;
use super::leg::Leg;
use crate::clock;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::provenance::Provenance;
use crate::sessions::Hosted;

/// A server that could not be asked is not asked again for this long.
const REMEMBER_TROUBLE: u64 = 2_000;

/// What is known of one server.
#[derive(Debug, Default)]
pub struct Discovery {
    introduced: tokio::sync::Mutex<HashMap<Revision, Arc<Introduced>>>,
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Debug)]
struct Trouble {
    revision: Revision,
    at: u64,
    text: String,
}

/// A server's answer to `initialize` or `server/discover`, and the leg that it was given on.
#[derive(Debug)]
pub struct Introduced {
    /// For lists.
    pub leg: Leg,
    /// The whole answer.
    pub answer: Message,
}

impl Introduced {
    /// Whether the server declares a capability: `tools`, `prompts`, `resources`, `logging` …
    pub fn declares(&self, capability: &str) -> bool {
        self.capabilities().is_some_and(|span| json::get(&self.answer.bytes, span, capability).is_some())
    }

    /// Whether the server declares what a list request asks for; many answer with an error where
    /// they have no such list.
    pub fn declares_list_of(&self, request: &Message) -> bool {
        let capability = Method::parse(&request.method()).and_then(Method::capability);
        capability.is_some_and(|capability| self.declares(capability.as_str()))
    }

    /// The raw `capabilities`.
    pub fn capabilities_raw(&self) -> Option<&[u8]> {
        self.capabilities().map(|span| span.of(&self.answer.bytes))
    }

    /// The raw `instructions`.
    pub fn instructions_raw(&self) -> Option<&[u8]> {
        let span = json::get(&self.answer.bytes, self.answer.envelope.result?, "instructions")?;
        Some(span.of(&self.answer.bytes))
    }

    fn capabilities(&self) -> Option<json::Span> {
        json::get(&self.answer.bytes, self.answer.envelope.result?, "capabilities")
    }
}

impl Discovery {
    /// Why the server cannot be asked at the moment.
    pub fn trouble(&self) -> Option<String> {
        self.in_trouble().as_ref().map(|trouble| trouble.text.clone())
    }

    fn in_trouble(&self) -> std::sync::MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a server says of itself in a revision; asked now unless it is known.
/// Callers at the same time share one question.
pub async fn introduced(core: &Rc<Core>, server: &Arc<Server>, revision: Revision) -> Result<Arc<Introduced>, Failure> {
    let mut known = server.discovery.introduced.lock().await;
    if let Some(introduced) = known.get(&revision).filter(|introduced| !introduced.leg.is_ended()) {
        return Ok(Arc::clone(introduced));
    }
    recently_in_trouble(server, revision)?;
    let wait = server.settings.timeout.connect + server.settings.timeout.first_byte;
    let asked = timeout(wait, ask(core, server, revision)).await.unwrap_or_else(|_| {
        Err(Failure::new(Kind::ServerTimeout, format!("The server {} did not introduce itself in time.", server.settings.name)))
    });
    match asked {
        Ok(introduced) => {
            *server.discovery.in_trouble() = None;
            let introduced = Arc::new(introduced);
            known.insert(revision, Arc::clone(&introduced));
            Ok(introduced)
        }
        Err(failure) => {
            known.remove(&revision);
            let text = failure.to_string();
            *server.discovery.in_trouble() = Some(Trouble { revision, at: clock::millis(), text });
            Err(failure)
        }
    }
}

/// Forgets what was said on a leg whose session the server no longer knows.
pub async fn forget(server: &Server, revision: Revision) {
    server.discovery.introduced.lock().await.remove(&revision);
}

fn recently_in_trouble(server: &Server, revision: Revision) -> Result<(), Failure> {
    let trouble = server.discovery.in_trouble();
    match &*trouble {
        Some(trouble) if trouble.revision == revision && clock::millis() - trouble.at < REMEMBER_TROUBLE => {
            Err(Failure::new(Kind::ServerUnavailable, trouble.text.clone()))
        }
        _ => Ok(()),
    }
}

async fn ask(core: &Rc<Core>, server: &Arc<Server>, revision: Revision) -> Result<Introduced, Failure> {
    let leg = server.own_leg(revision.era(), revision.as_str()).await?;
    let from = Provenance::own();
    let (leg, answer) = match revision.era() {
        Era::Legacy => leg.initialize(core, &own_initialize(revision), &from).await?,
        Era::Modern => {
            let answer = leg.call(core, &own_discover(), &from).await?.answer().await?;
            (leg, answer)
        }
    };
    if answer.envelope.result.is_none() {
        let era = revision.as_str();
        return Err(Failure::new(
            Kind::EraUnsupported,
            format!("The server {} does not speak MCP {era}.", server.settings.name),
        ));
    }
    Ok(Introduced { leg, answer })
}

/// Introduces a hosted session's leg as the client introduced itself.
pub async fn introduce_session(core: &Rc<Core>, leg: Leg, hosted: &Hosted) -> Result<Leg, Failure> {
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
    Ok(leg)
}

fn own_initialize(revision: Revision) -> Message {
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{}","capabilities":{{}},"clientInfo":{{"name":"toolgate","version":"{}"}}}}}}"#,
        revision.as_str(),
        env!("CARGO_PKG_VERSION"),
    );
    own(text)
}

fn own_discover() -> Message {
    own(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{}}}}}"#, own_meta()))
}

/// The `_meta` member of a modern request that the gate makes by itself.
pub fn own_meta() -> String {
    format!(
        r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"toolgate","version":"{}"}}}}"#,
        MODERN.as_str(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// A message that the gate wrote itself.
pub fn own(text: String) -> Message {
    Message::parse(Bytes::from(text)).expect("the gate writes valid messages")
}
