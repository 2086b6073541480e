//! What the daemon tells about itself.

pub mod logging;
mod writer;

pub use toolgate_admin_api::Shown;
