//! W3C Trace Context: what a caller says of the trace that its call belongs to, and whether the call is traced here.
//!
//! Called by the daemon for each call where traces are configured. Must hold: what does not parse is no context at all
//! (Trace Context 3.2.2.5), and the same draw decides the same.

use std::fmt;

/// Bytes of a `traceparent` of version 00.
pub const TRACEPARENT: usize = 55;

/// The number of a trace; never all zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// The number of a span; never all zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// From random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// As OTLP has it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl SpanId {
    /// From random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// As OTLP has it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The id that lies `n` further on, for a span below this one.
    #[must_use]
    pub fn nth(&self, n: u64) -> Self {
        let number = u64::from_be_bytes(self.0).wrapping_add(n);
        Self(number.max(1).to_be_bytes())
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The span that a call was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Its trace.
    pub trace: TraceId,
    /// Itself.
    pub span: SpanId,
    /// Whether its caller recorded it.
    pub sampled: bool,
}

impl Parent {
    /// Reads a `traceparent` (Trace Context 3.2). A later version is read as far as version 00 goes.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_at_checked(TRACEPARENT)?;
        let version = number::<1>(head, 0)?[0];
        let fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        if !fits || [2, 35, 52].iter().any(|dash| head[*dash] != b'-') {
            return None;
        }
        let flags = number::<1>(head, 53)?[0];
        Some(Self {
            trace: TraceId::new(number(head, 3)?)?,
            span: SpanId::new(number(head, 36)?)?,
            sampled: flags & 1 == 1,
        })
    }

    /// The `traceparent` of version 00 that says this.
    #[must_use]
    pub fn written(&self) -> [u8; TRACEPARENT] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write(&mut text[3..35], &self.trace.0);
        write(&mut text[36..52], &self.span.0);
        text[54] = if self.sampled { b'1' } else { b'0' };
        text
    }
}

/// Bytes written as lower-case digits from `at` on: others are not allowed.
fn number<const N: usize>(text: &[u8], at: usize) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.get(at..at + 2 * N)?.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn write(out: &mut [u8], bytes: &[u8]) {
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
}

/// A share of calls, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(pub u32);

impl Share {
    const WHOLE: u32 = 1_000_000;

    /// Whether a call with this draw is among them; draws are spread evenly.
    fn has(self, draw: u64) -> bool {
        self.0 >= Self::WHOLE || draw < (u64::MAX / u64::from(Self::WHOLE)) * u64::from(self.0)
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is not traced; what it says of a trace goes on as it came.
    Leave,
    /// It goes on with its caller's trace.
    Child(Parent),
    /// A trace of its own begins, which refers to what its caller said.
    Root(Option<Parent>),
}

/// Decides about a call: where its caller's word is taken, as the caller did; else by the share.
#[must_use]
pub fn decide(said: Option<Parent>, trusts: bool, share: Share, draw: u64) -> Decision {
    match said {
        Some(parent) if trusts && parent.sampled => Decision::Child(parent),
        Some(_) if trusts => Decision::Leave,
        said if share.has(draw) => Decision::Root(said),
        _ => Decision::Leave,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_is_read_and_written_as_it_was() {
        let parent = Parent::parse(GOOD.as_bytes()).expect("good");
        assert_eq!(parent.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(format!("{:?}", parent.span), "b7ad6b7169203331");
        assert!(parent.sampled);
        assert_eq!(parent.written(), GOOD.as_bytes());
    }

    #[test]
    fn what_is_not_to_the_letter_is_no_context() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        ] {
            assert_eq!(Parent::parse(text.as_bytes()), None, "{text}");
        }
        // A later version may say more.
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-what-the-future-holds";
        assert_eq!(Parent::parse(later.as_bytes()), Parent::parse(GOOD.as_bytes()));
    }

    #[test]
    fn a_caller_whose_word_is_taken_decides() {
        let said = Parent::parse(GOOD.as_bytes());
        let unsampled = said.map(|parent| Parent { sampled: false, ..parent });
        let all = Share(1_000_000);
        assert_eq!(decide(said, true, Share(0), 0), Decision::Child(said.expect("good")));
        assert_eq!(decide(unsampled, true, all, 0), Decision::Leave);
        assert_eq!(decide(said, false, all, u64::MAX), Decision::Root(said));
        assert_eq!(decide(said, false, Share(0), 0), Decision::Leave);
        assert_eq!(decide(None, true, all, u64::MAX), Decision::Root(None));
        assert_eq!(decide(None, true, Share(0), 0), Decision::Leave);
    }

    #[test]
    fn a_share_is_that_share_of_draws() {
        let draws = 100_000_u64;
        let step = u64::MAX / draws;
        for share in [0, 1_000, 100_000, 500_000, 1_000_000] {
            let taken = (0..draws).filter(|draw| Share(share).has(draw * step)).count() as u64;
            let wanted = draws * u64::from(share) / 1_000_000;
            assert!(taken.abs_diff(wanted) <= 1, "{share}: {taken} and not {wanted}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read(trace: [u8; 16], span: [u8; 8], sampled: bool) {
            if let (Some(trace), Some(span)) = (TraceId::new(trace), SpanId::new(span)) {
                let parent = Parent { trace, span, sampled };
                prop_assert_eq!(Parent::parse(&parent.written()), Some(parent));
            }
        }

        #[test]
        fn nothing_that_is_said_breaks_it(text: Vec<u8>, more in "[0-9a-f-]{50,70}") {
            let _ = Parent::parse(&text);
            if let Some(parent) = Parent::parse(more.as_bytes()) {
                prop_assert_eq!(&parent.written()[3..52], &more.as_bytes()[3..52]);
            }
        }

        #[test]
        fn spans_below_one_have_numbers_of_their_own(span: [u8; 8]) {
            if let Some(span) = SpanId::new(span) {
                let mut all: Vec<_> = (0..5).map(|n| span.nth(n).0).collect();
                all.sort_unstable();
                all.dedup();
                // At the very end of the numbers two meet; a random one lies there once in 2^62.
                prop_assert!(all.len() == 5 || u64::from_be_bytes(span.0) > u64::MAX - 5);
                prop_assert!(all.iter().all(|id| *id != [0; 8]));
            }
        }
    }
}
