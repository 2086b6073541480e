//! What operators may do by hand, as the admin sockets ask it of the daemon.

use toolgate_admin_api::{
    ApiError, Audit, AuditLines, AuditRecord, AuditVerdict, CancelOutcome, Change, CheckRequest, ChecksOutcome,
    ClientOutcome, DisableRequest, EnableRequest, EndMatching, EndOutcome, ExplainQuery, Explained, LogOutcome,
    LogRequest, OverrideOutcome, PurgeRequest, QueueOutcome, QueueOverride, SuspendRequest, TemporaryLimit,
    ToolOutcome, WeightOutcome, WeightRequest,
};

use super::operations::Peer;
use crate::audit::Query;

/// The record of changes.
pub trait AuditOperations {
    /// Adds what somebody did, or tried to.
    fn record(&self, record: AuditRecord);

    /// The newest records.
    fn audit(&self, most: usize) -> Audit;

    /// Lines of the audit log that fit. It reads files.
    fn search_audit(&self, query: &Query) -> Result<AuditLines, ApiError>;

    /// Whether the audit log is as it was written. It reads all of it.
    fn verify_audit(&self) -> Result<AuditVerdict, ApiError>;
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

    /// Ends a call.
    fn cancel(&self, id: &str, request: &Change) -> Result<CancelOutcome, ApiError>;

    /// Switches a tool off.
    fn disable_tool(&self, peer: &Peer, server: &str, request: &DisableRequest) -> Result<ToolOutcome, ApiError>;

    /// Switches it on again.
    fn enable_tool(&self, server: &str, request: &EnableRequest) -> Result<ToolOutcome, ApiError>;

    /// Bounds a queue otherwise for a time.
    fn override_queue(&self, server: &str, request: &QueueOverride) -> Result<QueueOutcome, ApiError>;

    /// Gives it its configured bounds back.
    fn revert_queue(&self, server: &str, request: &Change) -> Result<QueueOutcome, ApiError>;

    /// Takes calls out of a queue.
    fn purge_queue(&self, server: &str, request: &PurgeRequest) -> Result<QueueOutcome, ApiError>;

    /// Gives an endpoint another weight.
    fn weigh(&self, peer: &Peer, server: &str, request: &WeightRequest) -> Result<WeightOutcome, ApiError>;

    /// Checks endpoints. It waits for them, ten seconds at most.
    fn check_now(&self, server: &str, request: &CheckRequest) -> Result<ChecksOutcome, ApiError>;

    /// Adds a limit for a client, a tool or both, for a time.
    fn add_limit(&self, peer: &Peer, request: &TemporaryLimit) -> Result<OverrideOutcome, ApiError>;

    /// Which limits a call would meet.
    fn explain(&self, asked: &ExplainQuery) -> Result<Explained, ApiError>;

    /// Sets the level of the log.
    fn set_log(&self, request: &LogRequest) -> Result<LogOutcome, ApiError>;
}
