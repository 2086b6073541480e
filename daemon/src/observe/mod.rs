//! What the daemon tells about itself.

pub mod history;
pub mod ledger;
pub mod logging;
pub mod panics;
mod writer;

pub use toolgate_admin_api::{Shown, is_unfit};
