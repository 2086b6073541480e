//! What a server's tools want of those who call them: arguments mirrored into headers, or to run as a task.
//!
//! Where the gate stands between the eras it does for both sides what only a peer of the server's era
//! does: it checks such headers before a legacy server, writes them for a legacy client, and waits for tasks.

mod recent;

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::timeout;
use toolgate_protocol::bridge::tasks::legacy;
use toolgate_protocol::header_value::{self, HeaderParam};
use toolgate_protocol::json;
use toolgate_protocol::list as entries;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::{Era, MODERN};

use tracing::debug;

use self::recent::Recent;
pub use self::recent::recently_listed;
use super::Server;
use super::discovery::{self, Introduced};
use super::eras::introduced_in_any;
use crate::clock;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::lock::lock;
use crate::message::Message;
use crate::provenance::Provenance;

/// What was learned is asked for again after this, in milliseconds.
const FRESH: u64 = 60_000;
/// What was learned less than this ago, in milliseconds, is not asked for again where it does not fit.
const CERTAIN: u64 = 1_000;
/// Pages of a list that are read; a server with more of them repeats itself.
const PAGES: usize = 100;

/// What is known of one server's tools.
#[derive(Debug, Default)]
pub struct Catalog {
    known: Mutex<Option<(u64, Arc<Tools>)>>,
    /// All that it listed last, whatever they want.
    names: Mutex<Option<Arc<BTreeSet<String>>>>,
    /// Held by whoever asks, so that calls at once share one list.
    asking: tokio::sync::Mutex<()>,
    /// Whether what was seen of them can be relied on.
    recent: Recent,
}

/// Each tool that wants something, by its name.
pub type Tools = HashMap<String, Tool>;

/// What one tool wants.
#[derive(Debug, Clone, Default)]
pub struct Tool {
    /// Arguments that are mirrored into headers.
    pub params: Vec<HeaderParam>,
    /// Whether a legacy server only runs it as a task.
    pub needs_task: bool,
    /// Whether the server says that calling it twice does no more than calling it once.
    pub may_be_repeated: bool,
}

impl Catalog {
    /// Forgets everything: the server says that its tools have changed.
    pub fn forget(&self) {
        self.recent.void();
        *self.lock() = None;
        *lock(&self.names) = None;
    }

    /// Whether all of its tools were listed within the last minute, and it has not said since that they changed.
    pub fn is_recent(&self) -> bool {
        self.recent.holds()
    }

    /// The names of all its tools, where it was asked for them and has not said since that they changed.
    pub fn names(&self) -> Option<Arc<BTreeSet<String>>> {
        lock(&self.names).clone()
    }

    /// Its tools could not be listed: what was known stays, and is not asked for again for a while.
    fn note_none(&self) {
        let mut known = self.lock();
        let tools = known.take().map(|(_, tools)| tools).unwrap_or_default();
        *known = Some((clock::millis(), tools));
    }

    fn known(&self) -> Option<(u64, Arc<Tools>)> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<(u64, Arc<Tools>)>> {
        lock(&self.known)
    }
}

/// The server's tools that want something. They are listed now unless they are known; those
/// that are known for long are listed again while this call goes on with them.
pub async fn tools(core: &Rc<Core>, server: &Arc<Server>) -> Result<Arc<Tools>, Failure> {
    if let Some((since, tools)) = server.catalog.known() {
        if clock::millis().saturating_sub(since) >= FRESH {
            tokio::task::spawn_local(refresh(Rc::clone(core), Arc::clone(server)));
        }
        return Ok(tools);
    }
    let _asking = server.catalog.asking.lock().await;
    match server.catalog.known() {
        Some((_, tools)) => Ok(tools),
        None => list(core, server).await.map(|(tools, _)| tools),
    }
}

/// The same, listed again for a caller whom what is known does not fit; `None` where that is new, or
/// nothing else is to be had.
pub async fn tools_again(core: &Rc<Core>, server: &Arc<Server>) -> Option<Arc<Tools>> {
    let asked = clock::millis();
    let _asking = server.catalog.asking.lock().await;
    match server.catalog.known() {
        // Somebody else listed them meanwhile.
        Some((since, tools)) if since >= asked => Some(tools),
        Some((since, _)) if asked - since < CERTAIN => None,
        _ => list(core, server).await.ok().map(|(tools, _)| tools),
    }
}

async fn refresh(core: Rc<Core>, server: Arc<Server>) {
    // One at a time; the others have what is known.
    let Ok(_asking) = server.catalog.asking.try_lock() else { return };
    if let Err(failure) = list(&core, &server).await {
        debug!(server = server.settings.name, %failure, "a server's tools were not listed again");
    }
}

async fn list(core: &Rc<Core>, server: &Arc<Server>) -> Result<(Arc<Tools>, Extent), Failure> {
    let listed = timeout(server.first_byte(None), listed(core, server)).await;
    let (tools, extent) = match listed {
        Ok(Ok((tools, extent))) => (Arc::new(tools), extent),
        // Known as nothing for a while, lest each call waits for it anew.
        Ok(Err(failure)) => {
            server.catalog.note_none();
            return Err(failure);
        }
        Err(_) => {
            server.catalog.note_none();
            let name = &server.settings.name;
            return Err(Failure::new(
                Kind::ServerTimeout,
                format!("The server {name} did not list its tools in time."),
            ));
        }
    };
    *server.catalog.lock() = Some((clock::millis(), Arc::clone(&tools)));
    Ok((tools, extent))
}

async fn listed(core: &Rc<Core>, server: &Arc<Server>) -> Result<(Tools, Extent), Failure> {
    let mut tools = Tools::new();
    let extent = each_tool(core, server, |text, tool| {
        let wants = wants(text, tool.span);
        let says = wants.needs_task || wants.may_be_repeated || !wants.params.is_empty();
        if let Some(name) = tool.name.filter(|_| says) {
            tools.insert(json::decode_str(name.of(text)).into_owned(), wants);
        }
    })
    .await?;
    Ok((tools, extent))
}

/// How much of its tools a server has listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of them.
    Whole,
    /// Not all: it answered with an error.
    Refused,
    /// Not all: there were more pages than are read.
    Endless,
}

/// Shows every tool that a server lists now, with the text of its page.
pub async fn each_tool(
    core: &Rc<Core>,
    server: &Arc<Server>,
    mut show: impl FnMut(&[u8], &entries::Item),
) -> Result<Extent, Failure> {
    let mut introduced = introduced_in_any(core, server, MODERN).await?;
    let mut began = server.catalog.recent.begins();
    let mut cursor: Option<String> = None;
    let mut names = BTreeSet::new();
    for number in 0..PAGES {
        let mut asked = page(core, server, &introduced, cursor.as_deref()).await;
        if number == 0 && is_of_lost_session(&asked, &introduced) {
            discovery::forget_all(server);
            introduced = introduced_in_any(core, server, MODERN).await?;
            began = server.catalog.recent.begins();
            asked = page(core, server, &introduced, None).await;
        }
        let page = asked?;
        let Some(result) = page.envelope.result else { return Ok(Extent::Refused) };
        server.saw_tools(&page.bytes, result);
        for tool in entries::items(&page.bytes, result, "tools") {
            names.extend(tool.name.map(|name| json::decode_str(name.of(&page.bytes)).into_owned()));
            show(&page.bytes, &tool);
        }
        let next = entries::next_cursor(&page.bytes, result).map(|next| json::decode_str(next.of(&page.bytes)));
        // The same cursor again would be asked for without end.
        match next {
            Some(next) if cursor.as_deref() != Some(&*next) => cursor = Some(next.into_owned()),
            _ => {
                server.catalog.recent.ends(began);
                *lock(&server.catalog.names) = Some(Arc::new(names));
                return Ok(Extent::Whole);
            }
        }
    }
    Ok(Extent::Endless)
}

async fn page(
    core: &Rc<Core>,
    server: &Server,
    introduced: &Introduced,
    cursor: Option<&str>,
) -> Result<Message, Failure> {
    let request = discovery::own_list(introduced.leg.era, Method::ToolsList, cursor);
    let mut exchange = introduced.leg.call(core, &request, &Provenance::own()).await?;
    if exchange.lost_session() {
        discovery::forget_all(server);
    }
    exchange.answer().await
}

/// Whether a server may have answered so because it has forgotten the gate's session, as it does after a while or a
/// restart. Not all of them say so with 404.
fn is_of_lost_session(asked: &Result<Message, Failure>, introduced: &Introduced) -> bool {
    introduced.leg.conversation().is_some_and(|conversation| conversation.session.is_some())
        && match asked {
            Ok(page) => page.is_error(),
            Err(failure) => matches!(failure.kind, Kind::ServerGarbage | Kind::ServerUnavailable),
        }
}

fn wants(text: &[u8], tool: json::Span) -> Tool {
    let schema = json::get(text, tool, "inputSchema");
    let params = schema.and_then(|schema| header_value::header_params(text, schema).ok());
    Tool {
        params: params.unwrap_or_default(),
        needs_task: legacy::is_required(text, tool),
        may_be_repeated: may_be_repeated(text, tool),
    }
}

/// `annotations.idempotentHint`, or `readOnlyHint`: what changes nothing may be done twice.
fn may_be_repeated(text: &[u8], tool: json::Span) -> bool {
    let Some(annotations) = json::get(text, tool, "annotations") else { return false };
    let says = |hint| json::get(text, annotations, hint).is_some_and(|value| value.of(text) == b"true");
    says("idempotentHint") || says("readOnlyHint")
}

/// Whether a tool of a modern server breaks the rules of the annotation: it is then hidden, as an
/// HTTP client has to (2026-07-28, "Custom Headers from Tool Parameters").
pub fn is_unfit(era: Era, text: &[u8], tool: json::Span) -> bool {
    era == Era::Modern
        && json::get(text, tool, "inputSchema").is_some_and(|schema| header_value::header_params(text, schema).is_err())
}
