//! Talking to daemons: the admin sockets of this machine, and gates over HTTP and HTTPS.
//!
//! Commands and the console use this and nothing else. Every wait has a deadline, every failure
//! names what was tried and what to do.

pub(crate) mod admin;
pub(crate) mod connection;
pub(crate) mod tls;
pub(crate) mod url;
