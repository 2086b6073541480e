//! What the store keeps of a key, and how that is laid out in its file.

use serde::{Deserialize, Serialize};
use toolgate_admin_api::Suspension;

use crate::identity::proofs::Proof;

/// Bytes of a line.
const LINE: usize = 2 * (32 + 8) + 8 + 8;

/// A key, but for its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What is known of it.
    pub record: Record,
    /// What opens it: while it is rotated, two.
    pub proofs: [Proof; 2],
}

/// What is known of a key, without what opens it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The client's name for people.
    pub owner: String,
    /// The organisation that it belongs to, by name.
    pub organisation: Option<String>,
    /// The set of limits, by name; none: its organisation's.
    pub tier: Option<String>,
    /// Roles that it has beside its organisation's, by name.
    pub roles: Vec<String>,
    /// What it may use of what its roles allow, as globs over `server/name`; empty: all of that.
    pub scopes: Vec<String>,
    /// Networks that it may come from; empty: any.
    pub networks: Vec<String>,
    /// When it was made, in milliseconds since 1970; 0 where nobody knows.
    pub created_ms: u64,
    /// When it ends.
    pub expires_ms: Option<u64>,
    /// When its secret was last changed.
    pub rotated_ms: Option<u64>,
    /// Whether it may be used.
    pub standing: Standing,
}

/// Whether a key may be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It may.
    #[default]
    Active,
    /// Not for now, and its client reads why.
    Suspended(Suspension),
    /// Never again.
    Revoked {
        /// Since when.
        at_ms: u64,
        /// Who took it away.
        who: String,
    },
}

impl Standing {
    /// In a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended(_) => "suspended",
            Self::Revoked { .. } => "revoked",
        }
    }
}

impl Record {
    /// Whether it has ended by itself.
    #[must_use]
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|end| end <= now_ms)
    }

    /// As it stands in the file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record has no keys but texts")
    }

    /// Reads it.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|problem| problem.to_string())
    }
}

/// What every call may need of a key, in a fixed size: a start reads all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What opens it.
    pub proofs: [Proof; 2],
    /// When it ends, by itself or because it was revoked; [`u64::MAX`]: never.
    pub expires_ms: u64,
    /// Since when its secret is the same; 0 where nobody knows.
    pub since_ms: u64,
}

impl Stored {
    /// Its line.
    #[must_use]
    pub fn line(&self) -> Line {
        let Record { expires_ms, created_ms, rotated_ms, standing, .. } = &self.record;
        let expires_ms = expires_ms.unwrap_or(u64::MAX);
        Line {
            proofs: self.proofs,
            expires_ms: if let Standing::Revoked { at_ms, .. } = standing {
                expires_ms.min(*at_ms)
            } else {
                expires_ms
            },
            since_ms: rotated_ms.unwrap_or(*created_ms),
        }
    }
}

impl Line {
    /// As it stands in the file: each hash and its end, then the two times.
    pub(super) fn to_bytes(self) -> [u8; LINE] {
        let mut bytes = [0; LINE];
        let (proofs, times) = bytes.split_at_mut(LINE - 16);
        for (proof, place) in self.proofs.iter().zip(proofs.chunks_exact_mut(40)) {
            place[..32].copy_from_slice(&proof.sha256);
            place[32..].copy_from_slice(&proof.until_ms.to_le_bytes());
        }
        times[..8].copy_from_slice(&self.expires_ms.to_le_bytes());
        times[8..].copy_from_slice(&self.since_ms.to_le_bytes());
        bytes
    }

    /// Reads it; `None` where it is cut.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LINE] = bytes.try_into().ok()?;
        let number = |at: usize| Some(u64::from_le_bytes(bytes[at..at + 8].try_into().ok()?));
        let proof = |at: usize| Some(Proof { sha256: bytes[at..at + 32].try_into().ok()?, until_ms: number(at + 32)? });
        Some(Self { proofs: [proof(0)?, proof(40)?], expires_ms: number(80)?, since_ms: number(88)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_line_is_read_as_it_is_written(
            hashes in any::<[[u8; 32]; 2]>(), ends in any::<[u64; 2]>(), times in any::<[u64; 2]>(), cut in 0_usize..LINE
        ) {
            let proofs = [0, 1].map(|at| Proof { sha256: hashes[at], until_ms: ends[at] });
            let line = Line { proofs, expires_ms: times[0], since_ms: times[1] };
            prop_assert_eq!(Line::from_bytes(&line.to_bytes()), Some(line));
            prop_assert_eq!(Line::from_bytes(&line.to_bytes()[..cut]), None);
        }
    }

    #[test]
    fn a_record_of_a_later_release_is_read_as_far_as_it_is_known() {
        let text = br#"{"owner":"ann","scopes":["w/*"],"colour":"red","standing":{"revoked":{"at_ms":1,"who":"bo"}}}"#;
        let record = Record::from_bytes(text).unwrap();
        assert_eq!((record.owner.as_str(), record.standing.word()), ("ann", "revoked"));
        assert_eq!(Record::from_bytes(&record.to_bytes()), Ok(record));
        assert!(Record::from_bytes(br#"{"standing":"exalted"}"#).is_err(), "what forbids more must not be overlooked");
    }
}
