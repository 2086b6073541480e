//! A configuration as it was written: the text of every file, for the history and for going back.
//!
//! Made from a report, which knows what was read. It holds whatever the files hold, secrets too.

use std::path::{Path, PathBuf};

use toolgate_admin_api::FileText;

use super::problem::Report;
use super::source::Medium;

/// The files of a configuration, and which variables were to override them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The main file first; names are relative to its folder.
    pub files: Vec<FileText>,
    /// Names of the variables.
    pub overrides: Vec<String>,
}

impl Snapshot {
    /// What a load of the main file `path` read.
    #[must_use]
    pub fn of(report: &Report, path: &Path) -> Self {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut snapshot = Self::default();
        for source in report.sources.iter() {
            let name = source.path.strip_prefix(folder).unwrap_or(&source.path).to_string_lossy().into_owned();
            match &source.written {
                Some(text) => {
                    snapshot.files.push(FileText { name, text: text.expose().to_owned(), mode: source.mode });
                }
                None if source.medium == Medium::Variable => snapshot.overrides.push(name),
                None => {}
            }
        }
        snapshot
    }

    /// Whether both say the same: names, texts and variables, in the same order.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let texts = |snapshot: &Self| {
            let pairs = snapshot.files.iter().map(|file| (file.name.clone(), file.text.clone()));
            pairs.collect::<Vec<_>>()
        };
        texts(self) == texts(other) && self.overrides == other.overrides
    }

    /// Paths and texts as if they stood where the main file `path` is now.
    pub(super) fn at<'a>(&'a self, path: &Path) -> Vec<(PathBuf, &'a str)> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let place = |(index, file): (usize, &'a FileText)| {
            let path = if index == 0 { path.to_owned() } else { folder.join(&file.name) };
            (path, file.text.as_str())
        };
        self.files.iter().enumerate().map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, Severity, load, load_snapshot};
    use super::*;

    const MAIN: &str =
        "version = 1\n[server.a]\nendpoints = \"http://127.0.0.1:1/mcp\"\nbearer = \"canary-canary-canary\"\n";

    fn folder(more: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("toolgate.toml");
        std::fs::write(&main, MAIN).unwrap();
        std::fs::create_dir(folder.path().join("conf.d")).unwrap();
        std::fs::write(folder.path().join("conf.d/more.toml"), more).unwrap();
        (folder, main)
    }

    fn environment() -> Environment {
        let variables = [("TOOLGATE_LOG__LEVEL", "debug"), ("HOME", "/root")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Environment { variables: variables.into(), ..Environment::default() }
    }

    #[test]
    fn holds_every_byte_and_the_names_of_variables_alone() {
        let (folder, main) = folder("[tier.free]\n");
        let (_, report) = load(&main, &environment()).unwrap();
        let snapshot = Snapshot::of(&report, &main);
        let names: Vec<_> = snapshot.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["toolgate.toml", "conf.d/more.toml"]);
        // A secret is masked in reports, and must not be lost by going back.
        assert_eq!(snapshot.files[0].text, MAIN);
        assert!(!format!("{report:?}").contains("canary"), "a report shows no secret");
        assert_eq!(snapshot.overrides, ["TOOLGATE_LOG__LEVEL"]);
        assert!(snapshot.files[0].mode.is_some());
        drop(folder);
    }

    #[test]
    fn is_loaded_as_the_files_were() {
        let (folder, main) = folder("[tier.free]\n");
        let (settings, report) = load(&main, &environment()).unwrap();
        let snapshot = Snapshot::of(&report, &main);
        std::fs::write(&main, "version = 2").unwrap();
        let (again, report) = load_snapshot(&main, &snapshot, &environment()).unwrap();
        assert_eq!(again, settings);
        assert!(Snapshot::of(&report, &main).says_the_same(&snapshot));
        drop(folder);
    }

    #[test]
    fn a_problem_of_an_old_text_names_the_file_that_it_stood_in() {
        let (folder, main) = folder("");
        let (_, report) = load(&main, &environment()).unwrap();
        let mut snapshot = Snapshot::of(&report, &main);
        snapshot.files[1].text = "[tier.free]\nlimit = 3\n".into();
        let report = load_snapshot(&main, &snapshot, &environment()).unwrap_err();
        let error = report.problems.iter().find(|problem| problem.severity == Severity::Error).unwrap();
        let place = report.sources.describe(error.place.unwrap());
        assert!(place.ends_with("conf.d/more.toml:2:1"), "{place}");
        drop(folder);
    }
}
