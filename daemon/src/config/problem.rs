//! What is wrong with a configuration: one value per problem, and the report of all of them.
//!
//! Made by every step of reading and checking, shown by `check`, the log and the admin API.
//! A report keeps the sources, so that each problem can be shown with its line.

use super::source::{Place, Sources};

/// Whether the configuration can be used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot be used.
    Error,
    /// It is used, and the operator should know.
    Warning,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the configuration can be used all the same.
    pub severity: Severity,
    /// A stable word for scripts, such as `unknown-key`.
    pub code: &'static str,
    /// Where; absent when no line is to blame, such as for a missing file.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Another place that belongs to it, with what it is.
    pub also: Option<(Place, String)>,
}

impl Problem {
    /// An error at a place.
    pub(super) fn error(code: &'static str, place: Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            place: Some(place),
            message: message.into(),
            help: help.into(),
            also: None,
        }
    }

    /// A warning at a place.
    pub(super) fn warning(
        code: &'static str,
        place: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message, help) }
    }

    /// Names a second place.
    pub(super) fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.also = Some((place, label.into()));
        self
    }
}

/// All problems of a configuration, with the texts they are about.
#[derive(Debug, Default)]
pub struct Report {
    /// The files.
    pub sources: Sources,
    /// In the order of the files, once reading has ended.
    pub problems: Vec<Problem>,
}

impl Report {
    pub(super) fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Whether the configuration cannot be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    pub(super) fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Puts the problems into the order of the files; a problem told twice is told once, and what
    /// seems to be missing is not told when it may stand in a file that could not be read.
    pub(super) fn sort(&mut self) {
        let incomplete = self.problems.iter().any(|problem| matches!(problem.code, "syntax" | "unreadable-file"));
        self.problems.retain(|problem| !incomplete || !matches!(problem.code, "unknown-name" | "no-listener"));
        self.problems.sort_by_key(|problem| problem.place);
        self.problems.dedup();
    }

    /// A problem as one line: `file:line:column: message; help`.
    #[must_use]
    pub fn sentence(&self, problem: &Problem) -> String {
        let place = problem.place.map_or_else(String::new, |place| format!("{}: ", self.sources.describe(place)));
        format!("{place}{}; {}", problem.message, problem.help)
    }
}
