//! What happens to a call before its server is disturbed, and to its answer before its client gets it.
//!
//! The relays ask [`before`] once they know server and message: it refuses, answers by itself, or puts a [`Reception`]
//! into the call, which the answer goes through. Where nothing is configured that is one branch.

mod cache;
mod guard;
mod kept;
pub mod pins;
mod reception;

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::Response;
use toolgate_protocol::json::{self, Span};
use toolgate_protocol::list;
use toolgate_protocol::method::Method;
use toolgate_protocol::names::Pattern;
use toolgate_protocol::pins::Hash;
use toolgate_protocol::revision::Era;
use toolgate_protocol::tool_result;

pub use self::cache::Keeping;
pub use self::cache::Statistics;
use self::cache::{Cache, Keys};
pub use self::guard::Objection;
use self::guard::{Asked, Guard};
use self::kept::{Found, Looked};
use self::pins::{Change, NotApproved, Pinned, Pins};
pub use self::reception::{Reception, Stale, too_long};
use crate::body::Body;
use crate::call::Call;
use crate::clock;
use crate::config::settings::{self, Guard as Rule, Pin};
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::relay::answer::json_answer;
use crate::relay::lists;
use crate::relay::names::brief;
use crate::servers::{Server, catalog};

/// What one server's tools and answers are held to, and what is known of them.
#[derive(Debug)]
pub struct Answers {
    rules: settings::Answers,
    guard: Arc<Guard>,
    pinned: Option<Pinned>,
    cache: Option<Arc<Cache>>,
    cached: Vec<(String, Pattern, cache::Rule)>,
    /// A list of tools was too long to be read along.
    missed: Arc<AtomicBool>,
    /// As which of the server's facets it is asked: what one is answered is not for another.
    facet: Option<Arc<str>>,
}

impl Answers {
    /// Rules of a server of which nothing is known yet.
    pub fn new(rules: &settings::Answers) -> Self {
        let keeps = rules.cache.hints || !rules.cache.tools.is_empty();
        let cache = keeps.then(|| Arc::new(Cache::new(&rules.cache)));
        let (guard, missed) = Default::default();
        Self { rules: rules.clone(), guard, pinned: None, cache, cached: cached(&rules.cache), missed, facet: None }
    }

    /// The same, with what all servers' tools were like.
    #[must_use]
    pub fn with_pins(self, pins: &Arc<Pins>, server: &str) -> Self {
        let pinned = self.pinned.or_else(|| Some(Pinned::new(pins, server))).filter(|_| self.rules.pin != Pin::Off);
        Self { pinned, ..self }
    }

    /// The same knowledge under other rules.
    #[must_use]
    pub fn under(&self, rules: &settings::Answers) -> Self {
        let new = Self::new(rules);
        let cache = if rules.cache == self.rules.cache { self.cache.clone() } else { new.cache };
        let (guard, missed) = (Arc::clone(&self.guard), Arc::clone(&self.missed));
        Self { guard, pinned: self.pinned.clone(), cache, missed, facet: self.facet.clone(), ..new }
    }

    /// The same knowledge for one of the server's facets, whose answers are kept apart.
    #[must_use]
    pub fn of_facet(&self, facet: &Arc<str>) -> Self {
        Self { facet: Some(Arc::clone(facet)), ..self.under(&self.rules) }
    }

    /// Checks the arguments of a call against what is known of its tool; waits for a long check, but not for ever.
    ///
    /// # Errors
    /// What is wrong with them, or why that cannot be told.
    pub async fn check(&self, tool: &str, arguments: &Bytes) -> Result<(), Objection> {
        self.guard.check(tool, arguments).await
    }

    /// Whether lists of this kind have to be read on their way.
    pub fn reads(&self, list: Method) -> bool {
        list == Method::ToolsList && (self.rules.guard != Rule::Off || self.pinned.is_some())
    }

    /// Learns from a page of tools what they are.
    ///
    /// Gives back whether one was withheld or given back by it.
    #[must_use]
    pub fn saw_tools(&self, page: &Bytes, result: Span, server: &str) -> bool {
        if !self.reads(Method::ToolsList) {
            return false;
        }
        let tools = list::items(page, result, "tools");
        if self.rules.guard != Rule::Off {
            self.guard.learn(page, &tools, server);
        }
        let is_followed = json::get(page, result, "nextCursor").is_some();
        let page = pins::Page { text: page, tools: &tools, is_followed, at: clock::millis() };
        self.pinned.as_ref().is_some_and(|pinned| pinned.see(&page, self.blocks())) && self.blocks()
    }

    /// Whether tools that change are withheld: then the gate has to be able to say that they are back.
    pub fn blocks(&self) -> bool {
        self.rules.pin == Pin::Block
    }

    /// Whether a tool is kept from clients, since it is not what was accepted.
    pub fn withholds(&self, tool: &str) -> bool {
        self.blocks() && self.pinned.as_ref().is_some_and(|pinned| pinned.is_changed(tool))
    }

    /// Changed tools that wait for approval.
    pub fn changes(&self) -> Vec<Change> {
        self.pinned.as_ref().map(Pinned::changes).unwrap_or_default()
    }

    /// Accepts what a tool claims now; with `dry_run` only says whether that could be.
    pub fn approve(&self, tool: &str, hash: Option<&Hash>, dry_run: bool) -> Result<(), NotApproved> {
        self.pinned.as_ref().ok_or(NotApproved::Unchanged)?.approve(tool, hash, dry_run)
    }

    /// What an operator should know, a sentence each.
    pub fn told(&self) -> Vec<String> {
        let changed = self.pinned.iter().flat_map(|pinned| pinned.told(self.blocks()));
        let unchecked = (self.rules.guard != Rule::Off).then(|| self.guard.told());
        let missed = self.missed.load(Ordering::Relaxed).then(|| {
            "a list of its tools was too long to be read, and was passed on: tools in it may be unchecked".to_owned()
        });
        changed.chain(unchecked.into_iter().flatten()).chain(missed).collect()
    }

    /// A list of tools has passed that was too long to be read.
    fn missed_tools(&self) {
        self.missed.store(true, Ordering::Relaxed);
    }

    /// A page that the gate lists for itself: one that is kept, where the server said for how long it holds.
    pub async fn page(&self, era: Era, method: Method, cursor: Option<&str>, patience: Duration) -> Page {
        let Some(cache) = self.hinted().filter(|_| era == Era::Modern) else { return Page::Asks(None) };
        match kept::find(cache, Keys::of_page(self.facet.as_deref(), method, cursor), cache::Rule::Hinted, patience)
            .await
        {
            Looked::Found(found) => match Message::parse(found.text(b"1")) {
                Ok(answer) => Page::Kept(answer),
                Err(_) => Page::Asks(None),
            },
            Looked::Asks(keeping) => Page::Asks(keeping),
        }
    }

    /// The cache, where servers say what is kept in it.
    fn hinted(&self) -> Option<&Arc<Cache>> {
        self.cache.as_ref().filter(|_| self.rules.cache.hints)
    }

    /// The cache that answers of a tool are kept in, and how.
    fn cache_of(&self, tool: &str) -> Option<(&Arc<Cache>, cache::Rule)> {
        let cache = self.cache.as_ref()?;
        let named = self.cached.iter().find(|(name, ..)| name == tool);
        let (.., rule) = named.or_else(|| self.cached.iter().find(|(_, pattern, _)| pattern.matches(tool)))?;
        Some((cache, *rule))
    }

    /// Whether answers are kept.
    pub fn keeps(&self) -> bool {
        self.cache.is_some()
    }

    /// The server offers something else than before: what it answered may not be true any more.
    pub fn changed(&self) {
        if let Some(cache) = &self.cache {
            cache.clear();
        }
    }

    /// Forgets all answers, and says what they were; `None` where none are kept.
    pub fn clear(&self) -> Option<Statistics> {
        self.cache.as_ref().map(|cache| cache.clear())
    }

    /// How often answers were kept and given; `None` where none are.
    pub fn statistics(&self) -> Option<Statistics> {
        self.cache.as_ref().map(|cache| cache.statistics())
    }

    /// Calls whose arguments did not fit.
    pub fn violations(&self) -> u64 {
        self.guard.violations()
    }

    /// Whether calls pass as if nothing of this were there.
    fn is_idle(&self) -> bool {
        self.rules.guard == Rule::Off
            && self.rules.max_result.is_none()
            && self.pinned.is_none()
            && self.cache.is_none()
    }
}

/// Which tools' answers are kept, and how.
fn cached(rules: &settings::Cache) -> Vec<(String, Pattern, cache::Rule)> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let tools = rules.tools.iter().map(|(name, tool)| {
        let grace = tool.stale.map_or(0, millis);
        (name.clone(), Pattern::new(name), cache::Rule::Told { ttl: millis(tool.ttl), shared: tool.shared, grace })
    });
    tools.collect()
}

/// A page that the gate wants for itself.
pub enum Page {
    /// It is kept.
    Kept(Message),
    /// The server has to be asked; what it says is to be told here.
    Asks(Option<Keeping>),
}

/// What is to be done about a request.
pub enum Next {
    /// This is all that its client gets.
    Answer(Response<Body>),
    /// Its server is asked; the answer goes through this.
    Ask(Option<Box<Reception>>),
}

/// Looks at a request before its server is disturbed, `message` as that server knows its names.
pub async fn before(call: &Call, server: &Arc<Server>, message: &Message) -> Result<Next, Failure> {
    if server.answers.is_idle() {
        return Ok(Next::Ask(None));
    }
    match message.envelope.known_method {
        Some(Method::ToolsCall) => tool_call(call, server, message).await,
        Some(Method::ResourcesRead) => Ok(Box::pin(read(call, server, message)).await),
        Some(method) if lists::is_list(method) => Ok(Box::pin(listing(call, server, message, method)).await),
        _ => Ok(Next::Ask(None)),
    }
}

async fn tool_call(call: &Call, server: &Arc<Server>, message: &Message) -> Result<Next, Failure> {
    let Some(tool) = message.envelope.name_str(&message.bytes) else { return Ok(Next::Ask(None)) };
    let answers = &server.answers;
    if answers.withholds(&tool) {
        return Err(withheld(&tool));
    }
    if answers.rules.guard != Rule::Off
        && let Some(answer) = guarded(call, server, &tool, message).await
    {
        return Ok(Next::Answer(json_answer(call.era, answer)));
    }
    let mut keeping = None;
    if let Some((cache, rule)) = answers.cache_of(&tool) {
        match Box::pin(kept::look(call, server, message, (cache, rule))).await {
            Looked::Found(found) => return Ok(Next::Answer(again(call, server, &found))),
            Looked::Asks(asks) => keeping = asks,
        }
    }
    let most = answers.rules.max_result;
    let receives = most.is_some() || keeping.is_some();
    let reception = receives.then(|| Box::new(Reception::new(call, server, &tool, most, keeping)));
    // Known to be what it was a minute ago at most, or since the server last said that something changed.
    if answers.blocks()
        && !server.catalog.is_recent()
        && let Err(failure) = Box::pin(vouched(call, server, &tool)).await
    {
        return match reception.and_then(|reception| reception.failed(&failure)) {
            Some(stale) => Ok(Next::Answer(kept::stale(call, server, stale))),
            None => Err(failure),
        };
    }
    Ok(Next::Ask(reception))
}

/// Waits until the server has listed its tools, and looks whether this one is still what was accepted.
async fn vouched(call: &Call, server: &Arc<Server>, tool: &str) -> Result<(), Failure> {
    catalog::recently_listed(&call.core, server).await.map_err(|failure| unvouched(server, tool, failure))?;
    if server.answers.withholds(tool) { Err(withheld(tool)) } else { Ok(()) }
}

/// A resource is kept where its server says so.
async fn read(call: &Call, server: &Arc<Server>, message: &Message) -> Next {
    let Some(cache) = server.answers.hinted() else { return Next::Ask(None) };
    match kept::look(call, server, message, (cache, cache::Rule::Hinted)).await {
        Looked::Found(found) => Next::Answer(again(call, server, &found)),
        Looked::Asks(keeping) => {
            let uri = message.envelope.uri_str(&message.bytes).unwrap_or_default();
            Next::Ask(keeping.map(|keeping| Box::new(Reception::new(call, server, &uri, None, Some(keeping)))))
        }
    }
}

/// A list of one server is kept where it says so, whole: each client gets of it what it may use.
async fn listing(call: &Call, server: &Arc<Server>, message: &Message, method: Method) -> Next {
    let answers = &server.answers;
    let mut keeping = None;
    // Servers of the legacy era say nothing of how long a list holds.
    if let Some(cache) = answers.hinted().filter(|_| call.era == Era::Modern) {
        match kept::look(call, server, message, (cache, cache::Rule::Hinted)).await {
            Looked::Found(found) => {
                let text = found.text(message.id().unwrap_or(b"null"));
                let sieve = lists::Sieve::of(call, server, Era::Legacy, method);
                let text = match (sieve, Message::parse(text.clone())) {
                    (Some(sieve), Ok(message)) => sieve.answer(&message),
                    _ => text,
                };
                return Next::Answer(found.response(call, server, text));
            }
            Looked::Asks(asks) => keeping = asks,
        }
    }
    let learns = answers.reads(method);
    Next::Ask((learns || keeping.is_some()).then(|| Box::new(Reception::of_list(call, server, keeping, learns))))
}

fn again(call: &Call, server: &Arc<Server>, found: &Found) -> Response<Body> {
    found.response(call, server, found.text(call.message().id().unwrap_or(b"null")))
}

/// What the client of a call gets that failed: a stale answer, where there may be one.
pub fn rescue(call: &mut Call, server: &Arc<Server>, failure: Failure) -> Result<Response<Body>, Failure> {
    match call.reception.take().and_then(|reception| reception.failed(&failure)) {
        Some(stale) => Ok(kept::stale(call, server, stale)),
        None => Err(failure),
    }
}

fn withheld(tool: &str) -> Failure {
    let tool = brief(tool);
    Failure::new(
        Kind::NameUnknown,
        format!(
            "The tool {tool} is not what it was when it was accepted, and is withheld until its operator has approved the change. Do without it."
        ),
    )
}

/// What the caller is told where nobody can say whether the tool is still what was accepted. What the gate itself does
/// not let pass to the server is told as it would be of the call; nothing was done either.
fn unvouched(server: &Server, tool: &str, failure: Failure) -> Failure {
    let why = match failure.kind {
        Kind::ServerTimeout => "did not list its tools in time",
        Kind::ServerGarbage => "did not list all of its tools",
        Kind::ServerUnavailable => "could not be asked for its tools",
        _ => return failure,
    };
    let (name, tool) = (&server.settings.name, brief(tool));
    let text = format!(
        "The server {name} {why}, so nobody can tell whether {tool} is still what was accepted. The call was not passed on and nothing was done; try again later."
    );
    let refused = Failure::new(Kind::ServerUnavailable, text).because(&failure);
    Failure { retry_after: failure.retry_after, ..refused }
}

/// What the caller is told of arguments that do not fit, where they must.
async fn guarded(call: &Call, server: &Arc<Server>, tool: &str, message: &Message) -> Option<Bytes> {
    let guard = &server.answers.guard;
    let arguments = match message.envelope.arguments {
        Some(span) => message.bytes.slice(span.range()),
        None => Bytes::from_static(b"{}"),
    };
    let asked = || Asked {
        server: server.settings.name.clone(),
        tool: tool.to_owned(),
        client: call.client().owner.to_string(),
    };
    if server.answers.rules.guard != Rule::Strict {
        guard.watch(asked, &arguments, tool);
        return None;
    }
    if !guard.knows(tool) {
        // A server that cannot be asked will not run the call either.
        let _ = Box::pin(catalog::tools_again(&call.core, server)).await;
    }
    let mut objection = server.answers.check(tool, &arguments).await.err()?;
    if objection.is_of_schema() && Box::pin(catalog::tools_again(&call.core, server)).await.is_some() {
        // What is known may be what the tool wanted before it was changed.
        objection = server.answers.check(tool, &arguments).await.err()?;
    }
    guard.log_refused(&asked(), &objection);
    let text = objection.text(tool);
    Some(tool_result::execution_error(call.era, message.id().unwrap_or(b"null"), &text).into())
}

/// SHA-256.
fn hash(text: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
    hash
}

/// The first few by name of many, and how many more there are: who asks for health must not pay for all of them.
fn first_of<'a>(names: impl Iterator<Item = &'a str>, few: usize) -> (Vec<&'a str>, usize) {
    let (mut first, mut more) = (BinaryHeap::with_capacity(few + 1), 0);
    for name in names {
        first.push(name);
        if first.len() > few {
            first.pop();
            more += 1;
        }
    }
    (first.into_sorted_vec(), more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_are_told_and_the_rest_counted() {
        assert_eq!(first_of(["c", "a", "d", "b"].into_iter(), 2), (vec!["a", "b"], 2));
        assert_eq!(first_of(["b", "a"].into_iter(), 2), (vec!["a", "b"], 0));
    }
}
