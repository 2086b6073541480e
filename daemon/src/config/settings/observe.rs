//! What is watched, when somebody is told, and how much of the machine there should be.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::secret::Secret;
use super::{Endpoint, UpstreamTls};

/// `[health]`: when what the gate finds of itself is worth a look. Shares are hundredths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRules {
    /// Where health is served.
    pub path: String,
    /// Names of the gate's own checks that readiness requires.
    pub critical: Vec<String>,
    /// Bytes of memory from which on there is a warning.
    pub memory: u64,
    /// Share of the memory limit from which on the check fails.
    pub memory_share: u64,
    /// Share of the processors from which on there is a warning.
    pub cpu: u64,
    /// Share of the descriptors from which on there is a warning.
    pub descriptors: u64,
    /// How long a task that is ready may wait for its core.
    pub lag: Duration,
    /// Share of the state folder's file system from which on there is a warning.
    pub disk: u64,
    /// Share of a queue from which on there is a warning.
    pub queue: u64,
    /// How long before a certificate ends there is a warning.
    pub certificate: Duration,
    /// How long 95 of 100 calls may take, from which on there is a warning.
    pub response_time: Duration,
    /// Share of calls that fail from which on there is a warning.
    pub error_rate: u64,
}

/// `[alerts]`: when an operator is told. Shares are hundredths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRules {
    /// Where alerts are sent beside the log.
    pub webhook: Option<Webhook>,
    /// An alert that goes on is told again after this.
    pub cooldown: Duration,
    /// Share of the processors.
    pub cpu: u64,
    /// Share of the memory limit, for a warning.
    pub memory_warning: u64,
    /// Bytes of memory, for a warning.
    pub memory_bytes: Option<u64>,
    /// Share of the memory limit.
    pub memory: u64,
    /// How long 95 of 100 calls may take, for a warning.
    pub response_time_warning: Duration,
    /// How long 95 of 100 calls may take.
    pub response_time: Duration,
    /// Share of calls that fail, for a warning.
    pub error_rate_warning: u64,
    /// Share of calls that fail.
    pub error_rate: u64,
    /// Ends of instances by themselves within an hour.
    pub restarts: u64,
    /// Age of API keys.
    pub key_age: Duration,
    /// Calls of a client in a minute, as a multiple of its own hour's mean.
    pub unusual: u64,
    /// Wrong credentials in a minute.
    pub failed_authentications: u64,
}

/// Where alerts are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The URL, taken apart; it may hold a credential.
    pub endpoint: Private<Endpoint>,
    /// TLS towards it.
    pub tls: UpstreamTls,
    /// A header added to each request.
    pub bearer: Option<Secret>,
    /// Why nothing can be sent: a secret could not be had at the start.
    pub lacks: Option<String>,
}

/// A value that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Private<T>(pub T);

impl<T> std::fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// `[check.NAME]`: something that the operator has the gate look after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCheck {
    /// The table's name.
    pub name: String,
    /// What is looked at.
    pub subject: Subject,
    /// Between two looks.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// Readiness requires it.
    pub critical: bool,
}

/// What a check looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A URL that answers GET with a status below 400.
    Url(Arc<Endpoint>, UpstreamTls),
    /// A port that takes connections.
    Tcp {
        /// Name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A file that is there and was written of late.
    File {
        /// Which.
        path: PathBuf,
        /// How long ago it may have been written; absent: at any time.
        max_age: Option<Duration>,
    },
}

/// `[scaling]`: how much of the machines' load is aimed at. Shares are hundredths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaling {
    /// Machines that there are.
    pub replicas: u32,
    /// The fewest.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// Share of the processors to aim at.
    pub cpu: u64,
    /// Share of the memory to aim at.
    pub memory: u64,
    /// Between a step and a step up.
    pub up_cooldown: Duration,
    /// Between a step and a step down.
    pub down_cooldown: Duration,
}
