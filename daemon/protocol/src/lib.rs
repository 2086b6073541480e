//! What MCP means to a gateway, decided without I/O.
//!
//! Used by the daemon. Nothing here reads a clock, a socket or a file: time is passed in.

pub mod permits;
