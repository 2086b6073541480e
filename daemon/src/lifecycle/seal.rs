//! Sealing keys, for those who operate the daemon.

use toolgate_admin_api as api;

use super::daemon::Daemon;
use crate::admin::SealOperations;
use crate::seal::{NotRotated, Origin, Standing};

impl SealOperations for Daemon {
    fn seal_keys(&self) -> api::SealKeys {
        told(&self.gate.seal.standing())
    }

    fn rotate_seal(&self, request: &api::SealRotate) -> Result<api::SealRotation, api::ApiError> {
        let before = self.gate.seal.standing().keys.into_iter().next().map(|key| key.id).unwrap_or_default();
        let standing = self.gate.seal.rotate(request.alone, request.dry_run).map_err(refused)?;
        let after = standing.keys.first().filter(|_| !request.dry_run).map(|key| key.id.clone());
        let former = standing.keys.iter().find(|key| key.id == before);
        Ok(api::SealRotation {
            applied: !request.dry_run,
            opens_until_ms: former.and_then(|key| key.opens_until_ms),
            before,
            after: after.unwrap_or_default(),
        })
    }
}

fn refused(why: NotRotated) -> api::ApiError {
    match why {
        NotRotated::Configured => {
            api::ApiError::new(api::ErrorCode::Conflict, "The configuration names the key that seals.").remedy(
                "Write another key into the place of `seal.key` and the present one into that of `seal.other_key`, on \
                 every node, then reload.",
            )
        }
        NotRotated::NotKept(problem) => {
            api::ApiError::new(api::ErrorCode::Internal, format!("A new key cannot be kept: {problem}.")).remedy(
                "Nothing was changed. See that the daemon may write to its state folder, and that there is room.",
            )
        }
    }
}

fn told(standing: &Standing) -> api::SealKeys {
    let row = |(index, key): (usize, &crate::seal::Shown)| api::SealKeyRow {
        id: key.id.clone(),
        seals: index == 0,
        configured: key.origin == Origin::Configured,
        made_at_ms: key.made_ms,
        opens_until_ms: key.opens_until_ms,
    };
    api::SealKeys {
        keys: standing.keys.iter().enumerate().map(row).collect(),
        kept: standing.kept,
        overlap_seconds: standing.sealing.overlap.as_secs(),
        rotate_every_seconds: standing.sealing.rotate_every.map(|every| every.as_secs()),
    }
}
