//! The table of keys as documentation shows it: a page in Markdown, and toolgate.toml(5).
//!
//! Tests compare both with the table, so that neither can fall behind the checker.

use std::fmt::Write as _;

use super::keys::{KEYS, Key};
use super::presets::PRESETS;

/// The keys of one part of the file.
#[derive(Debug)]
pub struct Section {
    /// In Markdown: what is to be typed stands in backquotes.
    pub heading: String,
    /// In the order of the manual.
    pub rows: Vec<Row>,
}

/// One key, in words.
#[derive(Debug)]
pub struct Row {
    /// As it is written, with `NAME` where the operator chooses.
    pub path: String,
    /// What may be written.
    pub value: String,
    /// In TOML; absent: nothing is set.
    pub default: Option<&'static str>,
    /// When a change takes effect.
    pub effect: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// Every key, by sections.
#[must_use]
pub fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut last = "";
    for key in KEYS {
        let name = section(key);
        if name != last || sections.is_empty() {
            sections.push(Section { heading: heading(name), rows: Vec::new() });
            last = name;
        }
        if let Some(section) = sections.last_mut() {
            section.rows.push(row(key));
        }
    }
    sections
}

/// One Markdown table per section.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::new();
    for section in sections() {
        let _ = write!(
            text,
            "\n### {}\n\n| key | value | default | in effect | meaning |\n|---|---|---|---|---|\n",
            section.heading
        );
        for row in section.rows {
            let default = row.default.map_or_else(String::new, |default| format!("`{default}`"));
            let cells = [format!("`{}`", row.path), row.value, default, row.effect.to_owned(), row.doc.to_owned()];
            let cells = cells.map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text
}

/// What each preset sets, as a Markdown table.
#[must_use]
pub fn presets() -> String {
    let names = PRESETS.iter().map(|preset| format!("`{}`", preset.name)).collect::<Vec<_>>().join(" | ");
    let mut text = format!("\n| key | default | {names} |\n|---|---|{}\n", "---|".repeat(PRESETS.len()));
    for key in KEYS.iter().filter(|key| PRESETS.iter().any(|preset| preset.value(key.path).is_some())) {
        let values = [key.default].into_iter().chain(PRESETS.iter().map(|preset| preset.value(key.path)));
        let cells = values.map(|value| value.map_or_else(String::new, |value| format!("`{value}`")));
        let _ = writeln!(text, "| `{}` | {} |", shown(key), cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

/// As it is written, with `NAME` where the operator chooses.
fn shown(key: &Key) -> String {
    key.path.replace(".*", ".NAME")
}

fn row(key: &Key) -> Row {
    Row { path: shown(key), value: key.kind.describe(), default: key.default, effect: key.effect.word(), doc: key.doc }
}

/// The first name of a path; an element of the list of limits belongs to the limits.
fn section(key: &Key) -> &'static str {
    let first = key.path.split('.').next().unwrap_or(key.path);
    first.trim_end_matches("[]")
}

fn heading(section: &str) -> String {
    match section {
        "version" => "The file".to_owned(),
        "limit" => "`[[limit]]`, and `limits` of listeners, servers, tiers and organisations".to_owned(),
        named if KEYS.iter().any(|key| key.path.starts_with(&format!("{named}.*"))) => format!("`[{named}.NAME]`"),
        single => format!("`[{single}]`"),
    }
}
