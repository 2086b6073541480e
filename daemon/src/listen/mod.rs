//! The front door: sockets, TLS, and HTTP up to the point where a request is whole.
//!
//! `run` opens the listeners and hands them the cores; each request ends up in
//! [`pipeline::serve`](crate::pipeline::serve). No bytes reach hyper that the framing guard refuses.

pub mod accept;
pub mod admission;
pub mod bind;
pub mod canary;
pub mod certified;
pub mod connection;
pub mod deadlines;
pub mod drain;
#[cfg(test)]
pub(crate) mod fixture;
pub mod framing;
mod held;
pub mod holders;
mod http1;
mod http2;
pub mod listeners;
pub mod open;
mod owed;
mod proxied;
pub mod refuse;
pub mod renewal;
pub mod service;
mod shared;
#[cfg(test)]
mod tests;
pub mod tls;

pub use listeners::Listeners;
