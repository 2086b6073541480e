//! What MCP and HTTP mean to a gateway, decided without I/O, clocks or tasks.

pub mod framing;
