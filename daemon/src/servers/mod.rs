//! MCP servers behind the gate, as they run: pools, queues, instances, and what is known of them.
//!
//! One value per server lives as long as its configuration does not change, across reloads.

pub mod adaptive;
pub mod catalog;
pub mod connections;
pub mod credentials;
pub mod discovery;
pub mod endpoints;
pub mod eras;
pub mod exchange;
pub mod fitness;
#[cfg(test)]
mod fixture;
pub mod http;
pub mod http_call;
pub mod http_reply;
pub mod http_retry;
pub mod http_stream;
pub mod kept;
pub mod left_out;
pub mod leg;
pub mod lookout;
pub mod news;
pub mod off;
pub mod probe;
pub mod queue;
pub mod reach;
pub mod readable;
pub mod reading;
pub mod stdio;
mod streams;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use toolgate_protocol::bridge::listen::List;
use toolgate_protocol::json::Span;
use toolgate_protocol::revision::{Era, Revision};

use crate::answers::Answers;
use crate::clock;
use crate::config::settings::{self, Daemon, Per, Transport};
use crate::core::Core;
use crate::failure::Failure;
use crate::grants::Grants;
use crate::identity::Client;
use crate::policy::Names;
use crate::sessions::Hosted;
use crate::state::{State, Verdicts};
use adaptive::Adaptive;
use catalog::Catalog;
use connections::Connections;
use credentials::Credential;
use credentials::facets::{self, Facets};
use credentials::users::Users;
use discovery::Discovery;
use endpoints::Endpoints;
use eras::Eras;
use fitness::Fitness;
use kept::{Holder, KeptSessions};
use left_out::LeftOut;
use leg::Leg;
use news::News;
use off::Off;
use queue::Queue;
use stdio::events::Events;
use stdio::instances::Instances;
use stdio::link::Serves;
use stdio::wear::Renewed;

static NEXT_GENERATION: AtomicU64 = AtomicU64::new(1);

/// Whom an instance serves that modern clients share.
const EVERYBODY: &str = "modern";

/// Whether an owner's instance is of use only once the gate was introduced to it.
pub fn needs_introduction(owner: &str) -> bool {
    !owner.starts_with(EVERYBODY)
}

/// A server as it runs.
#[derive(Debug)]
pub struct Server {
    /// Its configuration.
    pub settings: Arc<settings::Server>,
    /// Tells this value from earlier ones of the same name.
    pub generation: u64,
    /// Which tools exist for clients.
    pub tools: Names,
    /// Tools that are switched off by hand.
    pub off: Arc<Off>,
    /// Calls in flight and waiting.
    pub queue: Arc<Queue>,
    /// Streams on which somebody listens.
    pub streams: Arc<Queue>,
    /// How many of them it was found to take at once.
    adaptive: Arc<Adaptive>,
    /// Whether it answers.
    pub fitness: Arc<Fitness>,
    /// Where calls go, and which of these places take them.
    pub endpoints: Arc<Endpoints>,
    /// What it said of itself.
    pub discovery: Arc<Discovery>,
    /// Names that merged views leave out.
    pub left_out: Arc<LeftOut>,
    /// Which eras it speaks.
    pub eras: Arc<Eras>,
    /// Legacy sessions of modern clients.
    pub kept: Arc<KeptSessions>,
    /// What its tools want in headers.
    pub catalog: Arc<Catalog>,
    /// What its tools and answers are held to.
    pub answers: Answers,
    /// What it announces outside of calls.
    pub news: Arc<News>,
    used: Arc<AtomicBool>,
    by: Arc<By>,
    /// As which of the server's facets it is met; none: with the server's own credential.
    facet: Option<Arc<str>>,
    /// How clients with credentials of their own meet it.
    facets: Option<Facets>,
    /// How clients meet it whose users allowed them to.
    users: Option<Arc<Users>>,
}

#[derive(Debug)]
enum By {
    Http(http_call::Upstream),
    /// Commands over stdio, or sessions over SSE.
    Instances(Arc<Instances>),
}

impl Server {
    /// A server that nobody has called yet.
    ///
    /// # Errors
    /// A sentence, where certificates or headers towards it cannot be used.
    pub fn new(
        settings: Arc<settings::Server>,
        daemon: &Daemon,
        state: Option<&Arc<State>>,
        connections: &Arc<Connections>,
    ) -> Result<Self, String> {
        let mut facets = None;
        let by = match &settings.transport {
            Transport::Http(http) => {
                facets = Facets::new(http, &settings.access)?;
                By::Http(http_call::Upstream::new(&settings, http, daemon, connections)?)
            }
            Transport::Sse(http) => {
                let events = Events::new(&settings, http, connections)?;
                let max = http.pool.max_connections;
                By::Instances(Arc::new(Instances::of_events(&settings.name, events, max, &settings.queue)))
            }
            Transport::Stdio(stdio) => {
                let socket = daemon.runtime_dir.join("servers").join(format!("{}.sock", settings.name));
                let instances = Instances::new(&settings.name, socket, stdio, &settings.queue);
                By::Instances(Arc::new(match state {
                    Some(state) => instances.kept_by(state, stdio),
                    None => instances,
                }))
            }
        };
        Ok(Self {
            generation: NEXT_GENERATION.fetch_add(1, Ordering::Relaxed),
            tools: Names::new(&settings.tools),
            off: Arc::default(),
            queue: Queue::for_clients(
                settings.max_calls,
                settings.max_calls_per_client,
                settings.queue.max_size,
                settings.queue.timeout,
            ),
            streams: Queue::for_lasting(settings.max_streams, settings.max_streams_per_client),
            adaptive: Arc::default(),
            fitness: Arc::default(),
            endpoints: Arc::new(Endpoints::new(&settings)),
            discovery: Arc::default(),
            left_out: Arc::default(),
            eras: Arc::new(match (&settings.transport, state) {
                // Its transport ended with the revisions of that era.
                (Transport::Sse(_), _) => Eras::only(Era::Legacy),
                // Instances that outlive the process are not asked again.
                (Transport::Stdio(stdio), Some(state)) => Eras::kept(Verdicts::of(state, &settings.name, stdio)),
                (Transport::Http(_) | Transport::Stdio(_), _) => Eras::default(),
            }),
            kept: Arc::default(),
            catalog: Arc::default(),
            answers: Answers::new(&settings.answers),
            news: Arc::default(),
            used: Arc::default(),
            by: Arc::new(by),
            facet: None,
            facets,
            users: None,
            settings,
        })
    }

    /// Whether it goes on under these settings, and its sessions with it.
    pub fn goes_on_as(&self, new: &settings::Server) -> bool {
        let old = &*self.settings;
        old.transport.goes_on_as(&new.transport)
            && old.timeout.connect == new.timeout.connect
            && old.timeout.total == new.timeout.total
            && old.access.goes_on_as(&new.access)
    }

    /// The same running server under other rules: limits, tools, places, criticality, its queue. `None` where
    /// it would be reached in another way, and has to start anew.
    pub fn under(&self, settings: &Arc<settings::Server>) -> Option<Self> {
        if !self.goes_on_as(settings) {
            return None;
        }
        let new = &**settings;
        let mut facets = match &new.transport {
            // What was checked when the configuration was read can be used.
            Transport::Http(http) => Facets::new(http, &new.access).ok()?,
            Transport::Sse(_) | Transport::Stdio(_) => None,
        };
        let same = self.with(settings);
        if let (Some(facets), Some(before)) = (&mut facets, &self.facets) {
            facets.go_on(before, (self, &same));
        }
        let users = self.users.as_ref().map(|users| Arc::new(users.of_next(self, &same)));
        Some(Self { facets, users, ..same })
    }

    /// Has its connections go on as they are configured now: how many there may be, and for how long.
    pub fn follow(&self) {
        match (&self.settings.transport, &*self.by) {
            (Transport::Http(http), By::Http(upstream)) => upstream.follow(&http.pool),
            (Transport::Sse(http), By::Instances(instances)) => instances.follow(&http.pool),
            _ => {}
        }
    }

    /// The same, where users may allow clients more than the gate is allowed.
    ///
    /// # Errors
    /// A sentence, where certificates towards their provider cannot be used.
    pub fn with_users(self, grants: &Arc<Grants>) -> Result<Self, String> {
        let users = match (&self.settings.access.user, &self.users) {
            (None, _) => None,
            (Some(_), Some(known)) => Some(Arc::clone(known)),
            (Some(rules), None) => Some(Arc::new(Users::new(rules, grants)?)),
        };
        Ok(Self { users, ..self })
    }

    /// The same running server with these settings, without facets of its own.
    fn with(&self, settings: &Arc<settings::Server>) -> Self {
        let new = &**settings;
        Self {
            settings: Arc::clone(settings),
            generation: self.generation,
            tools: Names::new(&new.tools),
            off: Arc::clone(&self.off),
            queue: Arc::clone(&self.queue),
            streams: Arc::clone(&self.streams),
            adaptive: Arc::clone(&self.adaptive),
            fitness: Arc::clone(&self.fitness),
            endpoints: Arc::clone(&self.endpoints),
            discovery: Arc::clone(&self.discovery),
            // Other aliases, other names.
            left_out: if self.settings.aliases == new.aliases { Arc::clone(&self.left_out) } else { Arc::default() },
            eras: Arc::clone(&self.eras),
            kept: Arc::clone(&self.kept),
            catalog: Arc::clone(&self.catalog),
            answers: self.answers.under(&new.answers),
            news: Arc::clone(&self.news),
            used: Arc::clone(&self.used),
            by: Arc::clone(&self.by),
            facet: self.facet.clone(),
            facets: None,
            users: None,
        }
    }

    /// The same server as it is met with another credential.
    fn as_facet(&self, name: &Arc<str>, credential: &Arc<Credential>) -> Self {
        let by = match &*self.by {
            By::Http(upstream) => Arc::new(By::Http(upstream.showing(credential))),
            By::Instances(_) => Arc::clone(&self.by),
        };
        Self {
            generation: NEXT_GENERATION.fetch_add(1, Ordering::Relaxed),
            discovery: Arc::default(),
            left_out: Arc::default(),
            kept: Arc::default(),
            catalog: Arc::default(),
            answers: self.answers.of_facet(name),
            news: Arc::default(),
            by,
            facet: Some(Arc::clone(name)),
            ..self.with(&self.settings)
        }
    }

    /// Whether some clients meet it otherwise than others.
    pub fn has_facets(&self) -> bool {
        self.facets.is_some() || self.users.is_some()
    }

    /// Whose users have to allow what; none also of a facet, whose user did.
    pub fn users(&self) -> Option<&Arc<Users>> {
        self.users.as_ref()
    }

    /// Whether it can be asked what it offers before a user has allowed anything: the gate has a credential of its own,
    /// or no user has to.
    pub fn is_open_to_all(&self) -> bool {
        let Transport::Http(http) = &self.settings.transport else { return true };
        let access = &self.settings.access;
        self.users.is_none() || !http.headers.is_empty() || !access.files.is_empty() || access.oauth.is_some()
    }

    /// The server as a client meets it.
    pub fn met_by(self: &Arc<Self>, client: &Client) -> Arc<Self> {
        let users = || self.users.as_ref()?.of(self, &client.id);
        let facet = self.facets.as_ref().and_then(|facets| facets.of(self, client)).or_else(users);
        facet.unwrap_or_else(|| Arc::clone(self))
    }

    /// The server, as it is met by those who met `other`, an earlier one of its name; none where nobody meets it so any
    /// more.
    pub fn like(self: &Arc<Self>, other: &Self) -> Option<Arc<Self>> {
        self.faceted(other.facet.as_deref())
    }

    /// The facet of this name, or without one the server itself.
    pub fn faceted(self: &Arc<Self>, name: Option<&str>) -> Option<Arc<Self>> {
        match name {
            None => Some(Arc::clone(self)),
            Some(name) => {
                let users = || self.users.as_ref()?.named(self, name);
                self.facets.as_ref().and_then(|facets| facets.named(self, name)).or_else(users)
            }
        }
    }

    /// As which facet it is met; none: with the server's own credential.
    pub fn facet(&self) -> Option<&str> {
        self.facet.as_deref()
    }

    /// Whether it is met by clients that may not call it.
    pub fn meets_nobody(&self) -> bool {
        self.facet.as_deref().is_some_and(facets::is_nobody)
    }

    /// It and those of its facets that somebody met.
    pub fn each_facet(self: &Arc<Self>) -> Vec<Arc<Self>> {
        let facets = self.facets.iter().flat_map(Facets::each);
        let users = self.users.iter().flat_map(|users| users.each());
        std::iter::once(self).chain(facets).map(Arc::clone).chain(users).collect()
    }

    /// Reads secrets whose files have changed.
    pub fn look_at_secrets(&self) {
        let name = &self.settings.name;
        if let Some(credential) = self.credential() {
            credential.look(name);
        }
        if let Some(facets) = &self.facets {
            facets.look(name);
        }
        if let Some(users) = &self.users {
            users.provider().look(name);
        }
    }

    /// What an operator should know of what it is shown, a sentence each.
    pub fn told_of_credentials(&self) -> Vec<String> {
        let own = self.credential().map(Credential::told).unwrap_or_default();
        let users = self.users.iter().filter_map(|users| users.provider().told());
        own.into_iter().chain(self.facets.iter().flat_map(Facets::told)).chain(users).collect()
    }

    /// What it is shown, where that may change.
    fn credential(&self) -> Option<&Credential> {
        match &*self.by {
            By::Http(upstream) => upstream.credential().map(AsRef::as_ref),
            By::Instances(instances) => instances.credential(),
        }
    }

    /// Its endpoints, where it is reached over Streamable HTTP.
    pub fn http(&self) -> Option<&http_call::Upstream> {
        match &*self.by {
            By::Http(upstream) => Some(upstream),
            By::Instances(_) => None,
        }
    }

    /// The URL of one of its endpoints, as it is written.
    pub fn endpoint_url(&self, endpoint: usize) -> Option<&str> {
        match &self.settings.transport {
            Transport::Http(http) => http.endpoints.get(endpoint).map(|endpoint| endpoint.url.as_str()),
            Transport::Sse(_) | Transport::Stdio(_) => None,
        }
    }

    /// The endpoint with this URL.
    pub fn endpoint_of(&self, url: &str) -> Option<usize> {
        match &self.settings.transport {
            Transport::Http(http) => http.endpoints.iter().position(|endpoint| endpoint.url == url),
            Transport::Sse(_) | Transport::Stdio(_) => None,
        }
    }

    /// Its instances over stdio, or its sessions over SSE.
    pub fn instances(&self) -> Option<&Arc<Instances>> {
        match &*self.by {
            By::Instances(instances) => Some(instances),
            By::Http(_) => None,
        }
    }

    /// Why calls to it are likely to fail now; `None` when nothing speaks against it.
    pub fn trouble(&self) -> Option<String> {
        self.settings
            .lacks()
            .map(str::to_owned)
            .or_else(|| self.credential().and_then(Credential::trouble))
            .or_else(|| self.instances().and_then(|instances| instances.trouble()))
            .or_else(|| self.endpoints.trouble())
            .or_else(|| self.fitness.trouble())
            // Of one that answers nobody without a user's token nothing can be found out.
            .or_else(|| self.discovery.trouble().filter(|_| self.is_open_to_all()))
    }

    /// Calls that wait because it has as many connections or instances as it may have.
    pub fn waiting_for_room(&self) -> usize {
        match &*self.by {
            By::Http(upstream) => upstream.waiting(),
            By::Instances(instances) => instances.waiting(),
        }
    }

    /// Notes that something was asked of it.
    pub fn use_now(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether anything was ever asked of it.
    pub fn was_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Time until the first message of a call, for one of its tools.
    pub fn first_byte(&self, tool: Option<&str>) -> Duration {
        let own = tool.and_then(|tool| self.settings.tool_timeouts.get(tool));
        own.copied().unwrap_or(self.settings.timeout.first_byte)
    }

    /// A leg for the gate's own questions, shared by all that ask in this era.
    pub async fn own_leg(self: &Arc<Self>, era: Era, revision: &str) -> Result<Leg, Failure> {
        match &*self.by {
            By::Http(_) => Ok(self.http_leg(era)),
            By::Instances(instances) => {
                let link = match era {
                    Era::Legacy => instances.shared(&format!("gate {revision}"), Serves::Everybody).await?,
                    // Questions of the gate share the instance that serves everybody, where one does.
                    Era::Modern => instances.shared(EVERYBODY, Serves::Everybody).await?,
                };
                Ok(Leg::stdio(Arc::clone(self), era, link))
            }
        }
    }

    /// A leg that legacy sessions of one client share, not yet introduced.
    async fn sessions_leg(self: &Arc<Self>, client: &str, revision: Revision) -> Result<Leg, Failure> {
        let Some(instances) = self.instances() else { return Ok(self.http_leg(Era::Legacy)) };
        endpoints::admit_new(self)?;
        let link = instances.shared_by_sessions(&format!("sessions {revision} {client}")).await?;
        Ok(Leg::stdio(Arc::clone(self), Era::Legacy, link))
    }

    /// A leg for a session that is held for modern calls of one client, not yet introduced.
    async fn client_leg(self: &Arc<Self>, client: &str, revision: Revision, serves: Serves) -> Result<Leg, Failure> {
        let Some(instances) = self.instances() else { return Ok(self.http_leg(Era::Legacy)) };
        endpoints::admit_new(self)?;
        let link = instances.shared(&format!("legacy {revision} {client}"), serves).await?;
        Ok(Leg::stdio(Arc::clone(self), Era::Legacy, link))
    }

    /// A leg of its own for one legacy session, not yet introduced.
    async fn session_leg(self: &Arc<Self>, unasked: mpsc::Sender<Bytes>) -> Result<Leg, Failure> {
        match &*self.by {
            By::Http(_) => Ok(self.http_leg(Era::Legacy)),
            By::Instances(instances) => {
                endpoints::admit_new(self)?;
                let link = instances.dedicated(unasked).await?;
                Ok(Leg::stdio(Arc::clone(self), Era::Legacy, link))
            }
        }
    }

    /// A leg for a modern client's calls.
    pub async fn modern_leg(self: &Arc<Self>, client: &str, capabilities: &[u8]) -> Result<Leg, Failure> {
        let Transport::Stdio(stdio) = &self.settings.transport else { return Ok(self.http_leg(Era::Modern)) };
        endpoints::admit_new(self)?;
        let instances = self.instances().expect("a stdio server has instances");
        let link = match stdio.instances.per {
            None | Some(Per::All) => instances.shared(EVERYBODY, Serves::Everybody).await?,
            Some(Per::Client) => instances.shared(&format!("modern {client}"), Serves::Client).await?,
            Some(Per::Session) => {
                kept::fits(capabilities)?;
                instances.shared_as_declared(client, capabilities).await?
            }
        };
        Ok(Leg::stdio(Arc::clone(self), Era::Modern, link).to_shared())
    }

    /// Whom a legacy session is held for at this server. An instance that serves everybody knows
    /// no client and declares nobody's capabilities.
    pub fn holder<'a>(&self, own: Holder<'a>) -> Holder<'a> {
        match &self.settings.transport {
            Transport::Stdio(stdio) if stdio.instances.per == Some(Per::All) => Holder::EVERYBODY,
            _ => own,
        }
    }

    fn http_leg(self: &Arc<Self>, era: Era) -> Leg {
        Leg::http(Arc::clone(self), era, http_call::Conversation::default())
    }

    /// Opens and introduces the leg of a hosted session; what an instance says outside of calls
    /// goes to `unasked`.
    ///
    /// Where an instance serves more than one session, the leg is the shared one: the gate has
    /// introduced itself there, without capabilities of any client.
    pub async fn introduce(
        self: &Arc<Self>,
        core: &Rc<Core>,
        client: &str,
        hosted: &Hosted,
        unasked: mpsc::Sender<Bytes>,
    ) -> Result<Leg, Failure> {
        let per = match &self.settings.transport {
            Transport::Stdio(stdio) => stdio.instances.per,
            Transport::Http(_) | Transport::Sse(_) => None,
        };
        match per {
            None | Some(Per::Session) => {
                let leg = self.session_leg(unasked).await?;
                discovery::introduce_session(core, leg, hosted).await
            }
            Some(Per::Client) => discovery::shared_leg(core, self, hosted.revision, client).await,
            Some(Per::All) => Ok(discovery::introduced(core, self, hosted.revision).await?.leg.to_shared()),
        }
    }

    /// Takes note of a page of its tools. Who was shown others hears that they changed.
    pub fn saw_tools(&self, page: &Bytes, result: Span) {
        if self.answers.saw_tools(page, result, &self.settings.name) {
            self.news.publish_change(List::Tools);
        }
    }

    /// One of its lists has changed: nothing that was learned from them holds, nor what it answered before.
    pub fn lists_changed(&self) {
        self.catalog.forget();
        self.answers.changed();
    }

    /// Forgets what it said of itself, so that the next call that needs it asks.
    ///
    /// Not more often than twice a minute: clients can cause it.
    pub fn ask_anew(&self) {
        if !self.eras.may_doubt(clock::millis()) {
            return;
        }
        self.eras.doubt();
        discovery::forget_all(self);
        self.catalog.forget();
    }

    /// Replaces its instances, and asks anew what it offers: its program may be another one now.
    pub fn restart(&self, instances: &Instances, rolling: bool) -> Renewed {
        let renewed = instances.renew(rolling);
        self.eras.doubt();
        discovery::forget_all(self);
        self.lists_changed();
        self.news.publish_changes(List::ALL);
        renewed
    }

    /// Ends what runs for it; for a server that a reload removed or changed.
    pub fn retire(&self) {
        if let Some(instances) = self.instances() {
            instances.retire();
        }
        // What it said holds the leg that it was said on, and the leg holds the server.
        self.discovery.retire();
        self.kept.retire();
        self.news.retire();
    }
}
