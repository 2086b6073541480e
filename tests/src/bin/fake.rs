//! `fake RECORD ERAS`: the scriptable MCP server on stdin and stdout; writes down what reaches it.

use std::path::PathBuf;

use clap::Parser;
use toolgate_tests::fake::{Speaks, stdio};

#[derive(Parser)]
struct Arguments {
    /// Where to write down what arrives
    record: PathBuf,
    /// Which eras to speak
    speaks: Speaks,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    stdio::serve(&arguments.record, arguments.speaks).await;
    // Reads of stdin go on in a thread that nothing ends.
    std::process::exit(0);
}
