//! The wire types of the admin sockets, shared by the daemon and `toolgate`.
//!
//! The daemon's `admin` module writes them, `tui/src/client` reads them. `/v1` only grows: readers
//! ignore fields and accept enum words that they do not know; requests with unknown fields are refused.

pub mod audit;
pub mod cache;
pub mod calls;
pub mod clients;
pub mod config;
pub mod endpoints;
pub mod error;
pub mod exit;
pub mod grants;
pub mod health;
pub mod history;
pub mod instances;
pub mod keys;
pub mod limits;
pub mod paths;
pub mod policy;
pub mod queues;
pub mod seal;
pub mod sessions;
pub mod shown;
pub mod status;
pub mod steer;
pub mod tools;
pub mod traffic;
pub mod watch;

pub use audit::{Audit, AuditFinding, AuditLine, AuditLines, AuditRecord, AuditVerdict};
pub use cache::{CacheStatus, Caches, ClearOutcome, ClearRequest};
pub use calls::{CallLife, CallRow, Calls, CancelOutcome, RequestLine, TailLine};
pub use clients::{Busiest, ClientOutcome, ClientRow, Clients, SuspendRequest, Suspension};
pub use config::{CheckOutcome, ConfigProblem, ConfigValue, ConfigView, ReloadOutcome, ReloadRequest, Severity};
pub use endpoints::{
    BreakerOutcome, BreakerRequest, BreakerState, BreakerStatus, CheckStatus, EndpointMode, EndpointStatus, HeldByHand,
    ModeOutcome, ModeRequest,
};
pub use error::{ApiError, ErrorCode};
pub use exit::Exit;
pub use grants::{GrantRow, GrantsView, RevokeOutcome, RevokeRequest};
pub use health::{
    Advice, Alert, AlertOutcome, Alerts, Certificate, Certificates, Check, Health, Process, SilenceRequest,
};
pub use history::{Accepted, FileText, HistoryView, Revision};
pub use instances::{Instance, InstanceEnd, InstanceRole, Instances, RestartOutcome, RestartRequest};
pub use keys::{
    ImportRequest, KeyImport, KeyMade, KeyOutcome, KeyRequest, KeyRow, KeyState, Keys, KeysOutcome, RotateRequest,
};
pub use limits::{LimitKey, LimitOverride, LimitStatus, LimitsView, OverrideOutcome, OverrideRequest, RevertRequest};
pub use paths::Socket;
pub use policy::{PolicyCondition, PolicyExplained, PolicyQuery};
pub use queues::{AdaptiveStatus, OverloadStatus, QueueStatus, QueuedCall, QueuedTier, Queues};
pub use seal::{SealKeyRow, SealKeys, SealRotate, SealRotation};
pub use sessions::{EndMatching, EndOutcome, SessionDetail, SessionEvent, SessionRow, Sessions};
pub use shown::{Shown, is_unfit};
pub use status::{Era, ListenerStatus, PoolStatus, ServerState, ServerStatus, Status, Transport, Version};
pub use steer::{
    Change, CheckRequest, ChecksOutcome, DisableRequest, EnableRequest, ExplainQuery, Explained, ExplainedLimit,
    LogOutcome, LogRequest, PurgeRequest, QueueBounds, QueueOutcome, QueueOverride, TemporaryLimit, ToolOutcome,
    WeightOutcome, WeightRequest,
};
pub use tools::{ApproveOutcome, ApproveRequest, ServerTools, ServerTrouble, Tool, ToolChange, ToolChanges};
pub use traffic::{Percentiles, Phases, Traffic};
pub use watch::{
    Caller, HEAT_BOUNDS_US, HeatColumn, Hello, History, Overview, Saturation, Series, ServerRow, ToolRow, Tools, Topic,
    WatchLine,
};

/// The newest version of the interface that this build speaks: the `1` in `/v1`.
pub const API_VERSION: u32 = 1;

/// The oldest version that this build still speaks.
pub const API_MINIMUM: u32 = 1;

/// Header of every answer: the instance id of the daemon that gave it.
pub const INSTANCE_HEADER: &str = "toolgate-instance";
