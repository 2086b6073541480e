//! MCP servers behind the gate: how they are reached, pooled and waited for.

pub mod http;
pub mod queue;
