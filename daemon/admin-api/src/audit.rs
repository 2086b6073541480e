//! The audit log, and among it the record of changes.
//!
//! On the control socket: `GET /v1/audit` answers [`Audit`], `GET /v1/audit/search` [`AuditLines`], and
//! `GET /v1/audit/verify` [`AuditVerdict`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use toolgate_protocol::audit::{Damage, Verdict, hex};

/// The newest changes, the oldest of them first.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Audit {
    /// As many as were asked for.
    pub records: Vec<AuditRecord>,
}

/// One change that somebody made, or tried to.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditRecord {
    /// The number of its line in the log; 0 while it waits for a disk.
    pub number: u64,
    /// In milliseconds since 1970.
    pub at_ms: u64,
    /// User id of whoever did it, as the kernel says.
    pub uid: u32,
    /// Name of that user, where there is one.
    pub user: String,
    /// Process id, where it was in sight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// What, as `noun.verb`: `server.drain`, `limit.override`, `session.end`.
    pub action: String,
    /// Of what.
    pub target: String,
    /// What was before, as far as there is something to say; secrets are never in it.
    pub before: Value,
    /// What is now.
    pub after: Value,
    /// Why, as whoever did it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `done`, or why not.
    pub outcome: String,
    /// The running revision.
    pub revision: u64,
}

/// Lines of the log that fit, the oldest of them first.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct AuditLines {
    /// The newest of those that fit, as many as were asked for.
    pub lines: Vec<AuditLine>,
}

/// One line of the log. What a kind of line does not have is absent.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditLine {
    /// Grows by one.
    pub number: u64,
    /// `call`, `refused`, `change`, `reload`, `start`, `stop`, `lost`, `removed`, or what later versions have; lines of
    /// before the chain have none, and are changes.
    pub kind: String,
    /// In milliseconds since 1970.
    pub at_ms: u64,
    /// The call's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// The client's id: `key:ID`, `jwt:ISSUER/SUBJECT`, `certificate:NAME` or `address:IP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The tool, prompt or resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `allowed` or `denied`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Of a call `ok`, `error`, `refused` or `gone`; of a change `done`, or why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Everything else that the line says.
    #[serde(flatten)]
    pub more: serde_json::Map<String, Value>,
}

/// Whether the log is as it was written.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditVerdict {
    /// It is.
    pub whole: bool,
    /// Files that were read, the oldest first.
    pub files: Vec<String>,
    /// Lines that were read.
    pub lines: u64,
    /// Of those, how many are older than the chain.
    pub unchained: u64,
    /// Number of the first line.
    pub first: u64,
    /// Number of the last line.
    pub last: u64,
    /// The SHA-256 of the last line: whoever keeps number and hash elsewhere can tell later whether the log was made anew.
    pub hash: String,
    /// Bytes behind the last line that a crash has left and no sync had promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsynced: Option<u64>,
    /// Its head is not there: what is cut off at the end is not missed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub headless: bool,
    /// What is wrong, in the order of the files; a hundred at most.
    pub findings: Vec<AuditFinding>,
    /// How much else is wrong.
    pub more: u64,
}

impl AuditVerdict {
    /// What was found in these files.
    #[must_use]
    pub fn of(verdict: &Verdict, files: Vec<String>) -> Self {
        let hash = hex(&verdict.last.hash).into_iter().map(char::from).collect();
        let findings = verdict.findings.iter().map(|finding| AuditFinding {
            file: files.get(finding.file).cloned().unwrap_or_default(),
            number: finding.number,
            damage: finding.damage.word().to_owned(),
            through: match finding.damage {
                Damage::Missing(through) => Some(through),
                _ => None,
            },
        });
        Self {
            whole: verdict.is_whole(),
            lines: verdict.lines,
            unchained: verdict.unchained,
            first: verdict.first,
            last: verdict.last.number,
            hash,
            unsynced: verdict.unsynced,
            headless: false,
            findings: findings.collect(),
            more: verdict.more,
            files,
        }
    }
}

/// One place at which the log is not what was written.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditFinding {
    /// The file.
    pub file: String,
    /// The line's number.
    pub number: u64,
    /// `changed`, `missing`, `out-of-place` or `unreadable`.
    pub damage: String,
    /// The last line that is missing with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<u64>,
}

impl AuditFinding {
    /// What is wrong, as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (file, number) = (&self.file, self.number);
        match (self.damage.as_str(), self.through) {
            ("missing", Some(through)) if through > number => {
                format!("Lines {number} to {through} are missing in {file}.")
            }
            ("missing", _) => format!("Line {number} is missing in {file}."),
            ("changed", _) => format!("Line {number} in {file} is not what was written, or the one before it."),
            ("out-of-place", _) => {
                format!("Line {number} stands where another belongs, in {file}: it was moved or put in.")
            }
            _ => format!("Line {number} in {file} cannot be read."),
        }
    }
}
