//! What calls say, one behind the other in one piece of memory, on its way from a core to the thread.

use super::line::Left;

/// Calls that wait on one core.
pub(super) const ROOM: usize = 8_192;
/// Bytes of what they say.
pub(super) const BYTES: usize = 16 << 20;
/// Memory that is kept when it is empty.
const KEPT: usize = 1 << 20;

/// Members of lines of calls, in the order in which the calls ended.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Of each record: the lengths of its three parts, and these.
    bytes: Vec<u8>,
    /// How many were put in.
    calls: usize,
    /// Where the next one begins that was not taken.
    at: usize,
}

/// What a call says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Members before its arguments; all of them where those need no more work.
    pub(super) before: &'a [u8],
    /// Arguments as they came; empty where they need no more work.
    pub(super) arguments: &'a [u8],
    /// Members behind them.
    pub(super) after: &'a [u8],
}

impl Batch {
    /// Calls that were put in.
    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    /// Bytes that were put in.
    pub(super) fn weight(&self) -> usize {
        self.bytes.len()
    }

    /// Puts in a call; false where there is no room.
    pub(super) fn push(&mut self, members: &[u8], left: Option<Left<'_>>) -> bool {
        let Left { at, arguments } = left.unwrap_or(Left { at: members.len(), arguments: &[] });
        let (before, after) = members.split_at(at);
        let parts = [before, arguments, after];
        let length: usize = parts.iter().map(|part| size_of::<usize>() + part.len()).sum();
        if self.calls >= ROOM || self.bytes.len() + length > BYTES {
            return false;
        }
        self.bytes.reserve(length);
        for part in parts {
            self.bytes.extend_from_slice(&part.len().to_ne_bytes());
        }
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.calls += 1;
        true
    }

    /// Takes the next one out.
    pub(super) fn take(&mut self) -> Option<Record<'_>> {
        let mut rest = &self.bytes[self.at..];
        let mut length = || {
            let (length, behind) = rest.split_first_chunk()?;
            rest = behind;
            Some(usize::from_ne_bytes(*length))
        };
        let (before, arguments, after) = (length()?, length()?, length()?);
        let (before, rest) = rest.split_at(before);
        let (arguments, rest) = rest.split_at(arguments);
        let (after, rest) = rest.split_at(after);
        self.at = self.bytes.len() - rest.len();
        Some(Record { before, arguments, after })
    }

    /// Makes it empty. Its memory is kept for what comes next, where that is not uncommonly much.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        (self.calls, self.at) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_in_comes_out_in_its_order(
            calls in prop::collection::vec((".{0,40}", prop::option::of(("[a-z]{1,9}", any::<Index>()))), 0..20)
        ) {
            let mut batch = Batch::default();
            for round in 0..2 {
                for (members, left) in &calls {
                    let members = members.as_bytes();
                    let left = left.as_ref().map(|(arguments, at)| Left { at: at.index(members.len() + 1), arguments: arguments.as_bytes() });
                    prop_assert!(batch.push(members, left));
                }
                prop_assert_eq!(batch.calls(), calls.len());
                for (members, left) in &calls {
                    let record = batch.take().expect("one more");
                    let (arguments, at) = left.as_ref().map_or((&b""[..], members.len()), |(arguments, at)| (arguments.as_bytes(), at.index(members.len() + 1)));
                    let (before, after) = members.as_bytes().split_at(at);
                    prop_assert_eq!(record, Record { before, arguments, after }, "round {}", round);
                }
                prop_assert_eq!(batch.take(), None);
                batch.clear();
            }
        }
    }

    #[test]
    fn what_waits_is_bounded_by_its_number_and_by_its_bytes() {
        let mut batch = Batch::default();
        assert_eq!((0..2 * ROOM).filter(|_| batch.push(b"member", None)).count(), ROOM);
        batch.clear();
        let large = vec![b'x'; BYTES / 4];
        let fits = (0..8).filter(|_| batch.push(b"member", Some(Left { at: 3, arguments: &large }))).count();
        assert!(fits == 3 && batch.weight() < BYTES, "{fits}");
        batch.clear();
        assert!(batch.bytes.capacity() <= KEPT && batch.push(b"member", None));
    }
}
