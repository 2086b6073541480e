//! Keys that come from elsewhere: out of the files of the configuration, or with the hashes of their secrets.

use std::collections::BTreeSet;

use toolgate_admin_api as api;
use toolgate_protocol::key as text;

use super::super::super::daemon::Daemon;
use super::fit::{Said, Unfit, day};
use super::{unknown, unwritten};
use crate::config::Settings;
use crate::config::settings::Key;
use crate::identity::proofs::Proof;
use crate::identity::store::change::{Change, Refused};
use crate::identity::store::record::{Record, Stored};

/// Ids that an outcome names.
const NAMED: usize = 100;
/// Things that are wrong of which an answer tells.
const TOLD: usize = 100;

impl Daemon {
    /// Takes keys of the files into the store, as they are written there: one, or all that it does not have yet.
    pub(super) fn take_from_files(&self, id: Option<&str>, dry_run: bool) -> Result<api::KeysOutcome, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let configured = &policy.settings.keys;
        let new = match id {
            Some(id) if self.gate.keys.index().of(id).is_some() => {
                let message = format!("The store has the key {} already.", api::Shown(id));
                return Err(api::ApiError::new(api::ErrorCode::BadRequest, message)
                    .remedy("Take its lines out of the files, and `toolgate config reload`.")
                    .field("path"));
            }
            Some(id) => vec![configured.get(id).ok_or_else(|| unknown(id))?],
            None => configured.values().filter(|key| self.gate.keys.index().of(&key.id).is_none()).collect(),
        };
        let new = new.into_iter().map(|key| (key.id.clone(), as_written(key))).collect();
        self.take(new, dry_run)
    }

    /// Takes keys in that were made elsewhere.
    pub(super) fn take_in(&self, request: &api::ImportRequest) -> Result<api::KeysOutcome, api::ApiError> {
        let settings = std::sync::Arc::clone(&self.gate.policy.load().settings);
        let (mut new, mut wrong, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (at, key) in (1_u64..).zip(&request.keys) {
            let taken = self.gate.keys.index().of(&key.id).is_some() || settings.keys.contains_key(&key.id);
            let fits = match imported(key, &settings) {
                Ok(_) if taken || !seen.insert(&key.id) => Err(Unfit {
                    field: "id",
                    message: format!("There is a key {} already.", api::Shown(&key.id)),
                    remedy: "Leave it out, or give it another id.".into(),
                }),
                fits => fits,
            };
            match fits {
                Ok(stored) => new.push((key.id.clone(), stored)),
                Err(unfit) if wrong.len() < TOLD => wrong.push(problem(unfit, key.line.unwrap_or(at))),
                Err(_) => {}
            }
        }
        if !wrong.is_empty() {
            let message = "Nothing was imported: not all of these keys can be.";
            let refused = api::ApiError::new(api::ErrorCode::BadRequest, message)
                .remedy("Mend the lines that are named, and import all of them again.")
                .field("keys");
            return Err(api::ApiError { problems: wrong, ..refused });
        }
        self.take(new, request.dry_run)
    }

    fn take(&self, new: Vec<(String, Stored)>, dry_run: bool) -> Result<api::KeysOutcome, api::ApiError> {
        let added = new.len() as u64;
        let ids = new.iter().map(|(id, _)| id.clone()).take(NAMED).collect();
        if !dry_run && !new.is_empty() {
            let changes = new.into_iter().map(|(id, key)| (id, Change::Add(Box::new(key)))).collect();
            let made = self.gate.keys.change(changes).map_err(|problem| unwritten(&problem))?;
            // Somebody was faster by a moment.
            made.map_err(|(_, refused)| {
                let message = match refused {
                    Refused::Exists => "Meanwhile one of these keys is there.",
                    _ => "One of these keys cannot be added.",
                };
                api::ApiError::new(api::ErrorCode::BadRequest, message).remedy("Nothing was changed; try again.")
            })?;
        }
        Ok(api::KeysOutcome { applied: !dry_run, added, ids })
    }
}

/// A key as its lines have it. A tier that it has from its organisation is not its own.
fn as_written(key: &Key) -> Stored {
    let name = |organisation: &std::sync::Arc<crate::config::settings::Organisation>| organisation.name.clone();
    let tier_of_organisation = key.organisation.as_ref().and_then(|organisation| organisation.tier.as_ref());
    let own_tier = key.tier.as_ref().filter(|tier| tier_of_organisation.is_none_or(|other| other.name != tier.name));
    let record = Record {
        owner: key.owner.clone(),
        organisation: key.organisation.as_ref().map(name),
        tier: own_tier.map(|tier| tier.name.clone()),
        roles: key.roles.iter().map(|role| role.name.clone()).collect(),
        scopes: key.scopes.clone(),
        created_ms: key.created.unwrap_or_default().saturating_mul(1000),
        ..Record::default()
    };
    Stored { record, proofs: [Proof::lasting(key.sha256), Proof::NONE] }
}

fn imported(key: &api::KeyImport, settings: &Settings) -> Result<Stored, Unfit> {
    if !text::is_id(&key.id) {
        let message = format!("{:?} is no id of a key.", api::Shown(&key.id).to_string());
        let remedy = "Write 4 to 32 lower-case letters and digits: what stands between the two `_` of the key.";
        return Err(Unfit { field: "id", message, remedy: remedy.into() });
    }
    let sha256 = text::parse_hash(&key.hash).map_err(|why| Unfit {
        field: "hash",
        message: format!("The hash of {} cannot be read: {why}.", key.id),
        remedy: "Write \"sha256:\" and the SHA-256 of the secret part in hexadecimal, never the key itself.".into(),
    })?;
    let said = Said {
        owner: &key.owner,
        organisation: key.organisation.as_deref(),
        tier: key.tier.as_deref(),
        roles: &key.roles,
        scopes: &key.scopes,
        networks: &key.networks,
    };
    let created_ms = key.created.as_deref().map(|text| day("created", text)).transpose()?;
    let expires_ms = key.expires.as_deref().map(|text| day("expires", text)).transpose()?;
    let record = Record { created_ms: created_ms.unwrap_or_default(), expires_ms, ..said.record(settings)? };
    Ok(Stored { record, proofs: [Proof::lasting(sha256), Proof::NONE] })
}

fn problem(unfit: Unfit, line: u64) -> api::ConfigProblem {
    api::ConfigProblem {
        severity: api::Severity::Error,
        message: unfit.message,
        remedy: Some(unfit.remedy),
        file: None,
        line: Some(line),
        column: None,
        key: Some(unfit.field.to_owned()),
        report: None,
    }
}
