//! Lists: filtered to what the client may use, and merged over several servers.
//!
//! Entries keep their bytes but for the prefix of their name. A dead or slow server costs its own
//! entries only; the page cursor that goes out is sealed and says where each server goes on.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::timeout;
use toolgate_protocol::error::result_body;
use toolgate_protocol::json;
use toolgate_protocol::list::{self, Item, Merged};
use toolgate_protocol::method::Method;
use toolgate_protocol::names;
use toolgate_protocol::revision::{Era, Revision};
use toolgate_protocol::splice;
use tracing::warn;

use super::course::Course;
use super::{answer, crossing};
use crate::answers::Page;
use crate::body::Body;
use crate::call::Call;
use crate::core::Core;
use crate::failure::{self, Failure};
use crate::identity::Client;
use crate::identity::rights::Kind;
use crate::message::Message;
use crate::policy::View;
use crate::provenance::Provenance;
use crate::servers::Server;
use crate::servers::discovery::Introduced;
use crate::servers::eras::{introduced_in_any, introduced_in_any_within};
use crate::servers::leg::Leg;
use crate::servers::{catalog, discovery, eras};

/// How long a merged list waits for one server.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of that the server's introduction may take, so that silence is noticed before.
const GREETING: Duration = Duration::from_millis(4500);

/// Pages of one server that a merged list goes through; a server may name cursors without end.
const MAX_PAGES: u32 = 1000;

/// Where one server's list goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Position {
    server: String,
    cursor: Option<String>,
    /// Pages before this one.
    page: u32,
}

/// The leg that lists of a server come from, shared by all clients.
pub async fn shared_leg(call: &Call, server: &Arc<Server>, revision: Revision) -> Result<Leg, Failure> {
    introduced_in_any(&call.core, server, revision).await.map(|introduced| introduced.leg.clone())
}

/// The call's list of one server, from this leg.
pub async fn single(
    call: &mut Call,
    server: &Arc<Server>,
    mut leg: Leg,
    method: Method,
) -> Result<Response<Body>, Failure> {
    let request = crossing::request(call, &leg, call.message())?;
    let mut exchange = leg.call(&call.core, &request, &call.provenance()).await?;
    if exchange.lost_session() {
        // The server was restarted: it is asked again on a leg that is introduced anew, once.
        discovery::forget_all(server);
        leg = shared_leg(call, server, eras::newest(call.era)).await?;
        let request = crossing::request(call, &leg, call.message())?;
        exchange = leg.call(&call.core, &request, &call.provenance()).await?;
    }
    let wait = server.first_byte(None);
    // Towards a modern server of a legacy client, the gate is the HTTP peer that has to hide unfit tools.
    let peer = if leg.era == call.era { Era::Legacy } else { leg.era };
    let sieve = Sieve::of(call, server, peer, method);
    if leg.era == call.era && sieve.is_none() {
        return answer::relay(call, server, Course::straight(&call.core, exchange, None), wait).await;
    }
    let whole = crossing::answer(call, &leg, answer::whole(call, exchange, wait).await?)?;
    if let Some(reception) = call.reception.take() {
        reception.answer(whole.bytes.clone());
    }
    let answer = sieve.map_or_else(|| whole.bytes.clone(), |sieve| sieve.answer(&whole));
    Ok(answer::json_answer(call.era, answer))
}

/// Takes out of one server's lists what a client may not use.
pub struct Sieve {
    client: Arc<Client>,
    view: Arc<View>,
    server: Arc<Server>,
    peer: Era,
    method: Method,
}

impl Sieve {
    /// What a call's list has to pass; `None` where nothing has to be taken out of it. `peer`: the era of a server
    /// whose unfit tools the gate has to hide.
    pub fn of(call: &Call, server: &Arc<Server>, peer: Era, method: Method) -> Option<Self> {
        let passes = call.view().offers_all(call.client(), server)
            && !(method == Method::ToolsList && (server.answers.blocks() || peer == Era::Modern));
        (!passes).then(|| Self {
            client: Arc::clone(call.client()),
            view: Arc::clone(call.view()),
            server: Arc::clone(server),
            peer,
            method,
        })
    }

    /// The answer without it.
    pub fn answer(&self, answer: &Message) -> Bytes {
        let (Some(result), Some(member)) = (answer.envelope.result, self.method.list_member()) else {
            return answer.bytes.clone();
        };
        let keep = |item: &Item| {
            permits(&self.client, &self.view, &self.server, self.method, item, &answer.bytes, true)
                && !catalog::is_unfit(self.peer, &answer.bytes, item.span)
        };
        let mut edits = list::retain(&answer.bytes, result, member, keep);
        splice::apply(&answer.bytes, &mut edits).into()
    }
}

/// One page of a list over all servers of the call's view, as the answer to its message.
pub async fn merged(call: &Call, method: Method, revision: Revision) -> Result<Bytes, Failure> {
    let member = method.list_member().expect("only lists are merged");
    let mut pages = JoinSet::new();
    for (place, position) in positions(call)?.into_iter().enumerate() {
        let Some(server) =
            call.view().server(&position.server).filter(|server| call.client().may_reach(&server.settings.name))
        else {
            continue;
        };
        let asked = Asked { core: Rc::clone(&call.core), server: Arc::clone(server), revision, method, position };
        pages.spawn_local(async move {
            let page = asked.page_in_time().await;
            (place, asked.position, asked.server, page)
        });
    }
    let mut answered = pages.join_all().await;
    answered.sort_by_key(|(place, ..)| *place);

    let mut out = Merged::new(member);
    let mut taken = names::View::new();
    let mut further = Vec::new();
    for (_, position, server, page) in answered {
        let Ok((era, page)) = page else { continue };
        let next = next_position(&position, &page);
        let whole = position.page == 0 && next.is_none();
        append(call, method, (&server, era), (&page, whole), &mut out, &mut taken);
        further.extend(next);
    }
    let cursor = seal(call, &further);
    let result = match revision.era() {
        Era::Legacy => out.finish_legacy(cursor.as_deref()),
        Era::Modern => out.finish_modern(cursor.as_deref()),
    };
    Ok(result_body(call.message().id().unwrap_or(b"null"), &result).into())
}

/// A server that is asked for its part of a merged list.
struct Asked {
    core: Rc<Core>,
    server: Arc<Server>,
    revision: Revision,
    method: Method,
    position: Position,
}

impl Asked {
    /// The server's page, or a note of why there is none. A server that was silent lately is not
    /// waited for.
    async fn page_in_time(&self) -> Result<(Era, Message), ()> {
        let (server, list) = (&self.server, self.method.list_member().unwrap_or_default());
        if server.left_out.is_silent(list) {
            return Err(());
        }
        let page = timeout(PATIENCE, self.page()).await;
        let silent = page.is_err();
        let page = page.unwrap_or_else(|_| Err(Failure::new(failure::Kind::ServerTimeout, "It did not list in time.")));
        page.map_err(|failure| match failure.kind {
            // No fault of a server's.
            failure::Kind::EraUnsupported => {}
            _ => server.left_out.note_failure(list, &failure.message, silent, &server.settings.name),
        })
    }

    async fn page(&self) -> Result<(Era, Message), Failure> {
        let Self { core, server, revision, method, position } = self;
        let introduced = introduced_in_any_within(GREETING, core, server, *revision).await?;
        let request = discovery::own_list(introduced.leg.era, *method, position.cursor.as_deref());
        let kept = server.answers.page(introduced.leg.era, *method, position.cursor.as_deref(), PATIENCE).await;
        let answer = match kept {
            Page::Kept(answer) => answer,
            Page::Asks(keeping) => {
                let asked = self.ask(&introduced, &request).await;
                if let Some(keeping) = keeping {
                    keeping.end(asked.as_ref().ok().map(|answer| &answer.bytes));
                }
                asked?
            }
        };
        if !answer.is_error() {
            return Ok((introduced.leg.era, crossing::page(introduced.leg.era, revision.era(), *method, answer)?));
        }
        if introduced.declares_list_of(&request) {
            let error = String::from_utf8_lossy(answer.raw(answer.envelope.error).unwrap_or_default()).into_owned();
            return Err(Failure::new(failure::Kind::ServerGarbage, format!("It refuses to list: {error}")));
        }
        Ok((introduced.leg.era, discovery::own(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned())))
    }

    async fn ask(&self, introduced: &Introduced, request: &Message) -> Result<Message, Failure> {
        let (core, server, from) = (&self.core, &self.server, Provenance::own());
        match introduced.leg.call(core, request, &from).await?.answer().await {
            // The server forgot our session, as it does when it was restarted: introduce ourselves anew, once.
            Err(_) if introduced.leg.conversation().is_some() => {
                discovery::forget_all(server);
                let again = introduced_in_any(core, server, self.revision).await?;
                let request = discovery::own_list(again.leg.era, self.method, self.position.cursor.as_deref());
                again.leg.call(core, &request, &from).await?.answer().await
            }
            answer => answer,
        }
    }
}

/// Where each server's part of this page begins: at the start, or where the client's cursor says.
fn positions(call: &Call) -> Result<Vec<Position>, Failure> {
    let message = call.message();
    let Some(cursor) = message.envelope.cursor_str(&message.bytes) else {
        let start = |server: &Arc<Server>| Position { server: server.settings.name.clone(), cursor: None, page: 0 };
        return Ok(call.view().servers.iter().map(start).collect());
    };
    call.core.gate.seal.open(&call.client().id, &cursor).and_then(|text| serde_json::from_slice(&text).ok()).ok_or_else(
        || {
            Failure::new(
                failure::Kind::InvalidParams,
                "This cursor is not valid here any more. List again from the start.",
            )
        },
    )
}

fn seal(call: &Call, further: &[Position]) -> Option<String> {
    if further.is_empty() {
        return None;
    }
    let text = serde_json::to_vec(further).expect("positions are plain text");
    Some(call.core.gate.seal.seal(&call.client().id, &text))
}

/// Where a server's list goes on after a page, unless it goes round in a circle. The empty string
/// is a cursor like any other.
fn next_position(position: &Position, page: &Message) -> Option<Position> {
    let cursor = list::next_cursor(&page.bytes, page.envelope.result?)?;
    let cursor = Some(json::decode_str(cursor.of(&page.bytes)).into_owned());
    let next = position.page + 1;
    if cursor == position.cursor || next >= MAX_PAGES {
        warn!(server = position.server, pages = next, "a server's list does not come to an end; its rest is left out");
        return None;
    }
    Some(Position { server: position.server.clone(), cursor, page: next })
}

/// Appends what the client may use of one page of a server that was asked in this era; `whole`
/// where the list has no other.
fn append(
    call: &Call,
    method: Method,
    (server, era): (&Server, Era),
    (page, whole): (&Message, bool),
    out: &mut Merged,
    taken: &mut names::View,
) {
    let (Some(result), Some(member)) = (page.envelope.result, method.list_member()) else { return };
    let name = &server.settings.name;
    if method == Method::ToolsList {
        server.saw_tools(&page.bytes, result);
    }
    out.limit(list::cache_hints(&page.bytes, result));
    let mut unfit = Vec::new();
    for item in list::items(&page.bytes, result, member) {
        if catalog::is_unfit(era, &page.bytes, item.span) {
            continue;
        }
        let entry = item.span.of(&page.bytes);
        let local = list::item(entry, json::Span::new(0, entry.len()));
        let edit = if by_uri(method) {
            let Some(uri) = local.uri.or(local.uri_template) else { continue };
            list::rename(uri, &names::join_uri(name, &json::decode_str(uri.of(entry))))
        } else {
            let Some(own) = local.name else { continue };
            let own_name = json::decode_str(own.of(entry));
            // What the operator denied is not missed.
            if method == Method::ToolsList && !server.tools.pass(&own_name) {
                continue;
            }
            match taken.admit(name, &own_name, &server.settings.aliases) {
                Ok(offered) => list::rename(own, &offered),
                Err(problem) => {
                    unfit.push(problem);
                    continue;
                }
            }
        };
        if permits(call.client(), call.view(), server, method, &item, &page.bytes, false) {
            out.push(entry, &mut [edit]);
        }
    }
    server.left_out.note(member, &unfit, whole, name, &server.settings.aliases);
}

/// Whether a method lists what servers offer; tasks are listed by whoever runs them.
pub fn is_list(method: Method) -> bool {
    method.list_member().is_some() && method != Method::TasksList
}

fn by_uri(method: Method) -> bool {
    matches!(method, Method::ResourcesList | Method::ResourceTemplatesList)
}

fn permits(
    client: &Client,
    view: &View,
    server: &Server,
    method: Method,
    item: &Item,
    text: &[u8],
    bare: bool,
) -> bool {
    let span = if by_uri(method) { item.uri.or(item.uri_template) } else { item.name };
    let Some(span) = span else { return false };
    let own = json::decode_str(span.of(text));
    if let Some(kind) = Kind::of_list(method).filter(|kind| *kind != Kind::Tool) {
        return client.may_use(kind, &server.settings.name, &own);
    }
    if server.answers.withholds(&own) {
        return false;
    }
    if bare {
        return view.offers(client, server, &own, &own);
    }
    view.offers(client, server, &own, &names::join(&server.settings.name, &own))
}
