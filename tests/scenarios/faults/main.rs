//! Servers that fail: breakers that open in time and close again, endpoints that take over, calls that are repeated.

mod breakers;
mod crowd;
mod endless;
mod endpoints;
mod operated;
mod repeated;
mod stage;
mod turned;
