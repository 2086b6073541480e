//! Servers that speak lines on stdin and stdout, each behind a Unix socket.
//!
//! To connect is to start an instance; whoever listens there (systemd, the keeper) starts it.

mod calls;
pub mod connection;
mod delivery;
pub mod instances;
pub mod link;
mod reader;
mod spares;
mod writer;
