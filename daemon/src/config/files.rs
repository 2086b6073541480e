//! The files of a configuration: the main file, and `conf.d/*.toml` beside it in name order.
//!
//! A file that cannot be read or parsed costs its own values only; the others are checked all the
//! same. What two files both say is a problem that names both places.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::problem::{Problem, Report, Severity};
use super::source::Place;
use super::tree::{self, Entry, Table, Value};

/// Sections whose entries are whole things: one of them is written in one file.
const NAMED: &[&str] = &["listener", "server", "profile", "key", "tier", "organisation"];

/// What is kept of a broken file, by its text and the index of its source.
pub(super) type Keep<'a> = &'a dyn Fn(&str, usize) -> Table;

/// What recovery guessed of a broken file would only raise problems that nobody wrote.
const NOTHING: Keep<'_> = &|_, _| Table::default();

/// Reads all files into one tree.
pub(super) fn read(path: &Path, report: &mut Report) -> Table {
    read_keeping(path, NOTHING, report)
}

/// The same, with what is to be kept of a broken file.
pub(super) fn read_keeping(path: &Path, keep: Keep<'_>, report: &mut Report) -> Table {
    let mut tree = read_one(path, keep, report).unwrap_or_default();
    check_version(&tree, path, report);
    for path in drop_ins(path, report) {
        if let Some(more) = read_one(&path, keep, report) {
            merge(&mut tree, more, report);
        }
    }
    tree
}

/// Reads files whose texts are given, the main file first, as [`read`] reads those of the disk.
pub(super) fn read_texts(files: &[(PathBuf, &str)], report: &mut Report) -> Table {
    let mut tree = Table::default();
    for (index, (path, text)) in files.iter().enumerate() {
        let more = parse_one(path, text, NOTHING, report);
        if index == 0 {
            tree = more;
            check_version(&tree, path, report);
        } else {
            merge(&mut tree, more, report);
        }
    }
    tree
}

/// The state folder that the main file names, also where the file as a whole cannot be used: read line
/// by line, since one open bracket makes a single value of all that follows.
pub(super) fn state_dir_of(path: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (key, _) = line.split_once('=')?;
        if !matches!(key.trim(), "state_dir" | "daemon.state_dir") {
            return None;
        }
        let (table, errors) = DeTable::parse_recoverable(line);
        let tree = tree::from_toml(table.get_ref(), 0);
        let value = tree.get("state_dir").or_else(|| tree.get("daemon")?.table()?.get("state_dir"))?;
        value.text().filter(|_| errors.is_empty()).map(PathBuf::from)
    })
}

/// Parses a text as if it were the main file.
pub(super) fn parse(path: &Path, text: &str, report: &mut Report) -> Table {
    let tree = parse_one(path, text, NOTHING, report);
    check_version(&tree, path, report);
    tree
}

fn drop_ins(path: &Path, report: &mut Report) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("")).join("conf.d");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            report.push(unreadable(&folder, &error));
            return Vec::new();
        }
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        !hidden && path.extension().is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    paths
}

fn read_one(path: &Path, keep: Keep<'_>, report: &mut Report) -> Option<Table> {
    let bytes = match read_file(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            report.push(unreadable(path, &error));
            return None;
        }
    };
    let table = match String::from_utf8(bytes) {
        Ok(text) => parse_one(path, &text, keep, report),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = report.sources.add(path, text.clone());
            let place = Place { source, start: at, end: at };
            report.push(Problem::error("syntax", place, "this byte is no UTF-8", "save the file as UTF-8"));
            keep(&text, source)
        }
    };
    report.sources.set_mode(std::fs::metadata(path).ok().map(|file| file.permissions().mode() & 0o7777));
    Some(table)
}

/// A pipe or a device could keep its reader waiting for ever, at the start of the machine too.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    std::fs::read(path)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    let help = match error.kind() {
        std::io::ErrorKind::NotFound => "create the file, or name another with --config",
        std::io::ErrorKind::PermissionDenied => "let the user of the daemon read it: `chgrp toolgate` and `chmod g+r`",
        _ => "see that it is a readable file",
    };
    Problem {
        severity: Severity::Error,
        code: "unreadable-file",
        place: None,
        message: format!("{} cannot be read: {error}", path.display()),
        help: help.into(),
        also: None,
    }
}

fn parse_one(path: &Path, text: &str, keep: Keep<'_>, report: &mut Report) -> Table {
    let (table, errors) = DeTable::parse_recoverable(text);
    let source = report.sources.add(path, text.to_owned());
    let mut lines = Vec::new();
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let place = Place { source, start: span.start, end: span.end };
        let line = report.sources.position(place).0;
        // What follows on the line of an error is mostly that error's echo.
        if lines.contains(&line) {
            continue;
        }
        lines.push(line);
        report.push(Problem::error(
            "syntax",
            place,
            error.message().to_owned(),
            "see https://toml.io for how TOML is written",
        ));
    }
    if errors.is_empty() { tree::from_toml(table.get_ref(), source) } else { keep(text, source) }
}

fn check_version(tree: &Table, path: &Path, report: &mut Report) {
    let failed = report.problems.iter().any(|problem| matches!(problem.code, "syntax" | "unreadable-file"));
    if tree.get("version").is_some() || failed {
        return;
    }
    let place = Place { source: 0, start: 0, end: 0 };
    report.push(Problem::error(
        "missing-key",
        place,
        format!("{} does not say its version", path.display()),
        "begin the file with `version = 1`",
    ));
}

/// Adds the entries of a further file.
fn merge(tree: &mut Table, more: Table, report: &mut Report) {
    merge_at(tree, more, "", report);
}

fn merge_at(tree: &mut Table, more: Table, section: &str, report: &mut Report) {
    for entry in more.entries {
        let Some(known) = tree.entries.iter_mut().find(|known| known.key == entry.key) else {
            tree.entries.push(entry);
            continue;
        };
        let whole = NAMED.contains(&section);
        match (&mut known.node.value, entry.node.value) {
            (Value::Table(first), Value::Table(second)) if !whole => {
                let path = if section.is_empty() { entry.key } else { format!("{section}.{}", entry.key) };
                merge_at(first, second, &path, report);
            }
            (Value::List(first), Value::List(second)) if section.is_empty() && entry.key == "limit" => {
                first.extend(second);
            }
            (_, _) => report.push(twice(known, &entry.key, entry.key_place, section)),
        }
    }
}

fn twice(known: &Entry, key: &str, place: Place, section: &str) -> Problem {
    let what = if section.is_empty() { format!("`{key}`") } else { format!("`{section}.{key}`") };
    Problem::error(
        "written-twice",
        place,
        format!("{what} is written in two files"),
        "keep one of the two, or rename one",
    )
    .also(known.key_place, "first written here")
}
