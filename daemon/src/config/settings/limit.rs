//! Limits, and what is done about clients that repeat themselves.

use std::fmt;
use std::ops::BitOr;
use std::time::Duration;

use toolgate_protocol::limiter::Unit;
pub use toolgate_protocol::loops::Levels;

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// How it is named in refusals, metrics and the console.
    pub name: String,
    /// What is counted together.
    pub per: LimitScope,
    /// How much of an address tells one client from another.
    pub prefix: Prefix,
    /// What is bounded.
    pub measure: Measure,
    /// What a call counts for.
    pub counted: Counted,
    /// Replaces the standard text of a refusal.
    pub message: Option<String>,
    /// Where it stands.
    pub written: Written,
}

/// Where something is written, as `FILE:LINE`. A limit that moved to another line is the same limit: all are equal.
#[derive(Debug, Clone, Default)]
pub struct Written(pub String);

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Written {}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a limit counts together: calls that are alike in all that it names; in nothing, all calls.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LimitScope(u8);

impl LimitScope {
    /// All calls.
    pub const GLOBAL: Self = Self(0);
    /// On one listener.
    pub const LISTENER: Self = Self(1);
    /// From one address, or network of a prefix.
    pub const ADDRESS: Self = Self(2);
    /// Of one client.
    pub const CLIENT: Self = Self(4);
    /// Of clients of one tier.
    pub const TIER: Self = Self(8);
    /// To one server.
    pub const SERVER: Self = Self(16);
    /// To one tool of a server.
    pub const TOOL: Self = Self(32);
    /// Of clients of one organisation.
    pub const ORGANISATION: Self = Self(64);

    /// All that may be named, and how.
    pub const NAMES: [(Self, &str); 7] = [
        (Self::LISTENER, "listener"),
        (Self::ADDRESS, "address"),
        (Self::CLIENT, "client"),
        (Self::ORGANISATION, "organisation"),
        (Self::TIER, "tier"),
        (Self::SERVER, "server"),
        (Self::TOOL, "tool"),
    ];

    /// Whether it names any of these.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The scope of a word of the configuration.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "global" => Some(Self::GLOBAL),
            "client-tool" => Some(Self::CLIENT | Self::TOOL),
            _ => Self::NAMES.iter().find(|(_, name)| *name == word).map(|(scope, _)| *scope),
        }
    }
}

impl BitOr for LimitScope {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// `client, tool`, or `global`.
impl fmt::Display for LimitScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::GLOBAL {
            return f.write_str("global");
        }
        let named = Self::NAMES.iter().filter(|(scope, _)| self.has(*scope));
        for (index, (_, name)) in named.enumerate() {
            write!(f, "{}{name}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for LimitScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LimitScope({self})")
    }
}

/// Bits of an address that tell one client from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// At most 32.
    pub v4: u8,
    /// At most 128.
    pub v6: u8,
}

/// What a call counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// One.
    Calls,
    /// The cost of its tool.
    Cost,
}

/// What a limit bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Token bucket (GCRA): `count` per `period`, `burst` at once.
    Rate {
        /// Calls or cost.
        count: u64,
        /// Per this time.
        period: Duration,
        /// At once.
        burst: u64,
    },
    /// At most `count` in any span of `period`.
    Window {
        /// Calls or cost.
        count: u64,
        /// In any span of this length.
        period: Duration,
    },
    /// So much per day or month of the calendar in UTC.
    Quota {
        /// Calls or cost.
        count: u64,
        /// Per this.
        unit: Unit,
    },
    /// In flight at once.
    Concurrent(u64),
}

/// `[loops]`: what is done about a client that makes the same call again and again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loops {
    /// Same calls within `window`.
    pub same: Levels,
    /// Calls of a client in a minute, as multiples of what it makes per minute of its own last hour.
    pub surge: Levels,
    /// What is remembered of calls.
    pub window: Duration,
    /// How long a call waits that is slowed.
    pub delay: Duration,
    /// Patterns over `server/tool` of tools that are meant to be asked again and again.
    pub except: Vec<String>,
}

impl Loops {
    /// Whether anything is ever done.
    #[must_use]
    pub fn act(&self) -> bool {
        !self.same.are_none() || !self.surge.are_none()
    }
}
