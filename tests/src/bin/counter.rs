//! `counter`: a small MCP server over stdio that counts its calls.

use std::io;

fn main() -> io::Result<()> {
    toolgate_tests::counter::serve_lines(io::stdin().lock(), io::stdout().lock())
}
