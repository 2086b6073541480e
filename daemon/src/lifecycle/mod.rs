//! From start to end: signals, what systemd is told, reload, drain, and the watchdog.

pub mod daemon;
pub mod notify;
pub mod run;
pub mod shutdown;
pub mod signals;
mod status;
pub mod sweep;
pub mod watchdog;
