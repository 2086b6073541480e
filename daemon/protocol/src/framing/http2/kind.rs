//! What a frame is, what it costs, and why a connection ends.

use std::error::Error;
use std::fmt;

/// The type of a frame (RFC 9113, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Part of a body.
    Data,
    /// A request, or the trailers of one.
    Headers,
    /// Advice that nobody has to follow.
    Priority,
    /// A stream is given up.
    Reset,
    /// Settings, or that the gate's were taken.
    Settings,
    /// Not for clients.
    Push,
    /// A question that must be answered, or an answer.
    Ping,
    /// The client will open no more streams.
    Goaway,
    /// Bytes were taken.
    WindowUpdate,
    /// More of a request's headers.
    Continuation,
    /// Anything else, which must be ignored.
    Unknown,
}

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 11] = [
        Self::Data,
        Self::Headers,
        Self::Priority,
        Self::Reset,
        Self::Settings,
        Self::Push,
        Self::Ping,
        Self::Goaway,
        Self::WindowUpdate,
        Self::Continuation,
        Self::Unknown,
    ];

    pub(super) fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Unknown)
    }

    /// Points that one frame costs.
    pub(super) fn price(self) -> u32 {
        match self {
            // A request that is given up has given back two.
            Self::Reset => 5,
            Self::Continuation => 4,
            Self::Settings => 10,
            Self::Ping => 2,
            _ => 1,
        }
    }

    /// Bytes of answers that pay for one frame instead, where it is what a reader of answers sends:
    /// two updates for the smallest piece that a server sends, and fewer pings than would pay for
    /// each other by being answered.
    pub(super) fn price_in_bytes(self) -> Option<u32> {
        match self {
            Self::WindowUpdate => Some(16),
            Self::Ping => Some(64),
            _ => None,
        }
    }

    /// The name that the specification gives it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "DATA",
            Self::Headers => "HEADERS",
            Self::Priority => "PRIORITY",
            Self::Reset => "RST_STREAM",
            Self::Settings => "SETTINGS",
            Self::Push => "PUSH_PROMISE",
            Self::Ping => "PING",
            Self::Goaway => "GOAWAY",
            Self::WindowUpdate => "WINDOW_UPDATE",
            Self::Continuation => "CONTINUATION",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// It does not begin with the preface.
    Preface,
    /// A frame is longer than any that was allowed.
    FrameTooLong,
    /// Too many frames that ask for nothing; this kind was the last.
    Flood(Kind),
}

impl Breach {
    /// The code that GOAWAY says it with (RFC 9113, section 7).
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Preface => 0x1,
            Self::FrameTooLong => 0x6,
            // ENHANCE_YOUR_CALM
            Self::Flood(_) => 0xb,
        }
    }

    /// The GOAWAY frame for a client whose newest stream is `last_stream`.
    #[must_use]
    pub fn goaway(self, last_stream: u32) -> [u8; 17] {
        let mut frame = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        frame[9..13].copy_from_slice(&last_stream.to_be_bytes());
        frame[13..].copy_from_slice(&self.code().to_be_bytes());
        frame
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preface => f.write_str("the client does not speak HTTP/2"),
            Self::FrameTooLong => f.write_str("the client sent a frame longer than 16384 bytes"),
            Self::Flood(kind) => {
                write!(f, "the client sent too many frames that ask for nothing, {} the last", kind.name())
            }
        }
    }
}

impl Error for Breach {}
