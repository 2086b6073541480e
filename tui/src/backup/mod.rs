//! Backups: what of a gate is kept, in one file that is whole or refused.
//!
//! [`parts`] says what belongs into one ([`log`] of the audit log), [`archive`] how it lies there, [`envelope`] how it is sealed. `commands/backup`
//! makes, verifies and restores them. Nothing of a file is believed before all of it was verified.

pub(crate) mod archive;
pub(crate) mod envelope;
mod log;
pub(crate) mod parts;
pub(crate) mod state;
