//! What MCP means to a gateway, decided without I/O: messages, names, framing, eras, permits.
//! Called by the daemon, which does the I/O, and by the command line's bridge.
//! Must hold: no sockets, no clock, no task; time and bytes are passed in.

pub mod alerts;
pub mod backoff;
pub mod balance;
pub mod baseline;
pub mod breaker;
pub mod bridge;
pub mod busiest;
pub mod canonical;
pub mod chance;
pub mod coding;
pub mod envelope;
pub mod error;
pub mod flatten;
pub mod forwarded;
pub mod framing;
pub mod freshness;
pub mod gradient;
pub mod hashed;
pub mod header_value;
pub mod health;
pub mod history;
pub mod json;
pub mod key_text;
pub mod latency;
pub mod limiter;
pub mod list;
pub mod loops;
pub mod method;
pub mod names;
pub mod outbox;
pub mod overload;
pub mod permits;
pub mod pins;
pub mod proxy_protocol;
pub mod replay;
pub mod retry;
pub mod revision;
pub mod scaling;
pub mod spaced;
pub mod splice;
pub mod sse;
pub mod tool_result;
pub mod verdict;
