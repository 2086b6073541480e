//! Log messages across eras: a level per session on one side, a level per request on the other.
//! Called for every `notifications/message` that crosses, and before a modern call runs on a legacy session.
//! Must hold: a modern call without a level sees no log message; nobody sees what is less severe than asked for.

use crate::envelope::Envelope;
use crate::json;

/// The severity of a log message, as in RFC 5424; the least severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the protocol")]
pub enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    /// All levels, the least severe first.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// The level of this name, exactly as it is sent.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }

    /// The name as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// The level that a modern request asks for in `_meta`. A name that is no level counts as none; servers refuse it.
    #[must_use]
    pub fn of_request(text: &[u8], envelope: &Envelope) -> Option<Self> {
        named(super::raw(text, envelope.log_level))
    }

    /// The level in the `params` of `logging/setLevel` and of `notifications/message`.
    #[must_use]
    pub fn of_params(text: &[u8], envelope: &Envelope) -> Option<Self> {
        named(super::raw(text, json::get(text, envelope.params?, "level")))
    }
}

fn named(raw: &[u8]) -> Option<Level> {
    raw.starts_with(b"\"").then(|| Level::parse(&json::decode_str(raw)))?
}

/// Whether a call that asked for `wanted` may see this `notifications/message`. One whose level is unknown passes for
/// the least severe.
#[must_use]
pub fn may_see(wanted: Option<Level>, text: &[u8], envelope: &Envelope) -> bool {
    wanted.is_some_and(|wanted| Level::of_params(text, envelope).unwrap_or(Level::Debug) >= wanted)
}

/// The level of one legacy session that modern calls share: it must be the most talkative that any of them wants, and
/// what the others do not want is held back by [`may_see`].
#[derive(Clone, Debug, Default)]
pub struct SharedLevel {
    /// Calls in flight by the level that they want.
    calls: [u32; 8],
    /// What the server was last told.
    told: Option<Level>,
}

impl SharedLevel {
    /// A call begins. The level that the server must be told by `logging/setLevel` before it, if any.
    #[must_use = "the server must be told"]
    pub fn enter(&mut self, wanted: Option<Level>) -> Option<Level> {
        self.calls[wanted? as usize] += 1;
        let lowest = Level::ALL.into_iter().find(|level| self.calls[*level as usize] > 0);
        if lowest == self.told {
            return None;
        }
        self.told = lowest;
        lowest
    }

    /// A call that entered with `wanted` has ended. The server is not told: the next call that wants messages may want
    /// the same ones.
    pub fn leave(&mut self, wanted: Option<Level>) {
        if let Some(wanted) = wanted {
            let calls = &mut self.calls[wanted as usize];
            *calls = calls.saturating_sub(1);
        }
    }

    /// The server did not take the level, or its session began anew: it will be told again.
    pub fn forget(&mut self) {
        self.told = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::fixture::read;

    fn message(level: &str) -> Vec<u8> {
        format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":{level},"data":1}}}}"#).into()
    }

    #[test]
    fn a_call_sees_what_it_asked_for() {
        for (wanted, level, seen) in [
            (None, "\"emergency\"", false),
            (Some(Level::Warning), "\"notice\"", false),
            (Some(Level::Warning), "\"warn\\u0069ng\"", true),
            (Some(Level::Warning), "\"alert\"", true),
            (Some(Level::Info), "\"chatty\"", false),
            (Some(Level::Debug), "7", true),
        ] {
            let text = message(level);
            assert_eq!(may_see(wanted, &text, &read(&text)), seen, "{wanted:?} {level}");
        }
    }

    #[test]
    fn a_request_carries_its_level() {
        let text =
            br#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/logLevel":"alert"}}}"#;
        assert_eq!(Level::of_request(text, &read(text)), Some(Level::Alert));
        let text = br#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"info"}}"#;
        assert_eq!(
            (Level::of_params(text, &read(text)), Level::of_request(text, &read(text))),
            (Some(Level::Info), None)
        );
    }

    #[test]
    fn a_shared_session_is_as_talkative_as_its_calls_need() {
        let mut shared = SharedLevel::default();
        assert_eq!(shared.enter(None), None);
        assert_eq!(shared.enter(Some(Level::Error)), Some(Level::Error));
        assert_eq!(shared.enter(Some(Level::Debug)), Some(Level::Debug));
        assert_eq!(shared.enter(Some(Level::Error)), None);
        shared.leave(Some(Level::Debug));
        assert_eq!(shared.enter(Some(Level::Alert)), Some(Level::Error));
        shared.forget();
        assert_eq!(shared.enter(Some(Level::Alert)), Some(Level::Error));
    }
}
