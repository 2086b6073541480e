//! What scenarios, peers and benchmarks share: certificates, a gate as a process, MCP over raw HTTP.
//!
//! Used by `tests/scenarios`, by the binaries of this crate, and by nothing that is shipped.
//! Talks to loopback only, and knows the gate by its command line and its sockets alone.

pub mod caller;
pub mod callers;
pub mod certificates;
pub mod client_ca;
pub mod collector;
pub mod counter;
pub mod door;
pub mod fake;
pub mod faulty;
pub mod framing;
pub mod gate;
pub mod h2;
pub mod hostile;
pub mod http;
pub mod issuer;
pub mod json;
pub mod keys;
pub mod lines;
pub mod load;
pub mod mcp;
pub mod multiplexing;
pub mod processes;
pub mod provider;
pub mod recorder;
pub mod site;
pub mod slow;
pub mod standin;
pub mod systemd;
pub mod wait;
pub mod webhook;
