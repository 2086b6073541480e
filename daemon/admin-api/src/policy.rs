//! Who may do what, and by which rule.
//!
//! `POST /v1/policy/explain` takes [`PolicyQuery`] and answers [`PolicyExplained`]. It changes nothing, so the view
//! socket suffices.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked: somebody, and one of tool, resource and prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyQuery {
    /// A client's id, such as `key:ci` or `address:10.0.0.7`; absent: whoever has `roles` and `scopes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Roles of somebody who need not exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Scopes of the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// `SERVER/TOOL`, with the server's own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// `SERVER/URI`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// `SERVER/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The arguments of the tool's call, as text of JSON, so that numbers stay as they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
}

/// What would be decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyExplained {
    /// The client, where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// `tool`, `resource` or `prompt`.
    pub kind: String,
    /// The server.
    pub server: String,
    /// The server's own name for it.
    pub name: String,
    /// The call would go on its way.
    pub allowed: bool,
    /// The rule that decides, with file and line where it is written in one.
    pub rule: String,
    /// What the client would read; absent where it is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Roles that were looked at.
    pub roles: Vec<String>,
    /// Scopes that were looked at.
    pub scopes: Vec<String>,
    /// Every condition on arguments that the tool has, whether it decides or not.
    pub conditions: Vec<PolicyCondition>,
}

/// A condition on an argument.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyCondition {
    /// Which one, with file and line.
    pub rule: String,
    /// Where the value stands in the arguments.
    pub argument: String,
    /// What it must be.
    pub wants: Vec<String>,
    /// The value as it is written; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// It is met.
    pub holds: bool,
    /// `holds`, `fails`, `absent` or `ambiguous`.
    pub outcome: String,
}
