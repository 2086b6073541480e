//! How a call ended, in one word.
//!
//! An *error* is one of the server or of the gate: no answer, a JSON-RPC error, or a tool's own error (`isError`).
//! *Refused* is what the gate did not let through: limits, queues, breakers, overload, policy, what an operator keeps
//! off or has ended, and requests that nobody can answer. *Gone* is a call whose client did not wait for its answer, or cancelled it.

use crate::failure::{Kind, Side};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It was answered.
    Ok,
    /// It failed at the server or at the gate.
    Error,
    /// The gate did not let it through.
    Refused,
    /// Nobody waited for its answer.
    Gone,
}

impl Outcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Error, Self::Refused, Self::Gone];

    /// What a failure makes of a call.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Cancelled => Self::Gone,
            _ if kind.is_refusal() => Self::Refused,
            // What somebody decided is nothing that failed: it must not raise an alert about failing calls.
            Kind::Suspended | Kind::ToolDisabled | Kind::Stopped | Kind::NoCredential => Self::Refused,
            _ if kind.side() == Side::Client => Self::Refused,
            _ => Self::Error,
        }
    }

    /// As the admin sockets, the metrics and the log say it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::Gone => "gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_blame_decides() {
        for (kind, outcome) in [
            (Kind::Limited, Outcome::Refused),
            (Kind::QueueFull, Outcome::Refused),
            (Kind::BreakerOpen, Outcome::Refused),
            (Kind::Overloaded, Outcome::Refused),
            (Kind::NameUnknown, Outcome::Refused),
            (Kind::Unauthenticated, Outcome::Refused),
            (Kind::Suspended, Outcome::Refused),
            (Kind::ToolDisabled, Outcome::Refused),
            (Kind::Stopped, Outcome::Refused),
            (Kind::NoCredential, Outcome::Refused),
            (Kind::Parse, Outcome::Refused),
            (Kind::ServerUnavailable, Outcome::Error),
            (Kind::ServerTimeout, Outcome::Error),
            (Kind::ServerGarbage, Outcome::Error),
            (Kind::Internal, Outcome::Error),
            (Kind::EventsLost, Outcome::Refused),
            (Kind::Cancelled, Outcome::Gone),
        ] {
            assert_eq!(Outcome::of(kind), outcome, "{kind:?}");
        }
    }
}
