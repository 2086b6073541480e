//! A listener while it is open: its settings, its TLS, its counters.
//!
//! The acceptor and every connection of the listener share it. What a reload changes here, the
//! next connection sees; open ones keep what they started with.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;

use super::admission::Refused;
use super::tls::authority::Generation;
use super::tls::{self, Authority, Certificates, self_signed};
use crate::config::settings::{Listener, Tls};

/// Why a listener cannot be opened, or not as it is now configured.
#[derive(Debug)]
pub struct OpenError {
    /// The listener's name.
    pub listener: String,
    /// What is wrong, and what to do about it.
    pub problem: String,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listener {}: {}", self.listener, self.problem)
    }
}

impl std::error::Error for OpenError {}

/// What happened at one listener since it was opened; each only grows.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections taken in.
    pub accepted: AtomicU64,
    /// Connections closed at once because a bound on their number was reached.
    pub over_limit: AtomicU64,
    /// Connections closed at once because their address is not on the allow-list.
    pub not_allowed: AtomicU64,
    /// Connections closed because they did not begin with the PROXY header that the listener expects.
    pub headers_failed: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: AtomicU64,
    /// Messages that were refused before they became requests.
    pub refused: AtomicU64,
    /// Connections ended by a deadline.
    pub timed_out: AtomicU64,
    /// HTTP/2 connections ended because their client made work by frames that ask for nothing.
    pub sent_away: AtomicU64,
}

impl Counters {
    /// Adds one; the order among counters does not matter to anybody.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that may not stay.
    pub fn turned_away(&self, refused: Refused) {
        Self::count(match refused {
            Refused::NotAllowed => &self.not_allowed,
            Refused::OverLimit => &self.over_limit,
        });
    }
}

/// TLS of a listener: the configuration, and the certificates that it reads.
#[derive(Debug)]
pub struct Secured {
    settings: Tls,
    /// What rustls is given for each connection.
    pub config: Arc<ServerConfig>,
    /// Read again when their files change.
    pub certificates: Arc<Certificates>,
    /// What clients' certificates are held against; none where they are asked for none.
    pub clients: Option<Arc<Authority>>,
}

impl Secured {
    fn new(settings: &Tls, generation: &Generation) -> Result<Self, String> {
        if let (Some(names), Some(files)) = (&settings.self_signed, settings.certificates.first()) {
            self_signed::ensure(files, names)?;
        }
        let certificates = Certificates::load(&settings.certificates).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            errors.join("; ")
        })?;
        let certificates = Arc::new(certificates);
        let load = |clients| Authority::load(clients, generation).map_err(|error| error.to_string());
        let clients = settings.clients.as_ref().map(load).transpose()?.map(Arc::new);
        let config = tls::server_config(settings, certificates.clone(), clients.clone())
            .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        Ok(Self { settings: settings.clone(), config: Arc::new(config), certificates, clients })
    }
}

/// One listener while it is open.
#[derive(Debug)]
pub struct OpenListener {
    settings: ArcSwap<Listener>,
    secured: ArcSwapOption<Secured>,
    /// Changes whenever a client's certificate that was good may not be any more.
    pub clients: Generation,
    /// Open connections.
    pub connections: Arc<AtomicUsize>,
    /// What happened here.
    pub counters: Counters,
}

impl OpenListener {
    /// Reads the certificates; binds nothing.
    pub fn new(settings: &Arc<Listener>) -> Result<Self, OpenError> {
        let clients = Generation::default();
        let secured = secured(settings, &clients)?;
        let listener = Self {
            settings: ArcSwap::new(settings.clone()),
            secured: ArcSwapOption::empty(),
            clients,
            connections: Arc::default(),
            counters: Counters::default(),
        };
        listener.hold(secured);
        Ok(listener)
    }

    /// Serves with this from now on. The generation comes last: who sees a new one finds what it belongs to.
    fn hold(&self, secured: Option<Secured>) {
        let secured = secured.map(Arc::new);
        self.secured.store(secured.clone());
        match secured.as_ref().and_then(|secured| secured.clients.as_ref()) {
            Some(clients) => clients.publish(),
            None => self.clients.store(0, Ordering::Release),
        }
    }

    /// What it is configured to do.
    pub fn settings(&self) -> Arc<Listener> {
        self.settings.load_full()
    }

    /// TLS, or none for plain HTTP.
    pub fn secured(&self) -> Option<Arc<Secured>> {
        self.secured.load_full()
    }

    /// Whether a chain of a client's, the leaf first, is good here now.
    #[must_use]
    pub fn verify(&self, chain: &[CertificateDer<'_>]) -> bool {
        let secured = self.secured();
        let authority = secured.as_ref().and_then(|secured| secured.clients.as_ref());
        authority.is_some_and(|authority| authority.verify(chain).is_ok())
    }

    /// Takes on new settings of the same name. TLS is set up anew, and sessions for resumption are
    /// lost, only where its settings changed; its files are read again in any case, and what is
    /// wrong with them is returned while what was served stays.
    pub fn reload(&self, settings: &Arc<Listener>) -> Result<Vec<OpenError>, OpenError> {
        let held = self.secured();
        let same = held.as_ref().map(|held| &held.settings) == settings.tls.as_ref();
        let mut problems = Vec::new();
        if same {
            let own = held.iter().flat_map(|held| held.certificates.reload());
            let clients = held.iter().filter_map(|held| held.clients.as_ref()?.reload());
            for error in own.chain(clients) {
                problems.push(OpenError { listener: settings.name.clone(), problem: error.to_string() });
            }
        } else {
            self.hold(secured(settings, &self.clients)?);
        }
        self.settings.store(settings.clone());
        Ok(problems)
    }
}

fn secured(settings: &Listener, generation: &Generation) -> Result<Option<Secured>, OpenError> {
    let error = |problem| OpenError { listener: settings.name.clone(), problem };
    settings.tls.as_ref().map(|tls| Secured::new(tls, generation)).transpose().map_err(error)
}
