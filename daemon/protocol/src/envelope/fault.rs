//! Why a message was refused by the scanner, where, and what to tell its sender.
//! Made by `json` and `envelope`, turned into an answer by whoever read the message.
//! Must hold: a message never quotes the body, which may hold secrets.

use std::fmt;

/// Why a message was refused. Offsets are bytes from the start of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// There is nothing but whitespace.
    Empty,
    /// The text has 2 GiB or more.
    TooLong,
    /// A byte that is not UTF-8.
    Utf8 {
        /// The first such byte.
        at: usize,
    },
    /// Not JSON.
    Syntax {
        /// Where something else was expected.
        at: usize,
        /// What was expected there.
        expected: &'static str,
        /// Whether the text had simply ended.
        ended: bool,
    },
    /// More than 64 containers are open at once.
    TooDeep {
        /// The bracket or brace that is one too many.
        at: usize,
    },
    /// Something follows the first value.
    Trailing {
        /// Its first byte.
        at: usize,
    },
    /// The value is an array: a batch, which only revision 2025-03-26 has. See [`super::batch`].
    Batch,
    /// The value is neither an object nor an array.
    NotObject {
        /// Its first byte.
        at: usize,
    },
    /// A key stands twice in one object, compared decoded.
    DuplicateKey {
        /// The later one.
        at: usize,
    },
    /// A key differs only in case from one that the gate reads: some readers would take it for that one.
    CaseVariant {
        /// The key.
        at: usize,
        /// The key that it resembles.
        meant: &'static str,
    },
    /// `jsonrpc` is absent or not "2.0".
    Version {
        /// The value, or the message's start.
        at: usize,
    },
    /// `id` is neither a string nor a number, or it is null where an answer would need it.
    Id {
        /// The value.
        at: usize,
    },
    /// The members make neither a request, nor a notification, nor a response.
    Shape {
        /// The message's start.
        at: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A member has a type that leaves open what the message means.
    Type {
        /// The value.
        at: usize,
        /// The member.
        member: &'static str,
        /// The type that it must have.
        expected: &'static str,
    },
    /// A string that the gate decides on holds half of a surrogate pair, which every reader turns into something else.
    Surrogate {
        /// The value.
        at: usize,
        /// The member.
        member: &'static str,
    },
}

impl ScanError {
    /// The JSON-RPC code: -32700 when the text is not JSON, -32602 for a parameter of a wrong type, else -32600.
    #[must_use]
    pub const fn code(&self) -> i64 {
        match self {
            Self::Empty
            | Self::TooLong
            | Self::Utf8 { .. }
            | Self::Syntax { .. }
            | Self::TooDeep { .. }
            | Self::Trailing { .. } => crate::error::PARSE_ERROR,
            Self::Type { .. } | Self::Surrogate { .. } => crate::error::INVALID_PARAMS,
            _ => crate::error::INVALID_REQUEST,
        }
    }

    /// Where the fault is, when it has a place.
    #[must_use]
    pub const fn at(&self) -> Option<usize> {
        match *self {
            Self::Empty | Self::TooLong | Self::Batch => None,
            Self::Utf8 { at }
            | Self::Syntax { at, .. }
            | Self::TooDeep { at }
            | Self::Trailing { at }
            | Self::NotObject { at }
            | Self::DuplicateKey { at }
            | Self::CaseVariant { at, .. }
            | Self::Version { at }
            | Self::Id { at }
            | Self::Shape { at, .. }
            | Self::Type { at, .. }
            | Self::Surrogate { at, .. } => Some(at),
        }
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => write!(f, "The body is empty; send one JSON-RPC message."),
            Self::TooLong => write!(f, "The message has 2 GiB or more; send it in smaller parts."),
            Self::Utf8 { at } => write!(f, "Byte {at} is not UTF-8; JSON must be sent as UTF-8."),
            Self::Syntax { at, expected, ended: true } => {
                write!(f, "The JSON ends at byte {at}, where {expected} was expected; send the whole message.")
            }
            Self::Syntax { at, expected, ended: false } => {
                write!(f, "This is not JSON: at byte {at}, {expected} was expected.")
            }
            Self::TooDeep { at } => {
                write!(f, "At byte {at}, more than 64 objects and arrays are nested; send a flatter message.")
            }
            Self::Trailing { at } => {
                write!(f, "Something follows the message at byte {at}; send exactly one JSON value per body.")
            }
            Self::Batch => write!(f, "Batches are not part of this protocol version; send each message by itself."),
            Self::NotObject { at } => {
                write!(f, "At byte {at}, a JSON-RPC message must be an object.")
            }
            Self::DuplicateKey { at } => {
                write!(f, "The key at byte {at} stands twice in its object; send each key once.")
            }
            Self::CaseVariant { at, meant } => {
                write!(f, "The key at byte {at} resembles \"{meant}\"; keys are case-sensitive, write it exactly so.")
            }
            Self::Version { .. } => write!(f, "The member \"jsonrpc\" must be \"2.0\"."),
            Self::Id { at } => write!(f, "The id at byte {at} must be a string or a number."),
            Self::Shape { problem, .. } => write!(f, "{problem}"),
            Self::Type { at, member, expected } => write!(f, "\"{member}\" at byte {at} must be {expected}."),
            Self::Surrogate { at, member } => {
                write!(f, "\"{member}\" at byte {at} holds half of a surrogate pair; send whole characters.")
            }
        }
    }
}

impl std::error::Error for ScanError {}
