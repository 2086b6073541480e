//! One list result made of the entries of many.
//! Called after the lists of several servers have arrived.
//! Must hold: entries are copied as they are but for their edits; nothing else of the single results is carried over.

use super::CacheHints;
use crate::json::encode_str;
use crate::splice::{self, Edit};

/// A list result in the making.
#[derive(Clone, Debug)]
pub struct Merged {
    out: Vec<u8>,
    count: usize,
    hints: Option<CacheHints>,
}

impl Merged {
    /// An empty list under `member` (`tools`, `prompts`, ...).
    #[must_use]
    pub fn new(member: &str) -> Self {
        let mut out = Vec::with_capacity(4096);
        out.push(b'{');
        out.extend_from_slice(encode_str(member).as_bytes());
        out.extend_from_slice(b":[");
        Self { out, count: 0, hints: None }
    }

    /// Appends an entry (raw JSON) with edits in spans of `entry`.
    pub fn push(&mut self, entry: &[u8], edits: &mut [Edit<'_>]) {
        if self.count > 0 {
            self.out.push(b',');
        }
        self.count += 1;
        splice::apply_to(&mut self.out, entry, edits);
    }

    /// Takes one part's hints into account.
    pub fn limit(&mut self, hints: CacheHints) {
        self.hints = Some(self.hints.map_or(hints, |all| all.and(hints)));
    }

    /// Entries so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no entry yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes so far.
    #[must_use]
    pub fn size(&self) -> usize {
        self.out.len()
    }

    /// The result as a legacy client expects it.
    #[must_use]
    pub fn finish_legacy(mut self, next_cursor: Option<&str>) -> Vec<u8> {
        self.end(next_cursor);
        self.out.push(b'}');
        self.out
    }

    /// The result as a modern client demands it: `resultType` and cache hints are required there.
    #[must_use]
    pub fn finish_modern(mut self, next_cursor: Option<&str>) -> Vec<u8> {
        self.end(next_cursor);
        let CacheHints { ttl_ms, scope } = self.hints.unwrap_or_default();
        let scope = scope.as_str();
        let tail = format!(",\"resultType\":\"complete\",\"ttlMs\":{ttl_ms},\"cacheScope\":\"{scope}\"}}");
        self.out.extend_from_slice(tail.as_bytes());
        self.out
    }

    fn end(&mut self, next_cursor: Option<&str>) {
        self.out.push(b']');
        if let Some(cursor) = next_cursor {
            self.out.extend_from_slice(b",\"nextCursor\":");
            self.out.extend_from_slice(encode_str(cursor).as_bytes());
        }
    }
}
