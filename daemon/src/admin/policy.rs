//! What may be asked about who may do what.

use toolgate_admin_api::{ApiError, PolicyExplained, PolicyQuery};

/// Decisions that would be made.
pub trait PolicyOperations {
    /// What would be decided of a call, and by which rule.
    fn explain_policy(&self, query: &PolicyQuery) -> Result<PolicyExplained, ApiError>;
}
