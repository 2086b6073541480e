//! What may be asked about health, alerts and certificates.

use toolgate_admin_api::{AlertOutcome, ApiError, Certificates, Change, Health, SilenceRequest};

use super::operations::Peer;

/// What may be asked about health, alerts and certificates.
pub trait HealthOperations {
    /// Checks, alerts, advice, and the process.
    fn health(&self) -> Health;

    /// Certificates of all listeners.
    fn certificates(&self) -> Certificates;

    /// Somebody has seen an alert: until it gets worse or is over it is not told again.
    fn acknowledge(&self, peer: &Peer, id: &str, request: &Change) -> Result<AlertOutcome, ApiError>;

    /// An alert is not told for a while.
    fn silence(&self, id: &str, request: &SilenceRequest) -> Result<AlertOutcome, ApiError>;
}
