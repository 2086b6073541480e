//! A day of an operator: servers come and go, files are broken and mended, and the past is there to go back to.

mod boot;
mod keys;
mod mutations;
mod past;
mod replaced;
mod servers;
mod trying;

/// A server that nobody calls; it stands for a change.
fn server(number: usize) -> String {
    format!("[server.s{number}]\nendpoints = \"http://127.0.0.1:1/mcp\"\nmax_calls = {number}\n")
}
