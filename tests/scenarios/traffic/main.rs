//! What bounds clients, and what clients are told of it.

mod limits;
mod loops;
mod overrides;
