//! What MCP means to a gateway, decided without I/O: messages, names, framing and eras.
//! Called by the daemon, which does the I/O, and by the console's bridge.
//! Must hold: no sockets, no clock, no task; time and bytes are passed in.

pub mod envelope;
pub mod error;
pub mod flatten;
pub mod header_value;
pub mod json;
pub mod list;
pub mod method;
pub mod names;
pub mod revision;
pub mod splice;
pub mod sse;
