//! The stages of a call, one file each, in the order of `pipeline`.

pub mod ending;
pub mod forward;
pub mod identify;
pub mod limit;
pub mod queue;
pub mod read;
pub mod record;
pub mod secure;
pub mod session;
