//! How the daemon says no.
//!
//! Every answer of the admin interface with a status of 400 or more has one of these as its body.
//! `message` says what is wrong and `remedy` what to do; both are finished sentences.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::ConfigProblem;

/// A refusal or failure of the admin interface.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ApiError {
    /// What kind, for programs.
    pub code: ErrorCode,
    /// What is wrong, for people.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The field of the request or the header that is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The same request may succeed later.
    #[serde(default)]
    pub retryable: bool,
    /// What is wrong with the configuration, where that is why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ConfigProblem>,
}

/// The kind of an [`ApiError`]; each has one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 400: the request itself is wrong.
    BadRequest,
    /// 403: this socket does not allow it.
    Denied,
    /// 404: no such route or object.
    NotFound,
    /// 405: the route exists with another method.
    MethodNotAllowed,
    /// 408: the request did not arrive in time.
    Timeout,
    /// 409: `If-Match` names a revision that is no longer the running one.
    Conflict,
    /// 413: the body is larger than 1 MiB.
    TooLarge,
    /// 422: the configuration has errors; `problems` lists them.
    BadConfiguration,
    /// 503: not now, for example while draining or with too many admin connections.
    Unavailable,
    /// 500: the daemon failed.
    Internal,
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// The HTTP status that goes with the kind.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Timeout => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::BadConfiguration => 422,
            Self::Internal | Self::Unknown => 500,
            Self::Unavailable => 503,
        }
    }
}

impl ApiError {
    /// An error of a kind, without remedy; `retryable` follows from the kind.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            remedy: None,
            field: None,
            retryable: matches!(code, ErrorCode::Unavailable | ErrorCode::Timeout),
            problems: Vec::new(),
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Names the field or header to blame.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The running revision is not the one that the request was made for.
    #[must_use]
    pub fn stale(running: u64) -> Self {
        Self::new(ErrorCode::Conflict, format!("The running configuration is revision {running}."))
            .remedy("Look at the running configuration again, then repeat the request with its revision.")
            .field("if-match")
    }

    /// The configuration on disk was not taken over; `running` is what serves.
    #[must_use]
    pub fn bad_configuration(problems: Vec<ConfigProblem>, running: u64) -> Self {
        let errors = problems.iter().filter(|problem| problem.is_error()).count();
        let noun = if errors == 1 { "error" } else { "errors" };
        let message = format!("The configuration has {errors} {noun}.");
        let remedy = format!(
            "Mend the files, or go back to what was accepted with `toolgate config rollback`; revision {running} is still serving."
        );
        Self { problems, ..Self::new(ErrorCode::BadConfiguration, message) }.remedy(remedy)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, " {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_newer_daemon_says() {
        let error: ApiError = serde_json::from_str(r#"{"code":"on_fire","message":"Hot.","heat":9}"#).expect("reads");
        assert_eq!(error.code, ErrorCode::Unknown);
        assert_eq!(error.to_string(), "Hot.");
    }

    #[test]
    fn a_refused_configuration_ends_with_what_serves() {
        let error = ApiError::bad_configuration(Vec::new(), 4);
        assert!(error.to_string().ends_with("revision 4 is still serving."), "{error}");
    }

    #[test]
    fn says_what_to_do() {
        let error = ApiError::stale(4);
        assert_eq!(error.code.status(), 409);
        assert!(error.to_string().ends_with("with its revision."), "{error}");
    }
}
