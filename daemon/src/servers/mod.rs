//! The MCP servers behind the gate, as the front sees them.
//!
//! The pipeline asks here for a way to a server. Nothing in this folder executes a program.

pub mod stdio;
