//! The client of servers that are reached over Streamable HTTP.
//!
//! One [`HttpServer`] per server and configuration, one [`HttpClient`] of it per core; the forward stage sends.
//! A connection of HTTP/1.1 has no task: whoever waits for an answer reads the socket. One of HTTP/2 has, since its calls
//! share it.

mod answer;
mod chunked;
mod conn;
mod connect;
mod drive;
mod error;
mod exchange;
mod head;
mod keep;
mod lanes;
mod line;
mod names;
mod opening;
mod places;
mod pool;
mod proof;
mod request;
mod socket;
mod streamed;
#[cfg(test)]
mod tests;
mod tls;
mod used;
mod way;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use toolgate_protocol::permits;
use toolgate_protocol::reach::Word;

pub use answer::{Answer, AnswerBody, Timing};
pub use error::{BodyError, SendError, SendErrorKind};
pub use head::Headers;
pub use proof::{Proof, Proofs};
pub use request::{Method, Outgoing};

use crate::config::secret::Secret;
use crate::config::settings;
use crate::servers::connections::{Connections, Right, Seen};
use crate::servers::queue::Permit;
use answer::Checkout;
use conn::Conn;
use connect::{Secured, Speech, Target};
use keep::Keep;
use pool::{Place, Pool};
use request::Template;
use way::Way;

/// Connections of one way of [`alone`], on all cores.
const ALONE: usize = 8;

/// Connections that one call may find closed, one after the other.
const REPLACED: u32 = 5;

/// How long a connection of [`lone`] is kept.
const IDLE: Duration = Duration::from_secs(10);

/// A server over HTTP: what all cores share.
pub struct HttpServer {
    endpoints: Arc<Vec<Endpoint>>,
    pool: Arc<Pool>,
    /// Connections for what is bounded elsewhere: streams, and checks.
    aside: Arc<Pool>,
    /// As of the last reload.
    bounds: ArcSwap<settings::Pool>,
    keep: Arc<Keep>,
    timeout: settings::Timeouts,
    /// Why nothing can be sent.
    lacks: Option<Arc<str>>,
}

struct Endpoint {
    target: Target,
    template: Template,
}

impl HttpServer {
    /// Prepares everything that does not depend on a call, certificates included. The error is a sentence that
    /// says what to do.
    ///
    /// `cores` is the number of cores that will use it.
    pub fn new(
        http: &settings::Http,
        timeout: &settings::Timeouts,
        cores: usize,
        all: &Arc<Connections>,
    ) -> Result<Arc<Self>, String> {
        Self::showing((&http.headers, http.lacks.as_deref()), http, timeout, cores, all)
    }

    /// The same for a server whose headers may change while it runs: they go along with each request.
    pub fn bare(
        http: &settings::Http,
        timeout: &settings::Timeouts,
        cores: usize,
        all: &Arc<Connections>,
    ) -> Result<Arc<Self>, String> {
        Self::showing((&[], None), http, timeout, cores, all)
    }

    fn showing(
        (headers, lacks): (&[(String, Secret)], Option<&str>),
        http: &settings::Http,
        timeout: &settings::Timeouts,
        cores: usize,
        all: &Arc<Connections>,
    ) -> Result<Arc<Self>, String> {
        let tls = if http.endpoints.iter().any(|endpoint| endpoint.tls) { Some(tls::client(&http.tls)?) } else { None };
        let mut endpoints = Vec::with_capacity(http.endpoints.len());
        for endpoint in &http.endpoints {
            let secured = match &tls {
                Some(tls) if endpoint.tls => {
                    let name = tls.server_name.clone().map_or_else(|| tls::name(&endpoint.host), Ok)?;
                    let [connector, choosing] = [&tls.config, &tls.choosing].map(|config| Arc::clone(config).into());
                    Some(Secured { connector, choosing, name })
                }
                _ => None,
            };
            let target = Target::new(endpoint, secured, http.word);
            endpoints.push(Endpoint { target, template: Template::new(endpoint, headers)? });
        }
        let keep = Keep::new(&http.pool);
        Ok(Arc::new(Self {
            pool: Pool::new(cores, endpoints.len(), (&http.pool, &keep), timeout.connect, all),
            aside: Pool::new(cores, endpoints.len(), (&unbounded(&http.pool), &keep), timeout.connect, &apart()),
            keep,
            endpoints: Arc::new(endpoints),
            bounds: ArcSwap::from_pointee(http.pool.clone()),
            timeout: timeout.clone(),
            lacks: lacks.map(Arc::from),
        }))
    }

    /// The same server with connections apart from all others, for one core and for as long as a stream lives.
    #[must_use]
    pub fn apart(&self) -> HttpClient {
        let (bounds, keep, patience) = (self.bounds.load_full(), &self.keep, self.timeout.connect);
        let server = Self {
            endpoints: Arc::clone(&self.endpoints),
            pool: Pool::new(1, self.endpoints.len(), (&bounds, keep), patience, self.pool.all()),
            aside: Pool::new(1, self.endpoints.len(), (&unbounded(&bounds), keep), patience, &apart()),
            bounds: ArcSwap::from(bounds),
            keep: Arc::clone(keep),
            timeout: settings::Timeouts { total: None, ..self.timeout.clone() },
            lacks: self.lacks.clone(),
        };
        Arc::new(server).client(0)
    }

    /// Other bounds and times for its connections; calls and connections go on. How it is spoken to stays.
    ///
    /// What is [apart](Self::apart) already follows the times, with the next connection that it keeps.
    pub fn follow(&self, bounds: &settings::Pool) {
        if **self.bounds.load() == *bounds {
            return;
        }
        self.bounds.store(Arc::new(bounds.clone()));
        self.keep.follow(bounds);
        self.pool.follow(bounds);
        self.aside.follow(&unbounded(bounds));
    }

    /// The way in for the core with this number.
    #[must_use]
    pub fn client(self: &Arc<Self>, core: usize) -> HttpClient {
        HttpClient { server: Arc::clone(self), core, proofs: Proofs::default(), is_aside: false }
    }

    /// Calls that wait for a connection, since there are as many as may be.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pool.waiting()
    }

    /// Whether the idle connection to an endpoint that was used last, of some core, turns out closed, which is then given up;
    /// or one that calls share has ended by itself.
    #[must_use]
    pub fn has_lost(&self, endpoint: usize) -> bool {
        self.pool.has_lost(endpoint, Instant::now())
    }

    /// Connections in use or idle, on all cores.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.pool.open()
    }

    /// The same, and those to each endpoint.
    #[must_use]
    pub fn connections(&self) -> (Seen, Vec<usize>) {
        self.pool.seen()
    }
}

/// A server over HTTP, as one core uses it.
#[derive(Clone, Debug)]
pub struct HttpClient {
    server: Arc<HttpServer>,
    core: usize,
    proofs: Proofs,
    is_aside: bool,
}

/// As many connections as are asked for: whoever asks is bounded already.
fn unbounded(like: &settings::Pool) -> settings::Pool {
    settings::Pool { max_connections: permits::MAX, max_per_endpoint: None, min_idle: 0, ..like.clone() }
}

/// Outside of the bound on connections to servers.
fn apart() -> Arc<Connections> {
    Connections::new(permits::MAX)
}

impl HttpClient {
    /// The same, where each request shows these as well.
    #[must_use]
    pub fn showing(self, proofs: Proofs) -> Self {
        Self { proofs, ..self }
    }

    /// The same over connections that are in no call's way, and that no call is in the way of: for streams that live
    /// long, and for checks.
    #[must_use]
    pub fn aside(self) -> Self {
        Self { is_aside: true, ..self }
    }

    fn pool(&self) -> &Arc<Pool> {
        if self.is_aside { &self.server.aside } else { &self.server.pool }
    }

    /// Sends `request`; the answer's body is read as it is polled, and dropping it cancels the call.
    ///
    /// A kept connection that turns out closed before anything left is replaced without notice.
    /// Dropping the future closes the connection, or resets the stream where calls share it.
    pub async fn send(&self, request: Outgoing<'_>) -> Result<Answer, SendError> {
        let server = &*self.server;
        let Some(endpoint) = server.endpoints.get(request.endpoint) else {
            return Err(SendError::unsent(SendErrorKind::Request, "the server has no such endpoint"));
        };
        if let Some(why) = server.lacks.as_ref().or(self.proofs.lacks.as_ref()) {
            return Err(SendError::unsent(SendErrorKind::Secret, why.to_string()));
        }
        let started = Instant::now();
        let total = server.timeout.total.map(|total| started + total);
        let mut result = self.attempt(endpoint, &request, started, total, true).await;
        let mut replaced = 0;
        // A new connection of HTTP/1.1 is this call's own: what happens there happens for a reason. One of HTTP/2 may have
        // been used by others, and end as the one that it replaces.
        while replaced < REPLACED
            && let Err(error) = &result
            && error.reused
            && !error.sent
        {
            replaced += 1;
            // Boxed, since few calls come here.
            result = Box::pin(self.attempt(endpoint, &request, started, total, false)).await;
        }
        result
    }

    /// Opens connections until this core has as many idle ones to an endpoint as are wanted in advance.
    ///
    /// # Errors
    /// Where the endpoint does not take them.
    pub async fn warm(&self, endpoint: usize) -> Result<(), SendError> {
        let server = &*self.server;
        let Some(there) = server.endpoints.get(endpoint) else { return Ok(()) };
        if let Some(lane) =
            server.pool.lanes().map(|lanes| lanes.of(self.core, endpoint)).filter(|lane| !lane.is_plain())
        {
            // Calls share it: one is as good as many.
            if server.bounds.load().min_idle > 0 && lane.has_none() && server.pool.has_room(endpoint) {
                opening::begin(self, lane, endpoint, opening::For::Later);
            }
            return Ok(());
        }
        let kept = server.pool.kept(self.core, endpoint, Instant::now());
        // No more than are missing: one that is too old by the time it stands is not made anew before the next look.
        for _ in kept..server.bounds.load().min_idle {
            if !server.pool.has_room(endpoint) {
                break;
            }
            let Some(permit) = server.pool.try_permit(endpoint) else { break };
            let to = (endpoint, permit.has_own());
            let (conn, now) = self.connection(there, to, Instant::now(), None, false).await?;
            server.pool.put(self.core, endpoint, conn, now);
        }
        Ok(())
    }

    /// Opens a connection to an endpoint and closes it, with nothing said on it.
    ///
    /// # Errors
    /// Where nobody takes it within `patience`.
    pub async fn knock(&self, endpoint: usize, patience: Duration) -> Result<(), SendError> {
        let Some(there) = self.server.endpoints.get(endpoint) else { return Ok(()) };
        there.target.knock(Instant::now() + patience).await
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        request: &Outgoing<'_>,
        started: Instant,
        total: Option<Instant>,
        kept: bool,
    ) -> Result<Answer, SendError> {
        let server = &*self.server;
        if let Some(lanes) = self.pool().lanes() {
            let lane = lanes.of(self.core, request.endpoint);
            // Boxed, so that a call over HTTP/1.1 does not carry the size of this.
            if let Way::Stream(lease) = Box::pin(self.way(lane, request.endpoint, total)).await? {
                return Box::pin(self.streamed(lease, endpoint, request, started, total)).await;
            }
        }
        let (permit, asked) = self.permit(request.endpoint, started).await?;
        let to = (request.endpoint, permit.has_own());
        let (mut conn, sending) = self.connection(endpoint, to, asked, total, kept).await?;
        let reused = conn.reused;
        let first_byte = request.first_byte.unwrap_or(server.timeout.first_byte);
        let head =
            exchange::exchange(&mut conn, (&endpoint.template, &self.proofs), request, first_byte, sending, total)
                .await
                .map_err(|error| SendError { reused, ..error })?;
        let arrived = Instant::now();
        let timing = Timing { connect: sending - started, first_byte: arrived - sending };

        conn.idle = head.idle;
        let checkout = Checkout {
            conn,
            permit,
            pool: Arc::clone(self.pool()),
            core: self.core,
            endpoint: request.endpoint,
            keep_alive: head.keep_alive,
            attempt: None,
        };
        let total = total.map(|total| Box::pin(tokio::time::sleep_until(total)));
        let body = AnswerBody::new(head.framing, checkout, arrived, total)
            .map_err(|error| SendError { reused, ..SendError::sent(SendErrorKind::Malformed, error.to_string()) })?;
        let endpoint = request.endpoint;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            reused,
            arrived,
            timing,
            endpoint,
            attempt: None,
        })
    }

    /// The right to a connection, and when it was had; waits where the server has as many as it may have.
    async fn permit(&self, endpoint: usize, now: Instant) -> Result<(Permit, Instant), SendError> {
        if let Some(permit) = self.pool().try_permit(endpoint) {
            return Ok((permit, now));
        }
        // Boxed, so that a call that need not wait does not carry the means to.
        let permit = Box::pin(self.pool().permit(endpoint)).await.map_err(SendError::at)?;
        Ok((permit, Instant::now()))
    }

    /// A connection, and when it was had; for a call that holds the endpoint's permit too, or does not.
    async fn connection(
        &self,
        endpoint: &Endpoint,
        to: (usize, bool),
        now: Instant,
        total: Option<Instant>,
        kept: bool,
    ) -> Result<(Conn, Instant), SendError> {
        let slot = match self.pool().place(self.core, to, now, kept).await {
            Place::Kept(conn) => return Ok((conn, now)),
            Place::New(slot) => slot,
        };
        let right = self.pool().try_open_one();
        // Rather one that another core keeps than to wait for somebody else's.
        if right.is_none()
            && kept
            && let Some(conn) = self.pool().take_from_others(self.core, to, now)
        {
            return Ok((conn, now));
        }
        // Boxed, so that a call on a kept connection does not carry the size of connecting.
        let (stream, right) = Box::pin(async {
            let right = self.right(right).await?;
            let deadline = Instant::now() + self.server.timeout.connect;
            let deadline = total.map_or(deadline, |total| total.min(deadline));
            Ok((endpoint.target.connect(Speech::Http1, deadline).await?, right))
        })
        .await?;
        Ok((Conn::new(stream, (slot, right)), Instant::now()))
    }

    /// A place among the connections to all servers, waited for where there is none.
    async fn right(&self, right: Option<Right>) -> Result<Right, SendError> {
        if let Some(right) = right {
            return Ok(right);
        }
        let asked = self.pool().open_one(Instant::now() + self.server.timeout.connect).await;
        asked.ok_or_else(|| SendError::at(SendErrorKind::GateBound))
    }
}

/// A way to one URL of the operator's that is no server's: for who is not a core, and makes one request at a time.
///
/// # Errors
/// As [`lone_on`].
pub fn lone(
    endpoint: settings::Endpoint,
    tls: settings::UpstreamTls,
    headers: Vec<(String, Secret)>,
    patience: Duration,
) -> Result<HttpClient, String> {
    lone_on(Word::Operator { link_local: false }, endpoint, tls, headers, patience)
}

/// The same on somebody's word, which says where the URL may lead.
///
/// # Errors
/// A sentence, where certificates or headers cannot be used.
pub fn lone_on(
    word: Word,
    endpoint: settings::Endpoint,
    tls: settings::UpstreamTls,
    headers: Vec<(String, Secret)>,
    patience: Duration,
) -> Result<HttpClient, String> {
    Ok(on_word(word, endpoint, tls, headers, patience)?.client(0))
}

/// The same, for whoever asks from several cores, each with [`HttpServer::apart`].
///
/// # Errors
/// A sentence, where certificates or headers cannot be used.
pub fn alone(
    word: Word,
    endpoint: settings::Endpoint,
    tls: settings::UpstreamTls,
    patience: Duration,
) -> Result<Arc<HttpServer>, String> {
    on_word(word, endpoint, tls, Vec::new(), patience)
}

fn on_word(
    word: Word,
    endpoint: settings::Endpoint,
    tls: settings::UpstreamTls,
    headers: Vec<(String, Secret)>,
    patience: Duration,
) -> Result<Arc<HttpServer>, String> {
    // Errors name it: the rest of the URL may hold a credential.
    let scheme = if endpoint.tls { "https" } else { "http" };
    let endpoint = settings::Endpoint { url: format!("{scheme}://{}", endpoint.authority()), ..endpoint };
    let pool = settings::Pool {
        max_connections: 1,
        max_per_endpoint: None,
        idle_timeout: IDLE,
        max_age: None,
        min_idle: 0,
        http2: false,
    };
    let http =
        settings::Http { endpoints: vec![endpoint], pool, headers, lacks: None, tls, forward_client: false, word };
    let timeout = settings::Timeouts { connect: patience, first_byte: patience, total: Some(patience) };
    // Outside of the bound on connections to servers: an alarm is told when they are all in use, too.
    HttpServer::new(&http, &timeout, 1, &Connections::new(ALONE))
}

impl std::fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpServer({} endpoints, {} connections)", self.endpoints.len(), self.open_connections())
    }
}
