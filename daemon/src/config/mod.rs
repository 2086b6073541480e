//! The operator's configuration: read, checked, and turned into [`Settings`].
//!
//! The way of a file: `files` reads and `tree` keeps places, `overrides` adds the environment, `presets` what
//! neither says, `shape` checks against the table of `keys`, `build` checks what keys mean together. `snapshot` is
//! what was read, as the history keeps it.
//! Every step goes on after a problem, so that one run reports all of them.

mod build;
pub mod check;
pub mod diff;
pub(crate) mod dump;
mod environment;
mod files;
pub mod keys;
pub mod kind;
pub mod manual;
mod overrides;
pub mod presets;
mod problem;
mod render;
pub mod salvage;
pub mod secret;
mod section;
pub mod settings;
mod shape;
mod snapshot;
mod source;
mod tree;
pub(crate) mod units;
pub(crate) mod url;

use std::path::{Path, PathBuf};

pub use build::Parts;
pub(crate) use build::{HEADERS, HSTS};
pub use check::{CheckArgs, check};
pub use diff::{Change, Cost};
pub use dump::Effective;
pub use environment::{Environment, Scrutiny};
pub use problem::{Problem, Report, Severity};
pub use secret::Secret;
pub use settings::Settings;
pub use snapshot::Snapshot;
pub use source::{Medium, Place, Source, Sources};

/// Reads the main file and `conf.d/*.toml` beside it.
///
/// The report of a configuration that can be used holds warnings only; these are also in
/// `Settings::warnings`. `Err` holds every error and warning.
pub fn load(path: &Path, environment: &Environment) -> Result<(Settings, Report), Report> {
    let mut report = Report::default();
    let mut tree = files::read(path, &mut report);
    complete(&mut tree, environment, &mut report);
    finish(&tree, report, environment)
}

/// Reads files that were accepted before, by the texts that they had: the main file `path` and those of `conf.d` beside
/// it. Everything around them, such as secrets and certificates, is looked at as it is now.
pub fn load_snapshot(
    path: &Path,
    snapshot: &Snapshot,
    environment: &Environment,
) -> Result<(Settings, Report), Report> {
    let mut report = Report::default();
    let mut tree = files::read_texts(&snapshot.at(path), &mut report);
    complete(&mut tree, environment, &mut report);
    finish(&tree, report, environment)
}

/// Where a daemon with this main file keeps its state, also where the file cannot be used; empty: nowhere.
#[must_use]
pub fn state_dir(path: &Path, environment: &Environment) -> PathBuf {
    let named = environment.state_directory();
    let overridden = || environment.variables.get("TOOLGATE_DAEMON__STATE_DIR").map(PathBuf::from);
    named.or_else(overridden).or_else(|| files::state_dir_of(path)).unwrap_or_default()
}

/// A configuration from a text alone: no file is opened, so that certificates are not checked and
/// secrets of files, credentials and variables are empty.
pub fn from_text(text: &str) -> Result<Settings, Report> {
    let mut report = Report::default();
    let mut tree = files::parse(Path::new("toolgate.toml"), text, &mut report);
    presets::apply(&mut tree, &mut report);
    finish(&tree, report, &Environment::default()).map(|(settings, _)| settings)
}

/// Adds to what the files say what comes from elsewhere: variables go before files, files before presets.
fn complete(tree: &mut tree::Table, environment: &Environment, report: &mut Report) {
    overrides::apply(tree, environment, report);
    presets::apply(tree, report);
}

fn finish(tree: &tree::Table, mut report: Report, environment: &Environment) -> Result<(Settings, Report), Report> {
    shape::check(tree, &mut report);
    let mut settings = build::settings(tree, environment, &mut report);
    report.sort();
    if report.has_errors() {
        return Err(report);
    }
    settings.files = report.sources.files();
    settings.effective = dump::effective(tree, &report.sources);
    settings.warnings = report.problems.iter().map(|problem| report.sentence(problem)).collect();
    Ok((settings, report))
}

/// What the file of a secret holds that changed while it was in use; or why it cannot be used, as a sentence.
pub(crate) fn secret_again(path: &Path) -> Result<Secret, String> {
    build::secret_again(path)
}

/// The candidate that a typing error most likely meant.
pub(crate) fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = text.to_ascii_lowercase().replace('-', "_");
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&written, &candidate.replace('-', "_")), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The nearest text that the rule for names allows.
pub(crate) fn valid_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            '0'..='9' if name.is_empty() => name.extend(['s', c]),
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.truncate(24);
    let name = name.trim_end_matches('-');
    if name.is_empty() { "server".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_of_a_broken_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("toolgate.toml");
        let found = |text: &str| {
            std::fs::write(&main, text).unwrap();
            state_dir(&main, &Environment::default())
        };
        assert_eq!(found("[daemon]\ncores = [1\n  state_dir = '/a b'  # ours\n"), Path::new("/a b"));
        assert_eq!(found("daemon.state_dir = \"/a\"\n]"), Path::new("/a"));
        assert_eq!(found("#state_dir = \"/a\"\nstate_dir = \"/unfinished\n"), Path::new(""));
        let variables = [("STATE_DIRECTORY".to_owned(), "/x:/y".to_owned())].into();
        let environment = Environment { variables, ..Environment::default() };
        assert_eq!(state_dir(&main, &environment), Path::new("/x"));
    }

    #[test]
    fn what_is_no_utf_8_is_refused_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("toolgate.toml");
        std::fs::write(&main, b"version = 1\n# gr\xfc\xdfe\n").unwrap();
        let report = load(&main, &Environment::default()).unwrap_err();
        let sentence = report.sentence(report.problems.iter().find(|problem| problem.place.is_some()).unwrap());
        assert!(sentence.ends_with("toolgate.toml:2:5: this byte is no UTF-8; save the file as UTF-8"), "{sentence}");
    }

    #[test]
    fn reads_the_example_of_the_manual() {
        let text = include_str!("../../tests/config/valid/example.toml");
        let settings = from_text(text).unwrap_or_else(|report| panic!("{:#?}", report.problems));
        assert_eq!(settings.listeners.len(), 2);
        assert_eq!(settings.servers.len(), 2);
    }
}
