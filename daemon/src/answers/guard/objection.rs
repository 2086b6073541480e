//! Why a call is refused for its arguments, in words for its caller and for the log.

use super::schema::Violations;

/// Why a call whose arguments must fit is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// They do not fit.
    Violations(Violations),
    /// To check them would take too long; they may have this many bytes.
    TooLarge(usize),
    /// Others were being checked for as long as the call could wait.
    NotInTime,
}

impl Objection {
    /// Whether what is known of the tool's schema may be what was wrong.
    pub(in crate::answers) fn is_of_schema(&self) -> bool {
        matches!(self, Self::Violations(_) | Self::TooLarge(_))
    }

    /// For the caller: what was wrong, and what to do about it.
    pub(in crate::answers) fn text(&self, tool: &str) -> String {
        match self {
            Self::Violations(violations) => format!(
                "The arguments do not fit the input schema of {tool}, so it was not called. Mend them and call it again:{}",
                violations.told
            ),
            Self::TooLarge(most) => format!(
                "The arguments are too long to be checked against the input schema of {tool}, so it was not called. Call it again with {most} bytes of arguments at most."
            ),
            Self::NotInTime => format!(
                "The arguments could not be checked against the input schema of {tool} in time, so it was not called. They may be right: wait a few seconds, then call it again, with shorter ones if possible."
            ),
        }
    }

    /// For the log, where arguments do not belong.
    pub(super) fn brief(&self) -> &str {
        match self {
            Self::Violations(violations) => &violations.brief,
            Self::TooLarge(_) => "arguments: too long to be checked",
            Self::NotInTime => "arguments: not checked in time",
        }
    }
}
