//! What bounds clients, and what clients are told of it.

mod connections;
mod limits;
mod loops;
mod overrides;
