//! From start to end: signals, what systemd is told, the watchdog, and the orderly end.

pub mod notify;
pub mod shutdown;
pub mod signals;
pub mod watchdog;
