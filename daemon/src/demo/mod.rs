//! What a newcomer plays with: a server that needs nothing installed.

pub mod server;
