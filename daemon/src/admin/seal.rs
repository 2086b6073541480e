//! Sealing keys, as the admin sockets ask the daemon for them.

use toolgate_admin_api::{ApiError, SealKeys, SealRotate, SealRotation};

/// What may be asked about sealing keys. No key itself is ever told.
pub trait SealOperations {
    /// Which keys seal and open.
    fn seal_keys(&self) -> SealKeys;

    /// Has a fresh key seal from now on.
    fn rotate_seal(&self, request: &SealRotate) -> Result<SealRotation, ApiError>;
}
