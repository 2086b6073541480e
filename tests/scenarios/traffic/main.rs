//! What bounds clients, and what clients are told of it.

mod connections;
mod http2;
mod limits;
mod loops;
mod overrides;
