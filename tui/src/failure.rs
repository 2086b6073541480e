//! Why a command did not do what it was asked.
//!
//! Every command returns this; `main` prints it once and exits with its status. The message says
//! what is wrong, the remedy what to do.

use std::fmt::Display;

use serde_json::json;
use toolgate_admin_api::{ApiError, ErrorCode, Exit};

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Status to exit with.
    pub(crate) exit: Exit,
    /// A finished sentence.
    pub(crate) message: String,
    /// Lines that somebody else wrote about it, such as the end of a program's standard error.
    pub(crate) lines: Vec<String>,
    /// Another one.
    pub(crate) remedy: Option<String>,
    /// What the daemon said, where it did.
    pub(crate) answer: Option<Box<ApiError>>,
}

impl Failure {
    /// A failure without remedy.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), lines: Vec::new(), remedy: None, answer: None }
    }

    /// Something on this machine went wrong while doing `what`.
    pub(crate) fn local(what: impl Display, error: impl Display) -> Self {
        Self::new(Exit::Failed, format!("{what}: {error}."))
    }

    /// Says what to do about it, instead of what was said before.
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Prints it: sentences on standard error, or one JSON object on standard output.
    pub(crate) fn print(&self, json: bool) {
        if json {
            crate::output::line(&self.json().to_string());
            return;
        }
        if let Some(answer) = &self.answer {
            for problem in &answer.problems {
                eprintln!("{}", crate::output::problem(problem));
            }
        }
        eprintln!("toolgate: {}", crate::output::printable(&self.message));
        for line in &self.lines {
            eprintln!("{}", crate::output::printable(line));
        }
        if let Some(remedy) = &self.remedy {
            eprintln!("{}", crate::output::printable(remedy));
        }
    }

    fn json(&self) -> serde_json::Value {
        let error = match &self.answer {
            Some(answer) => json!(answer),
            None => {
                json!({ "code": self.code(), "message": self.message, "lines": self.lines, "remedy": self.remedy })
            }
        };
        json!({ "error": error })
    }

    fn code(&self) -> &'static str {
        match self.exit {
            Exit::Unreachable => "unreachable",
            Exit::Denied => "denied",
            Exit::Usage => "usage",
            Exit::BadConfiguration => "bad_configuration",
            Exit::Done | Exit::Failed | Exit::Degraded => "failed",
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let exit = match error.code {
            ErrorCode::Denied => Exit::Denied,
            ErrorCode::BadConfiguration => Exit::BadConfiguration,
            ErrorCode::Unavailable => Exit::Unreachable,
            _ => Exit::Failed,
        };
        Self {
            exit,
            message: error.message.clone(),
            lines: Vec::new(),
            remedy: error.remedy.clone(),
            answer: Some(Box::new(error)),
        }
    }
}
