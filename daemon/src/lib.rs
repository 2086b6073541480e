//! Toolgate's daemon as a library: the gate's pipeline and what surrounds it.
//!
//! `main.rs` only picks a command. Start reading at `pipeline.rs`.

pub mod body;
pub mod config;
pub mod servers;
pub mod core;
pub mod cores;
pub mod lifecycle;
pub mod listen;
pub mod pipeline;
pub mod demo;
pub mod instance;
pub mod keeper;
pub mod servers;
pub mod admin;
pub mod config;
pub mod observe;
