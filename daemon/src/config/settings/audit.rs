//! The audit log: what leaves a line in it, how much of it, and for how long.

use std::time::Duration;

/// `[audit]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRules {
    /// Calls that leave a line.
    pub calls: AuditedCalls,
    /// What a line says of arguments.
    pub arguments: AuditedArguments,
    /// JSON pointers to what is left out of arguments; `*` stands for any member or element.
    pub redact: Vec<String>,
    /// Regular expressions of what is left out of them.
    pub redact_patterns: Vec<String>,
    /// What is done with calls while no line can be written.
    pub on_full: OnFull,
    /// Free bytes that are left to changes by hand and to the rest of the state.
    pub min_free: u64,
    /// Bytes of a file.
    pub rotate_size: u64,
    /// Files in all.
    pub keep: u32,
    /// How old a file may become; none: only their number counts.
    pub keep_for: Option<Duration>,
    /// Whether lines of calls go to the log as well.
    pub journal: bool,
}

/// Calls that leave a line; those that were denied always do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuditedCalls {
    /// Every request.
    All,
    /// Calls of tools.
    #[default]
    Tools,
    /// None but those that were denied.
    Denied,
}

/// What a line says of arguments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuditedArguments {
    /// The SHA-256 of their canonical form.
    #[default]
    Hash,
    /// The arguments, without what is to be left out.
    Redacted,
    /// Nothing.
    None,
}

/// What is done with calls while no line can be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFull {
    /// They go on; what is lost is counted, and somebody is told.
    #[default]
    DropAndAlert,
    /// New ones are refused.
    Deny,
}
