//! `unruly [--ignore-eof] [--leave-behind]`: a small MCP server over stdio with the bad habits of real ones.
//!
//! `--ignore-eof` runs on when its input ends; `--leave-behind` starts a program in a session of its own, which
//! nobody asked to end. The tool `pid` tells its process id, so that a test can kill it; `hang` is never answered.
//! `--exit` ends before it is asked, `--silent` never answers, `--garbage` says much that is no message before each answer,
//! `--endless` answers calls with a line that has no end. `--hostile` puts what steers terminals, and far too much of
//! it, into all that it says; `--refuse` will not be introduced, and says so likewise. `--leak` keeps 16 MB of each call,
//! and complains on stderr.

use std::io::{self, BufRead, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use toolgate_tests::hostile;

fn main() -> io::Result<()> {
    let habits: Vec<String> = std::env::args().skip(1).collect();
    let has = |habit: &str| habits.iter().any(|given| given == habit);
    if has("--leave-behind") {
        // Nobody waits for it: that is the habit.
        let _left = Command::new("setsid").args(["sleep", "600"]).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    }
    if has("--hostile") {
        hostile::greet()?;
    }
    if has("--exit") {
        return Err(io::Error::other("there is nothing to serve"));
    }
    let mut kept = Vec::new();
    for line in io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line?).map_err(io::Error::other)?;
        if has("--leak") && message["method"] == "tools/call" {
            // Written to, or the kernel gives no memory for it.
            kept.push(vec![1_u8; 16_000_000]);
            writeln!(io::stderr(), "cache: {} results kept, none let go", kept.len())?;
        }
        let answered = if has("--hostile") { hostile::answer(&message, has("--refuse")) } else { answer(&message) };
        if has("--endless") && message["method"] == "tools/call" {
            endless()?;
        }
        if has("--garbage") {
            io::stdout().write_all(b"Listening on stdio ...\n\xff\xfe\n{\"jsonrpc\": \n\n")?;
            writeln!(io::stdout(), "{}", "x".repeat(100_000))?;
        }
        if let Some(answer) = answered.filter(|_| !has("--silent")) {
            writeln!(io::stdout(), "{answer}")?;
        }
    }
    while has("--ignore-eof") {
        std::thread::sleep(Duration::from_secs(60));
    }
    Ok(())
}

/// Until nobody reads any more.
fn endless() -> io::Result<()> {
    let (mut out, piece) = (io::stdout().lock(), vec![b'x'; 65536]);
    loop {
        out.write_all(&piece)?;
    }
}

fn answer(message: &Value) -> Option<Value> {
    let id = message.get("id")?;
    let result = match message["method"].as_str()? {
        "initialize" => json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": "unruly", "version": "1"}}),
        "tools/list" => {
            json!({"tools": [
                {"name": "pid", "description": "Its process id", "inputSchema": {"type": "object"}},
                {"name": "hang", "description": "Never answers", "inputSchema": {"type": "object"}},
            ]})
        }
        "tools/call" if message["params"]["name"] == "hang" => return None,
        "tools/call" => {
            json!({"content": [{"type": "text", "text": std::process::id().to_string()}]})
        }
        "ping" => json!({}),
        _ => {
            let error = json!({"code": -32601, "message": "Method not found"});
            return Some(json!({"jsonrpc": "2.0", "id": id, "error": error}));
        }
    };
    Some(json!({"jsonrpc": "2.0", "id": id, "result": result}))
}
