//! From start to end: what a start serves, signals, what systemd is told, reload, drain, and the watchdog.

mod approvals;
mod boot;
mod caches;
pub mod daemon;
mod endpoints;
mod health;
mod history;
mod instances;
mod ledger;
mod limits;
pub mod notify;
mod offer;
mod past;
mod pulse;
mod queues;
mod refused;
pub mod run;
mod sampled;
pub mod shutdown;
pub mod signals;
mod status;
mod steer;
pub mod sweep;
mod units;
mod values;
pub mod watchdog;
mod watched;
