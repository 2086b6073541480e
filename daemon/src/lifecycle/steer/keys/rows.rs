//! Keys as operators see them.

use toolgate_admin_api as api;

use super::super::super::daemon::Daemon;
use super::{unknown, unreadable};
use crate::admin::KeysQuery;
use crate::clock;
use crate::config::settings::Key;
use crate::identity::proofs::Proof;
use crate::identity::store::file::Use;
use crate::identity::store::record::{Record, Standing, Stored};

impl Daemon {
    /// A part of the keys of files and store, in one order.
    pub(super) fn rows_of_keys(&self, query: &KeysQuery) -> Result<api::Keys, api::ApiError> {
        let (policy, now, store) = (self.gate.policy.load_full(), clock::unix_millis(), &self.gate.keys);
        let configured = &policy.settings.keys;
        let behind = |id: &str| query.after.as_deref().is_none_or(|after| id > after);
        let files = configured.values().filter(|key| behind(&key.id));
        let mut rows: Vec<_> = files.map(|key| self.of_files(key)).filter(|row| fits(row, query)).collect();
        let mut stored = Vec::new();
        if !store.index().is_empty() {
            let walked = store.walk(query.after.as_deref(), |id, record, used| {
                if !configured.contains_key(id) {
                    stored.push(of_store(id, &record, used, now));
                    if !stored.last().is_some_and(|row| fits(row, query)) {
                        stored.pop();
                    }
                }
                // One more than is told, so that it is known whether there are more.
                stored.len() <= query.limit
            });
            walked.map_err(|problem| unreadable(&problem))?;
        }
        rows.extend(stored);
        rows.sort_by(|one, other| one.id.cmp(&other.id));
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let next = rows.last().filter(|_| more).map(|row| row.id.clone());
        let both = configured.keys().filter(|id| store.index().of(id).is_some()).count();
        let total = (configured.len() + store.index().len() - both) as u64;
        Ok(api::Keys { total, keys: rows, next })
    }

    /// One key.
    pub(super) fn row_of_key(&self, id: &str) -> Result<api::KeyRow, api::ApiError> {
        let policy = self.gate.policy.load_full();
        if let Some(key) = policy.settings.keys.get(id) {
            return Ok(self.of_files(key));
        }
        if self.gate.keys.index().of(id).is_none() {
            return Err(unknown(id));
        }
        let now = clock::unix_millis();
        let (key, used) = self.gate.keys.key(id).map_err(|problem| unreadable(&problem))?.ok_or_else(|| unknown(id))?;
        Ok(api::KeyRow { overlap_until_ms: overlap(&key, now), ..of_store(id, &key.record, used, now) })
    }

    fn of_files(&self, key: &Key) -> api::KeyRow {
        api::KeyRow {
            id: key.id.clone(),
            owner: api::Shown(&key.owner).to_string(),
            organisation: key.organisation.as_ref().map(|organisation| organisation.name.clone()),
            tier: key.tier.as_ref().map(|tier| tier.name.clone()),
            roles: key.roles.iter().map(|role| role.name.clone()).collect(),
            scopes: key.scopes.clone(),
            created_ms: key.created.map(|seconds| seconds.saturating_mul(1000)),
            in_files: true,
            in_store: self.gate.keys.index().of(&key.id).is_some(),
            ..api::KeyRow::default()
        }
    }
}

fn fits(row: &api::KeyRow, query: &KeysQuery) -> bool {
    let state = row.state.to_string();
    query.filter.fit(|| {
        let places = [row.in_files.then_some("files"), row.in_store.then_some("store")];
        let names = [Some(row.id.as_str()), Some(&row.owner), row.organisation.as_deref(), row.tier.as_deref()];
        names.into_iter().chain(places).chain([Some(state.as_str())]).flatten().collect()
    })
}

/// A key of the store.
pub(super) fn of_store(id: &str, record: &Record, (last_used, uses): Use, now_ms: u64) -> api::KeyRow {
    let (suspended, revoked) = match &record.standing {
        Standing::Active => (None, None),
        Standing::Suspended(suspension) => (Some(suspension.clone()), None),
        Standing::Revoked { at_ms, who } => (None, Some((*at_ms, who.clone()))),
    };
    let (revoked_ms, revoked_by) = revoked.unzip();
    api::KeyRow {
        id: id.to_owned(),
        owner: api::Shown(&record.owner).to_string(),
        organisation: record.organisation.clone(),
        tier: record.tier.clone(),
        roles: record.roles.clone(),
        scopes: record.scopes.clone(),
        networks: record.networks.clone(),
        state: state(record, now_ms),
        created_ms: Some(record.created_ms).filter(|created| *created > 0),
        expires_ms: record.expires_ms,
        rotated_ms: record.rotated_ms,
        overlap_until_ms: None,
        suspended,
        revoked_ms,
        revoked_by,
        last_used_ms: Some(last_used).filter(|last| *last > 0),
        uses,
        in_files: false,
        in_store: true,
    }
}

/// What a key is now: one that was taken away is that, whatever else it is.
pub(super) fn state(record: &Record, now_ms: u64) -> api::KeyState {
    match &record.standing {
        Standing::Revoked { .. } => api::KeyState::Revoked,
        _ if record.is_over(now_ms) => api::KeyState::Expired,
        Standing::Suspended(suspension) if suspension.until_ms.is_none_or(|until| now_ms < until) => {
            api::KeyState::Suspended
        }
        Standing::Suspended(_) | Standing::Active => api::KeyState::Active,
    }
}

/// Until when the secret before the newest opens too.
pub(super) fn overlap(key: &Stored, now_ms: u64) -> Option<u64> {
    let Proof { until_ms, .. } = key.proofs[1];
    (until_ms > now_ms).then_some(until_ms)
}
