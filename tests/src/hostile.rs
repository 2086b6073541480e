//! A server whose every word is meant for the terminal of whoever reads it.
//!
//! The binary `unruly` speaks it with `--hostile`; a scenario looks for what of it comes out where an operator reads.

use std::io::{self, Write};

use serde_json::{Value, json};

/// Clears the screen, changes the title, turns the direction of text, rings; and a word to find it by.
pub const WORDS: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{2066}\u{2028}\u{7f}\r\nhostile";

/// Whether a character may stand in what an operator reads.
#[must_use]
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// What it says before it is asked: on stderr, and on stdout as garbage and as if it were the wrapper.
pub fn greet() -> io::Result<()> {
    let long = "z".repeat(100_000);
    writeln!(io::stderr(), "{WORDS}{long}")?;
    writeln!(io::stdout(), "\u{1b}[2Jgarbage{long}")?;
    let exit = json!({"cause": "failed", "error": format!("{WORDS}{long}"), "stderr": [WORDS]});
    writeln!(io::stdout(), "\0{exit}")
}

/// Answers a message, or refuses to be introduced.
#[must_use]
pub fn answer(message: &Value, refuse: bool) -> Option<Value> {
    let id = message.get("id")?;
    let long = format!("{WORDS}{}", "n".repeat(5000));
    let method = message["method"].as_str()?;
    if refuse || !matches!(method, "initialize" | "tools/list" | "tools/call" | "ping") {
        let error = json!({"code": -32601, "message": long, "data": long});
        return Some(json!({"jsonrpc": "2.0", "id": id, "error": error}));
    }
    let result = match method {
        "initialize" => json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": long, "version": WORDS, "title": long}, "instructions": long}),
        "tools/list" => {
            let tool = |name: &str| json!({"name": name, "description": long, "inputSchema": {"type": "object"}});
            let many = (0..500).map(|number| tool(&format!("{long}{number}")));
            json!({"tools": many.chain([tool("a"), tool("a"), tool(WORDS)]).collect::<Vec<_>>()})
        }
        // It ends in the middle of a call, with last words.
        "tools/call" => {
            eprintln!("{long}");
            std::process::exit(1);
        }
        _ => json!({}),
    };
    Some(json!({"jsonrpc": "2.0", "id": id, "result": result}))
}
