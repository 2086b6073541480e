//! What the admin sockets may ask of the daemon.
//!
//! The daemon implements this where its parts meet; the routes only translate HTTP to it. Nothing
//! here may wait for a core: reads come from snapshots that the cores publish.

use std::fmt;

use toolgate_admin_api::{
    ApiError, ApproveOutcome, ApproveRequest, BreakerOutcome, BreakerRequest, Caches, CallLife, Calls, CheckOutcome,
    ClearOutcome, ClearRequest, Clients, ConfigView, GrantsView, HistoryView, LimitsView, ModeOutcome, ModeRequest,
    OverrideOutcome, OverrideRequest, Queues, ReloadOutcome, ReloadRequest, RestartOutcome, RestartRequest,
    RevertRequest, Revision, RevokeOutcome, RevokeRequest, ServerStatus, ServerTools, SessionDetail, Sessions, Status,
    ToolChanges, Tools, Version,
};
use toolgate_protocol::breaker::State;

use super::health::HealthOperations;
use super::keys::KeyOperations;
use super::policy::PolicyOperations;
use super::query::TableQuery;
use super::seal::SealOperations;
use super::steer::{AuditOperations, SteerOperations};
use super::watch::WatchOperations;
use crate::servers::endpoints::Mode;

/// The daemon as the admin sockets see it. Methods run on a few threads beside the sockets' loop
/// and may be called at the same time.
pub trait Operations:
    ToolOperations
    + CacheOperations
    + EndpointOperations
    + GrantOperations
    + LimitOperations
    + LedgerOperations
    + WatchOperations
    + AuditOperations
    + SteerOperations
    + HealthOperations
    + SealOperations
    + PolicyOperations
    + KeyOperations
    + Send
    + Sync
{
    /// Who answers, and which revision runs. Called for every answer: a few atomic reads.
    fn version(&self) -> Version;

    /// The daemon at a glance, from snapshots.
    fn status(&self) -> Status;

    /// Who waits for which server.
    fn queues(&self) -> Queues;

    /// The running configuration and its files.
    fn config(&self) -> ConfigView;

    /// Accepted configurations without their texts.
    fn history(&self) -> HistoryView;

    /// One of them with its texts, which may hold secrets.
    fn revision(&self, number: u64) -> Result<Revision, ApiError>;

    /// What a server offers. It is asked now, which may start an instance and take ten seconds.
    fn tools(&self, server: &str) -> Result<ServerTools, ApiError>;

    /// One server, with what its instances wrote to stderr, which may hold secrets.
    fn server(&self, name: &str) -> Result<ServerStatus, ApiError>;

    /// Replaces the instances of a server, or with `dry_run` says how many that would be.
    fn restart(&self, peer: &Peer, name: &str, request: &RestartRequest) -> Result<RestartOutcome, ApiError>;

    /// All servers as [`Operations::server`] shows one, without what their instances wrote.
    fn servers(&self) -> Vec<ServerStatus> {
        self.status().servers
    }

    /// Makes a change while this revision runs and no reload may take over another, or refuses ([`ApiError::stale`]).
    fn at_revision(
        &self,
        revision: u64,
        change: &mut dyn FnMut() -> Result<Vec<u8>, ApiError>,
    ) -> Result<Vec<u8>, ApiError>;

    /// Reads the files on disk and says what is wrong with them; changes nothing.
    fn check(&self) -> CheckOutcome;

    /// Takes the files on disk over, or with `dry_run` says what that would change.
    ///
    /// The implementation lets one reload run at a time (SIGHUP's too), compares `if_match` with the
    /// running revision inside that turn ([`ApiError::stale`]), keeps the running configuration when
    /// anything is wrong ([`ApiError::bad_configuration`]), and records `peer` and the reason.
    fn reload(&self, peer: &Peer, request: &ReloadRequest, if_match: Option<u64>) -> Result<ReloadOutcome, ApiError>;
}

/// What may be asked about tools that changed.
pub trait ToolOperations {
    /// Tools that are not what they were when they were accepted.
    fn tool_changes(&self) -> ToolChanges;

    /// Accepts what a tool of a server is now.
    fn approve_tool(&self, peer: &Peer, server: &str, request: &ApproveRequest) -> Result<ApproveOutcome, ApiError>;
}

/// What may be asked about answers that are kept.
pub trait CacheOperations {
    /// Answers that are kept, of every server that has a cache.
    fn caches(&self) -> Caches;

    /// Forgets the answers of a server, or with `dry_run` says how many that would be.
    fn clear_cache(&self, peer: &Peer, server: &str, request: &ClearRequest) -> Result<ClearOutcome, ApiError>;
}

/// What may be asked about what users allowed clients.
pub trait GrantOperations {
    /// What users allowed, without their tokens.
    fn grants(&self) -> GrantsView;

    /// Forgets what a user allowed a client at a server, or with `dry_run` says whether there is anything.
    fn revoke_grant(&self, server: &str, request: &RevokeRequest) -> Result<RevokeOutcome, ApiError>;
}

/// What may be asked about endpoints and their breakers.
pub trait EndpointOperations {
    /// Drains endpoints of a server, takes them into maintenance, or has them serve again.
    fn mode(&self, peer: &Peer, name: &str, mode: Mode, request: &ModeRequest) -> Result<ModeOutcome, ApiError>;

    /// Forces breakers of a server open or closed, or with [`State::Closed`] has them forget everything.
    fn breaker(
        &self,
        peer: &Peer,
        name: &str,
        wanted: State,
        request: &BreakerRequest,
    ) -> Result<BreakerOutcome, ApiError>;
}

/// What may be asked about calls, and about who makes them.
pub trait LedgerOperations {
    /// Tools that were called.
    fn tool_rows(&self, query: &TableQuery) -> Result<Tools, ApiError>;

    /// Clients that called, and all that have a key.
    fn clients(&self, query: &TableQuery) -> Result<Clients, ApiError>;

    /// Sessions.
    fn sessions(&self, query: &TableQuery) -> Result<Sessions, ApiError>;

    /// One session, by its handle, with what went on in it.
    fn session(&self, handle: &str) -> Result<SessionDetail, ApiError>;

    /// Calls in flight.
    fn calls(&self, query: &TableQuery) -> Result<Calls, ApiError>;

    /// What is known of one call.
    fn call(&self, id: &str) -> Result<CallLife, ApiError>;
}

/// What may be asked about limits.
pub trait LimitOperations {
    /// Limits with what they have counted. It looks at every key.
    fn limits(&self) -> LimitsView;

    /// Sets a limit to another value for a time, or with `dry_run` says what that would change.
    fn override_limit(&self, peer: &Peer, name: &str, request: &OverrideRequest) -> Result<OverrideOutcome, ApiError>;

    /// Takes the override of a limit away again.
    fn revert_limit(&self, peer: &Peer, name: &str, request: &RevertRequest) -> Result<OverrideOutcome, ApiError>;
}

/// Who is at the other end of an admin connection, as the kernel says: for the record only. Who may
/// connect was decided by the socket's group, which these credentials do not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// User id at the time of the connection.
    pub uid: u32,
    /// Process id, where the process is in sight.
    pub pid: Option<i32>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.uid)?;
        match self.pid {
            Some(pid) => write!(f, ", pid {pid}"),
            None => Ok(()),
        }
    }
}
