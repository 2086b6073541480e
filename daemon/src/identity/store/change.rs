//! How keys change: what each change makes of a key, or why not. Decided without I/O.

use toolgate_admin_api::Suspension;

use super::record::{Standing, Stored};
use crate::identity::proofs::Proof;

/// A change of one key.
#[derive(Debug, Clone)]
pub enum Change {
    /// A key that is new.
    Add(Box<Stored>),
    /// Another secret; the one before opens until `until_ms`.
    Rotate {
        /// Its hash.
        sha256: [u8; 32],
        /// When the secret before ceases to open; not later than now: at once.
        until_ms: u64,
        /// Now.
        now_ms: u64,
    },
    /// It may not be used for now.
    Suspend(Suspension),
    /// It may again.
    Resume,
    /// It may never be used again.
    Revoke {
        /// Now.
        at_ms: u64,
        /// Who takes it away.
        who: String,
    },
}

/// Why a change is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no such key.
    Unknown,
    /// There is one already.
    Exists,
    /// It was taken away for good.
    Revoked,
    /// It is not suspended.
    NotSuspended,
    /// It has ended by itself.
    Over,
}

impl Change {
    /// What becomes of a key.
    ///
    /// # Errors
    /// Why nothing does.
    pub fn apply(self, before: Option<&Stored>) -> Result<Stored, Refused> {
        let known = before.ok_or(Refused::Unknown);
        if let Self::Add(new) = self {
            return if before.is_some() { Err(Refused::Exists) } else { Ok(*new) };
        }
        let mut key = known?.clone();
        if matches!(key.record.standing, Standing::Revoked { .. }) {
            return Err(Refused::Revoked);
        }
        match self {
            Self::Add(_) => {}
            Self::Rotate { now_ms, .. } if key.record.is_over(now_ms) => return Err(Refused::Over),
            Self::Rotate { sha256, until_ms, now_ms } => {
                // The secret that is handed out now is the newest: what came before it ends, and what came before that.
                let before = key.proofs[0];
                let until_ms = until_ms.min(before.until_ms);
                let overlap = if until_ms > now_ms { Proof { until_ms, ..before } } else { Proof::NONE };
                key.proofs = [Proof::lasting(sha256), overlap];
                key.record.rotated_ms = Some(now_ms);
            }
            Self::Suspend(suspension) => key.record.standing = Standing::Suspended(suspension),
            Self::Resume if key.record.standing == Standing::Active => return Err(Refused::NotSuspended),
            Self::Resume => key.record.standing = Standing::Active,
            Self::Revoke { at_ms, who } => key.record.standing = Standing::Revoked { at_ms, who },
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::Record;
    use super::*;

    fn key(secret: u8) -> Stored {
        Stored { record: Record::default(), proofs: [Proof::lasting([secret; 32]), Proof::NONE] }
    }

    fn rotate(secret: u8, until_ms: u64, now_ms: u64) -> Change {
        Change::Rotate { sha256: [secret; 32], until_ms, now_ms }
    }

    #[test]
    fn both_secrets_open_during_the_overlap_and_never_three() {
        let once = rotate(2, 200, 100).apply(Some(&key(1))).unwrap();
        assert_eq!(once.proofs, [Proof::lasting([2; 32]), Proof { sha256: [1; 32], until_ms: 200 }]);
        let twice = rotate(3, 300, 150).apply(Some(&once)).unwrap();
        assert_eq!(twice.proofs, [Proof::lasting([3; 32]), Proof { sha256: [2; 32], until_ms: 300 }]);
        let at_once = rotate(4, 160, 160).apply(Some(&twice)).unwrap();
        assert_eq!(at_once.proofs, [Proof::lasting([4; 32]), Proof::NONE]);
    }

    #[test]
    fn what_is_over_is_not_given_another_secret() {
        let mut over = key(1);
        over.record.expires_ms = Some(100);
        assert_eq!(rotate(2, 200, 100).apply(Some(&over)), Err(Refused::Over));
        assert!(rotate(2, 200, 99).apply(Some(&over)).is_ok());
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Add,
        Rotate,
        Suspend,
        Resume,
        Revoke,
    }

    proptest! {
        /// Whatever is done in whatever order, a key that was revoked stays so, and nothing changes what is not there.
        #[test]
        fn revoked_is_for_good(steps in prop::collection::vec(
            prop::sample::select(vec![Step::Add, Step::Rotate, Step::Suspend, Step::Resume, Step::Revoke]), 0..20)
        ) {
            let (mut known, mut was_revoked) = (None::<Stored>, false);
            for (now, step) in (1_u64..).zip(steps) {
                let change = match step {
                    Step::Add => Change::Add(Box::new(key(1))),
                    Step::Rotate => rotate(2, now + 10, now),
                    Step::Suspend => Change::Suspend(Suspension::default()),
                    Step::Resume => Change::Resume,
                    Step::Revoke => Change::Revoke { at_ms: now, who: String::new() },
                };
                let outcome = change.apply(known.as_ref());
                match (&known, step) {
                    (None, Step::Add) => prop_assert!(outcome.is_ok()),
                    (None, _) => prop_assert_eq!(&outcome, &Err(Refused::Unknown)),
                    (Some(_), Step::Add) => prop_assert_eq!(&outcome, &Err(Refused::Exists)),
                    (Some(_), _) if was_revoked => prop_assert_eq!(&outcome, &Err(Refused::Revoked)),
                    (Some(_), _) => {}
                }
                if let Ok(now_known) = outcome {
                    was_revoked |= matches!(step, Step::Revoke);
                    prop_assert_eq!(was_revoked, now_known.record.standing.word() == "revoked");
                    known = Some(now_known);
                }
            }
        }
    }
}
