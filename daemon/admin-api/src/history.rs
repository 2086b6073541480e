//! Configurations that were accepted, newest first, and the texts that they were read from.
//!
//! `GET /v1/config/history` answers [`HistoryView`], `GET /v1/config/history/REVISION` a whole
//! [`Revision`]. That is also what a file of the state folder's `config` holds, so that `toolgate`
//! can read it where no daemon runs.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The newest form of a revision's file that this build writes and reads.
pub const HISTORY_FORMAT: u32 = 1;

/// Where the packaged daemon keeps its state.
pub const STATE_DIR: &str = "/var/lib/toolgate";

/// The folder of the history below a state folder.
#[must_use]
pub fn history_folder(state_dir: &Path) -> PathBuf {
    state_dir.join("config")
}

/// The name of a revision's file in the folder of the history.
#[must_use]
pub fn revision_file(revision: u64) -> String {
    format!("{revision:010}.json")
}

/// The revision that a file of the history holds, by the file's name.
#[must_use]
pub fn revision_of_file(name: &str) -> Option<u64> {
    name.strip_suffix(".json")?.parse().ok()
}

/// What was accepted before, and what runs.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct HistoryView {
    /// The running revision.
    pub running: u64,
    /// Set where it runs although the files on disk cannot be used: what is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_history: Option<String>,
    /// Newest first, at most twenty.
    pub revisions: Vec<Accepted>,
}

/// An accepted configuration without its texts.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Accepted {
    /// Its number; grows with each configuration that differs from the one before, also across restarts.
    pub revision: u64,
    /// When, in milliseconds since 1970.
    pub accepted_at_ms: u64,
    /// `start`, `SIGHUP`, or who asked over the control socket: `uid 0, pid 77`.
    pub who: String,
    /// Why, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The daemon's version.
    pub version: String,
    /// Names of the files, relative to the main file's folder; the main file is the first.
    pub files: Vec<String>,
    /// Names of the variables that were to override values; never their values.
    #[serde(default)]
    pub overrides: Vec<String>,
}

/// An accepted configuration. Its texts may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Revision {
    /// The form of this value; [`HISTORY_FORMAT`].
    pub format: u32,
    /// As [`Accepted::revision`].
    pub revision: u64,
    /// As [`Accepted::accepted_at_ms`].
    pub accepted_at_ms: u64,
    /// As [`Accepted::who`].
    pub who: String,
    /// As [`Accepted::reason`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// As [`Accepted::version`].
    pub version: String,
    /// The main file first, then `conf.d` in the order in which it was read.
    pub files: Vec<FileText>,
    /// As [`Accepted::overrides`].
    #[serde(default)]
    pub overrides: Vec<String>,
}

/// One file of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FileText {
    /// Relative to the main file's folder: `toolgate.toml`, `conf.d/keys.toml`.
    pub name: String,
    /// Every byte of it.
    pub text: String,
    /// Permission bits; absent where they could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

impl Revision {
    /// The same without its texts.
    #[must_use]
    pub fn summary(&self) -> Accepted {
        Accepted {
            revision: self.revision,
            accepted_at_ms: self.accepted_at_ms,
            who: self.who.clone(),
            reason: self.reason.clone(),
            version: self.version.clone(),
            files: self.files.iter().map(|file| file.name.clone()).collect(),
            overrides: self.overrides.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_sort_as_their_numbers_do() {
        assert!(revision_file(9) < revision_file(10));
        assert_eq!(revision_of_file(&revision_file(10)), Some(10));
        assert_eq!(revision_of_file(".0000000010.json.new"), None);
        assert_eq!(revision_of_file("notes.txt"), None);
    }

    #[test]
    fn members_of_a_later_release_are_ignored() {
        let text =
            r#"{"format":1,"revision":4,"accepted_at_ms":5,"who":"start","version":"0.2.0","files":[],"more":1}"#;
        let revision: Revision = serde_json::from_str(text).expect("reads");
        assert_eq!(revision.summary().revision, 4);
    }
}
