//! Toolgate's daemon as a library: the gate's pipeline and what surrounds it.
//!
//! `main.rs` only picks a command. Start reading at `pipeline.rs`.

pub mod admin;
pub mod config;
pub mod observe;
