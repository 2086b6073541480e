//! What operators may do by hand, as the admin sockets ask it of the daemon.

use toolgate_admin_api::{
    ApiError, Audit, AuditRecord, Change, ClientOutcome, EndMatching, EndOutcome, SuspendRequest,
};

use super::operations::Peer;

/// The record of changes.
pub trait AuditOperations {
    /// Adds what somebody did, or tried to.
    fn record(&self, record: AuditRecord);

    /// The newest records.
    fn audit(&self, most: usize) -> Audit;
}

/// Changes that somebody makes by hand.
pub trait SteerOperations {
    /// Ends a session by its handle.
    fn end_session(&self, handle: &str, request: &Change) -> Result<EndOutcome, ApiError>;

    /// Ends all sessions that fit.
    fn end_sessions(&self, request: &EndMatching) -> Result<EndOutcome, ApiError>;

    /// Lets a client do nothing.
    fn suspend(&self, peer: &Peer, client: &str, request: &SuspendRequest) -> Result<ClientOutcome, ApiError>;

    /// Lets it call again.
    fn resume_client(&self, client: &str, request: &Change) -> Result<ClientOutcome, ApiError>;
}
