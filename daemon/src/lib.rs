//! Toolgate's daemon as a library: the gate's pipeline and what surrounds it.
//!
//! `main.rs` only picks a command. Start reading at `pipeline.rs`.

pub mod admin;
pub mod answers;
pub mod audit;
pub mod body;
pub mod call;
pub mod cgroup;
pub mod clock;
pub mod coding;
pub mod config;
pub mod core;
pub mod cores;
pub mod demo;
pub mod failure;
pub mod gate;
pub mod generator;
pub mod grants;
pub mod identity;
pub mod import;
pub mod instance;
pub mod keeper;
pub mod lifecycle;
pub mod limits;
pub mod listen;
pub mod lock;
pub mod loops;
pub mod message;
pub mod observe;
pub mod overload;
pub mod pages;
pub mod pipeline;
pub mod policy;
pub mod private;
pub mod processes;
pub mod provenance;
pub mod relay;
pub mod running;
pub mod seal;
pub mod servers;
pub mod sessions;
pub mod stages;
pub mod state;
pub mod steering;
pub mod tasks;
pub mod wire;
