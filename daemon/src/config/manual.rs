//! The table of keys as the documentation shows it.
//!
//! A test compares it with what is committed, so that the documentation cannot fall behind the
//! checker.

use std::fmt::Write as _;

use super::keys::{Effect, KEYS, Key};

/// One Markdown table per section, in the order of the manual.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::new();
    let mut last = "";
    for key in KEYS {
        let section = section(key);
        if section != last {
            let _ = write!(
                text,
                "\n### {}\n\n| key | value | default | in effect | meaning |\n|---|---|---|---|---|\n",
                heading(section)
            );
            last = section;
        }
        row(key, &mut text);
    }
    text
}

fn row(key: &Key, text: &mut String) {
    let path = key.path.replace(".*", ".NAME");
    let default = key.default.map_or_else(String::new, |default| format!("`{default}`"));
    let value = key.kind.describe();
    let cells = [format!("`{path}`"), value, default, effect(key.effect).to_owned(), key.doc.to_owned()];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// The first name of a path; an element of the list of limits belongs to the limits.
fn section(key: &Key) -> &'static str {
    let first = key.path.split('.').next().unwrap_or(key.path);
    first.trim_end_matches("[]")
}

fn heading(section: &str) -> String {
    match section {
        "version" => "The file".to_owned(),
        "daemon" | "log" => format!("`[{section}]`"),
        "limit" => "`[[limit]]`, and `limits` of listeners, servers and tiers".to_owned(),
        named => format!("`[{named}.NAME]`"),
    }
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Live => "next call",
        Effect::NewConnections => "new connections",
        Effect::Server => "server starts anew",
        Effect::Restart => "restart",
        Effect::Later => "not yet",
    }
}
