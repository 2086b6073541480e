//! A report for people, and one for programs.
//!
//! `check`, the log of a refused reload and the admin API show configurations' problems with
//! these, so that they read the same everywhere.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::problem::{Problem, Report, Severity};
use super::source::{Place, Sources};

impl Severity {
    /// The word of the JSON form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Report {
    /// Every problem with file, line, column, the line itself and the remedy; then the count.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&renderer.render(&[group(problem, &self.sources)]));
            text.push_str("\n\n");
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    /// How many errors and warnings, as a sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |severity| self.problems.iter().filter(|problem| problem.severity == severity).count();
        let number = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        match (errors, warnings) {
            (0, 0) => "the configuration is good".into(),
            (0, _) => format!("the configuration is usable, with {}", number(warnings, "warning")),
            (_, 0) => format!("the configuration cannot be used: {}", number(errors, "error")),
            _ => format!(
                "the configuration cannot be used: {}, {}",
                number(errors, "error"),
                number(warnings, "warning")
            ),
        }
    }

    /// `{"usable", "problems": [{"severity", "code", "file", "line", "column", "message", "help", "also"}]}`;
    /// lines and columns count from 1, and `file`, `line`, `column` are null where no line is to blame.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let problems: Vec<Value> = self.problems.iter().map(|problem| self.problem_json(problem)).collect();
        json!({ "usable": !self.has_errors(), "problems": problems })
    }

    /// The problems in the form of the admin interface, each with the lines that a person reads.
    #[must_use]
    pub fn to_problems(&self) -> Vec<toolgate_admin_api::ConfigProblem> {
        self.problems.iter().map(|problem| self.to_problem(problem)).collect()
    }

    fn to_problem(&self, problem: &Problem) -> toolgate_admin_api::ConfigProblem {
        let position = problem.place.map(|place| self.sources.position(place));
        toolgate_admin_api::ConfigProblem {
            severity: match problem.severity {
                Severity::Error => toolgate_admin_api::Severity::Error,
                Severity::Warning => toolgate_admin_api::Severity::Warning,
            },
            message: problem.message.clone(),
            remedy: Some(problem.help.clone()),
            file: problem.place.map(|place| self.sources.of(place).path.display().to_string()),
            line: position.map(|(line, _)| line as u64),
            column: position.map(|(_, column)| column as u64),
            key: None,
            report: Some(Renderer::plain().render(&[group(problem, &self.sources)])),
        }
    }

    fn problem_json(&self, problem: &Problem) -> Value {
        let mut object = json!({
            "severity": problem.severity.as_str(),
            "code": problem.code,
            "file": null, "line": null, "column": null,
            "message": problem.message,
            "help": problem.help,
        });
        if let Some(place) = problem.place {
            let (line, column) = self.sources.position(place);
            object["file"] = json!(self.sources.of(place).path);
            object["line"] = json!(line);
            object["column"] = json!(column);
        }
        if let Some((place, label)) = &problem.also {
            let (line, column) = self.sources.position(*place);
            object["also"] =
                json!({ "file": self.sources.of(*place).path, "line": line, "column": column, "label": label });
        }
        object
    }
}

fn group<'a>(problem: &'a Problem, sources: &'a Sources) -> Group<'a> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group =
        level.primary_title(&problem.message).id(problem.code).elements(Vec::<annotate_snippets::Element<'a>>::new());
    if let Some(place) = problem.place {
        group = group.element(snippet(place, sources, AnnotationKind::Primary, None));
    }
    if let Some((place, label)) = &problem.also {
        group = group.element(snippet(*place, sources, AnnotationKind::Context, Some(label)));
    }
    group.element(Level::HELP.message(&problem.help))
}

fn snippet<'a>(
    place: Place,
    sources: &'a Sources,
    kind: AnnotationKind,
    label: Option<&'a str>,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let source = sources.of(place);
    let annotation = kind.span(first_line(&source.text, place)).label(label);
    Snippet::source(source.text.as_str()).path(source.path.to_string_lossy()).annotation(annotation)
}

/// The part of a place on its first line, on whole characters: a marker under twenty lines of a
/// table tells less than one under its head.
fn first_line(text: &str, place: Place) -> std::ops::Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(place.start);
    let end = floor(place.end.max(start));
    let line = text[start..end].find(['\n', '\r']).map_or(end, |length| start + length);
    start..line
}
