//! Servers that speak lines on stdin and stdout, each behind a Unix socket.
//!
//! To connect is to start an instance; whoever listens there (systemd, the keeper) starts it. A server over
//! HTTP+SSE is spoken to in the same way, with a session in the place of an instance.

pub mod again;
mod calls;
pub mod connection;
mod delivery;
pub mod events;
pub mod glance;
pub mod instances;
pub mod link;
mod reader;
mod spares;
pub mod wear;
mod writer;
