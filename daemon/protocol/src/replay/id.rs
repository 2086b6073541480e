//! The id of an event: which stream of a session, and how far it had come.

use std::fmt;

/// `stream.number`. Clients send it back as it is, in `Last-Event-ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// The stream.
    pub stream: u64,
    /// The event; 0 stands before the first.
    pub number: u64,
}

impl EventId {
    /// Reads what [`fmt::Display`] writes, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (stream, number) = text.split_once('.')?;
        Some(Self { stream: digits(stream)?, number: digits(number)? })
    }
}

fn digits(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stream, self.number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_written_is_read() {
        for text in [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "1.2.3",
            "+1.2",
            "1.-2",
            " 1.2",
            "1.2 ",
            "01.2",
            "1.02",
            "x.1",
            "1.99999999999999999999",
        ] {
            assert_eq!(EventId::parse(text), None, "{text:?}");
        }
        assert_eq!(EventId::parse("7.0"), Some(EventId { stream: 7, number: 0 }));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(stream: u64, number: u64) {
            let id = EventId { stream, number };
            prop_assert_eq!(EventId::parse(&id.to_string()), Some(id));
        }
    }
}
