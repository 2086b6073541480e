//! What commands print on standard output.
//!
//! Text from the daemon may come from clients and servers: it passes [`Shown`] before a terminal
//! sees it. A reader that went away (`toolgate status | head -1`) is no error.

use std::io::{self, Write};

use serde::Serialize;
use toolgate_admin_api::{ConfigProblem, Severity, Shown, is_unfit};

/// Prints one line.
pub(crate) fn line(text: &str) {
    raw(text.as_bytes());
    raw(b"\n");
}

/// Prints a value for programs, on one line.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => line(&text),
        Err(error) => eprintln!("toolgate: The answer cannot be written as JSON: {error}."),
    }
}

/// A line of untrusted text of any length: what would steer a terminal is escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unfit(character) && character != '\t' {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// One word for a POSIX shell.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Prints bytes as they are.
pub(crate) fn raw(bytes: &[u8]) {
    let mut output = io::stdout().lock();
    let written = output.write_all(bytes).and_then(|()| output.flush());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        eprintln!("toolgate: Standard output cannot be written: {error}.");
    }
}

/// A problem of the configuration as people read it.
pub(crate) fn problem(problem: &ConfigProblem) -> String {
    if let Some(report) = &problem.report {
        let lines: Vec<_> = report.lines().map(|line| Shown(line).to_string()).collect();
        return lines.join("\n");
    }
    let word = if problem.severity == Severity::Warning { "warning" } else { "error" };
    let place = match (&problem.file, problem.line, problem.column) {
        (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}: "),
        (Some(file), Some(line), None) => format!("{file}:{line}: "),
        (Some(file), None, _) => format!("{file}: "),
        (None, ..) => String::new(),
    };
    let remedy = problem.remedy.as_deref().map(|text| format!("\n  {}", Shown(text)));
    format!("{}{word}: {}{}", Shown(&place), Shown(&problem.message), remedy.unwrap_or_default())
}

/// Columns of equal width, two spaces between them; the last one is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_shell_stays_one_word() {
        assert_eq!(shell_word("https://gate:8443/mcp"), "https://gate:8443/mcp");
        assert_eq!(shell_word("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".into(), "bb".into()], vec!["ccc".into(), "d".into()]];
        assert_eq!(table(&rows), "a    bb\nccc  d\n");
    }

    #[test]
    fn a_problem_names_its_place_and_its_remedy() {
        let said = ConfigProblem {
            severity: Severity::Error,
            message: "Unknown key.".into(),
            remedy: Some("Write timeout.".into()),
            file: Some("a.toml".into()),
            line: Some(3),
            column: Some(1),
            key: None,
            report: None,
        };
        assert_eq!(problem(&said), "a.toml:3:1: error: Unknown key.\n  Write timeout.");
        let reported = ConfigProblem { report: Some("one\n  tw\u{1b}o".into()), ..said };
        assert_eq!(problem(&reported), "one\n  tw\\u{1b}o");
    }
}
