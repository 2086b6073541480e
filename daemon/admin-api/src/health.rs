//! Health: checks, alerts, certificates, and advice on size.
//!
//! `GET /v1/health` answers [`Health`], `GET /v1/certs` [`Certificates`].
//! `POST /v1/alerts/ID/acknowledge` takes [`Change`](crate::Change), `…/silence` takes [`SilenceRequest`], and both
//! answer [`AlertOutcome`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The health of the gate.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// `healthy`, `warning` or `unhealthy`.
    pub status: String,
    /// By name.
    pub checks: Vec<Check>,
    /// Those that fire first, then those that recovered of late, the newest first.
    pub alerts: Vec<Alert>,
    /// What to do about the number of machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
    /// The process.
    pub process: Process,
}

/// What `GET /v1/alerts` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Alerts {
    /// Those that fire first, then those that recovered of late, the newest first.
    pub alerts: Vec<Alert>,
}

/// One check.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// Such as `memory`, `server:weather`, `certificate:public`, or the name of one that the operator wrote.
    pub name: String,
    /// `healthy`, `warning` or `unhealthy`.
    pub status: String,
    /// What was found, as a sentence.
    pub message: String,
    /// Readiness requires it.
    pub critical: bool,
    /// Milliseconds since it was found.
    pub age_ms: u64,
    /// Microseconds that it took.
    pub took_us: u64,
}

/// Something that an operator should look at.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Alert {
    /// Kind and subject, such as `breaker_open:weather`: the same for as long as it is the same trouble.
    pub id: String,
    /// `warning` or `critical`.
    pub severity: String,
    /// What is wrong, as a sentence.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// When it began, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it was over; absent while it fires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered_ms: Option<u64>,
    /// How often it was told since it began.
    pub told: u64,
    /// Who has seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<String>,
    /// Until when it is not told again, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silenced_until_ms: Option<u64>,
}

/// How many machines the load asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Advice {
    /// `up`, `down` or `stay`.
    pub action: String,
    /// As many as would do.
    pub replicas: u32,
    /// As many as there are, as the configuration says.
    pub current: u32,
    /// Why, as a sentence.
    pub reason: String,
}

/// The process and its machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Share of all processors that may be used, from 0 to 1.
    pub cpu: f64,
    /// Processors that may be used.
    pub cpus: f64,
    /// Bytes resident.
    pub memory: u64,
    /// Bytes that may be, by the control group or the machine.
    pub memory_limit: u64,
    /// Descriptors open.
    pub descriptors: u64,
    /// Descriptors that may be.
    pub descriptors_limit: u64,
    /// The machine's load of the last minute.
    pub load: f64,
    /// Milliseconds by which the slowest core's loop was late of late.
    pub lag_ms: f64,
    /// Share of the state folder's file system that is used, from 0 to 1.
    pub disk: f64,
}

/// Certificates of all listeners.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Certificates {
    /// By listener, then file.
    pub certificates: Vec<Certificate>,
}

/// One certificate that is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// The listener.
    pub listener: String,
    /// The file of its chain.
    pub file: String,
    /// Names that it is for.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// Valid from, in milliseconds since 1970.
    pub not_before_ms: u64,
    /// Valid until, in milliseconds since 1970.
    pub not_after_ms: u64,
    /// When the files that are served were read.
    pub loaded_ms: u64,
    /// Set where the files on disk are newer and were refused: why, and what to do, as sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The body of a silence.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SilenceRequest {
    /// How long, from 1 second to 30 days.
    pub seconds: u64,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of an alert, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertOutcome {
    /// It was done.
    pub applied: bool,
    /// As it is now, or would be.
    pub alert: Alert,
}
