//! The audit log.
pub mod redact;
