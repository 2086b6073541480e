//! What a client sees of servers through the gate: each sentence over every path that it holds for.
//!
//! A stage is one gate before scriptable servers over HTTP and stdio; `legacy`, `modern`, `merged`,
//! `asking`, `failures` and `door` play clients on it.

mod aliases;
mod anew;
mod announced;
mod asking;
mod batches;
mod crossing;
mod door;
mod failures;
mod legacy;
mod merged;
mod modern;
mod places;
mod resuming;
mod sessions;
mod spares;
mod sse;
mod stage;
mod tasks;
