//! A role: what whoever has it may use, what they may not, and with which arguments.

use std::sync::Arc;

use super::condition::Condition;
use super::scope::Scope;

/// `[role.NAME]`, compiled. Shared by all who have it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// The table's name.
    pub name: String,
    /// What it allows; absent where it only narrows what others allow.
    pub allow: Option<Vec<Rule>>,
    /// What it denies, whatever allows it.
    pub deny: Vec<Rule>,
    /// What arguments must be, whatever allows the call.
    pub when: Vec<Condition>,
    /// What a token must have for the role to allow anything; whoever comes without a token needs none.
    pub required: Option<Required>,
}

/// OAuth scopes that a token must have, all of them.
#[derive(Debug, Clone)]
pub struct Required {
    /// As the issuer knows them.
    pub scopes: Vec<String>,
    /// Such as `role.teller.required_scopes "bank:write" (FILE:LINE)`.
    pub text: Arc<str>,
}

/// One that moved to another line is the same.
impl PartialEq for Required {
    fn eq(&self, other: &Self) -> bool {
        self.scopes == other.scopes
    }
}

impl Eq for Required {}

/// A scope with what it is called where it decides.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What it is about.
    pub scope: Scope,
    /// Such as `role.support.deny "bank/delete_*" (FILE:LINE)`.
    pub text: Arc<str>,
}

/// One that moved to another line is the same.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.scope == other.scope
    }
}

impl Eq for Rule {}

impl Rule {
    /// A rule of the list that `place` names; `line` is where it is written, empty where nobody wrote it into a file.
    pub fn new(place: &str, scope: &str, line: &str) -> Self {
        Self { scope: Scope::new(scope), text: called(place, &format!("\"{scope}\""), line) }
    }
}

/// What a rule is called.
pub fn called(place: &str, what: &str, line: &str) -> Arc<str> {
    if line.is_empty() { format!("{place} {what}").into() } else { format!("{place} {what} ({line})").into() }
}
