//! What the daemon tells about itself.

pub mod alerts;
mod disk;
pub mod health;
pub mod history;
pub mod inquiry;
mod journal;
pub mod ledger;
pub mod logging;
pub mod metrics;
pub mod observed;
mod own;
pub mod panics;
pub mod rates;
pub mod rotated;
pub mod traces;
pub mod watch;
mod writer;

pub use observed::Observed;
pub use toolgate_admin_api::{Shown, is_unfit};
