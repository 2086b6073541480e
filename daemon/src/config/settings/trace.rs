//! Where traces of calls go, and of which calls.

use std::time::Duration;

use toolgate_protocol::trace::Share;

use super::super::secret::Secret;
use super::{Endpoint, UpstreamTls};

/// `[trace]`: calls that are told to a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The collector, with the path that takes traces.
    pub endpoint: Endpoint,
    /// Headers of every request to it.
    pub headers: Vec<(String, Secret)>,
    /// TLS towards it.
    pub tls: UpstreamTls,
    /// Why nothing can be sent: a secret could not be had at the start.
    pub lacks: Option<String>,
    /// Of calls whose caller does not decide.
    pub sample: Share,
    /// Whether a caller decides.
    pub trust_parent: bool,
    /// What the gate is called.
    pub service: String,
    /// How long the collector may take.
    pub timeout: Duration,
    /// Between two deliveries.
    pub interval: Duration,
    /// Calls of one delivery.
    pub batch: usize,
    /// Calls that wait.
    pub queue: usize,
}
