//! Checking, reloading and showing the configuration.
//!
//! `GET /v1/config` answers [`ConfigView`], `POST /v1/config/check` answers [`CheckOutcome`], and
//! `POST /v1/config/reload` takes [`ReloadRequest`] and answers [`ReloadOutcome`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that is wrong, or doubtful, in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ConfigProblem {
    /// Whether it keeps the configuration from being used.
    pub severity: Severity,
    /// What is wrong, as a finished sentence.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The file, absent where no single file is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// From 1, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// Dotted path of the key, such as `server.weather.timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The whole problem as `toolgated check` prints it, with the line itself; no colours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}

impl ConfigProblem {
    /// Whether it keeps the configuration from being used. Words of a newer daemon count as errors.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity != Severity::Warning
    }
}

/// How bad a [`ConfigProblem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used.
    Warning,
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

/// What is wrong with the files on disk, whatever is running.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CheckOutcome {
    /// The files could be taken over as they are.
    pub ok: bool,
    /// The files that were read, in order.
    #[serde(default)]
    pub files: Vec<String>,
    /// All problems, errors and warnings.
    #[serde(default)]
    pub problems: Vec<ConfigProblem>,
}

/// The body of a reload; an empty body means the default.
///
/// Unknown fields are refused: an older daemon that ignored a newer `dry_run` would do harm.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReloadRequest {
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The running revision, where the files are again what they were before it and it was only a try:
    /// it leaves the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdraws: Option<u64>,
}

/// What a reload did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ReloadOutcome {
    /// The new configuration is the running one.
    pub applied: bool,
    /// The running revision after the reload.
    pub revision: u64,
    /// The running revision before it.
    pub previous: u64,
    /// What changed, or would change, one finished sentence each.
    #[serde(default)]
    pub changes: Vec<String>,
    /// What the new configuration asks for and a reload cannot do, with the command that does.
    #[serde(default)]
    pub needs_restart: Vec<String>,
    /// Warnings about the new configuration.
    #[serde(default)]
    pub problems: Vec<ConfigProblem>,
}

/// What is running, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ConfigView {
    /// The running revision; `ETag` of the answer.
    pub revision: u64,
    /// When it was taken over, in milliseconds since 1970.
    pub loaded_at_ms: u64,
    /// The files it was read from, in order.
    pub files: Vec<String>,
    /// Warnings that it was taken over with.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Set where it was read from the history, since the files on disk cannot be used: what is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_history: Option<String>,
    /// Effective values as dotted keys, secrets as `***`; empty where the daemon does not tell.
    #[serde(default)]
    pub values: Vec<ConfigValue>,
}

/// One effective value.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ConfigValue {
    /// Dotted path.
    pub key: String,
    /// As it would be written in a file; `***` for a secret.
    pub value: String,
    /// `FILE:LINE`, `environment` or `default`.
    pub origin: String,
    /// What holds where nothing is written, as it would be written; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// When a changed value holds after a reload: `next call`, `new connections`, `server starts anew`, `restart`.
    #[serde(default)]
    pub in_effect: String,
    /// What it is, in a sentence.
    #[serde(default)]
    pub meaning: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_an_unknown_field_is_refused() {
        assert!(serde_json::from_str::<ReloadRequest>(r#"{"dryrun":true}"#).is_err());
        let request: ReloadRequest = serde_json::from_str(r#"{"dry_run":true}"#).expect("reads");
        assert!(request.dry_run);
    }

    #[test]
    fn an_unknown_severity_counts_as_an_error() {
        let problem: ConfigProblem = serde_json::from_str(r#"{"severity":"fatal","message":"No."}"#).expect("reads");
        assert!(problem.is_error());
    }
}
