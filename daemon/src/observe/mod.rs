//! What the daemon tells about itself.

pub mod logging;
pub mod shown;
mod writer;

pub use shown::Shown;
