//! Whether what somebody says of a key can be kept: names that the configuration has, patterns, networks, times.

use toolgate_admin_api as api;

use super::super::super::daemon::Daemon;
use crate::config::{Settings, kind, nearest, units};
use crate::identity::store::record::Record;
use crate::observe::is_unfit;

/// Characters of a name or a pattern.
const LONGEST: usize = 128;
/// Patterns, and networks, of one key.
const MOST: usize = 64;
/// The longest that a key is made for, in seconds: what is to last longer has no end.
const LONGEST_LIFE: u64 = 100 * 365 * 86_400;
const DAY_MS: u64 = 86_400_000;

/// Why it cannot: the member that is to blame, what is wrong, and what to do.
pub(super) struct Unfit {
    pub(super) field: &'static str,
    pub(super) message: String,
    pub(super) remedy: String,
}

fn unfit<T>(field: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Result<T, Unfit> {
    Err(Unfit { field, message: message.into(), remedy: remedy.into() })
}

/// What is said of a key, whoever says it.
pub(super) struct Said<'a> {
    pub(super) owner: &'a str,
    pub(super) organisation: Option<&'a str>,
    pub(super) tier: Option<&'a str>,
    pub(super) roles: &'a [String],
    pub(super) scopes: &'a [String],
    pub(super) networks: &'a [String],
}

impl Daemon {
    /// The record of a key that is to be made now.
    pub(super) fn fitting(&self, request: &api::KeyRequest, now_ms: u64) -> Result<Record, api::ApiError> {
        let said = Said {
            owner: &request.owner,
            organisation: request.organisation.as_deref(),
            tier: request.tier.as_deref(),
            roles: &request.roles,
            scopes: &request.scopes,
            networks: &request.networks,
        };
        let record = said.record(&self.gate.policy.load().settings).and_then(|record| {
            let expires_ms = request.expires_seconds.map(|seconds| life(seconds, now_ms)).transpose()?;
            Ok(Record { created_ms: now_ms, expires_ms, ..record })
        });
        record.map_err(|unfit| {
            api::ApiError::new(api::ErrorCode::BadRequest, unfit.message).remedy(unfit.remedy).field(unfit.field)
        })
    }
}

impl Said<'_> {
    /// The record, without its times.
    pub(super) fn record(&self, settings: &Settings) -> Result<Record, Unfit> {
        named("owner", self.owner)?;
        let organisation = self
            .organisation
            .map(|name| known("organisation", name, settings.organisations.keys().map(String::as_str)));
        let tier = self.tier.map(|name| known("tier", name, settings.tiers.keys().map(String::as_str)));
        let role = |name: &String| known("role", name, settings.roles.keys().map(String::as_str));
        for (field, all) in [("roles", self.roles), ("scopes", self.scopes), ("networks", self.networks)] {
            if all.len() > MOST {
                return unfit(field, format!("A key has {MOST} {field} at most."), "Write fewer that say more.");
            }
        }
        for scope in self.scopes {
            named("scopes", scope)?;
        }
        let network = |text: &String| match kind::network(text) {
            Ok(network) => Ok(network.to_string()),
            Err(fault) => unfit("networks", format!("{}.", api::Shown(&fault.message)), sentence(&fault.help)),
        };
        Ok(Record {
            owner: self.owner.to_owned(),
            organisation: organisation.transpose()?,
            tier: tier.transpose()?,
            roles: self.roles.iter().map(role).collect::<Result<_, _>>()?,
            scopes: self.scopes.to_vec(),
            networks: self.networks.iter().map(network).collect::<Result<_, _>>()?,
            ..Record::default()
        })
    }
}

/// A day, as the time of its beginning.
pub(super) fn day(field: &'static str, text: &str) -> Result<u64, Unfit> {
    match units::date(text) {
        Ok(seconds) => Ok(seconds * 1000),
        Err(help) => unfit(field, format!("{} is no day.", api::Shown(text)), sentence(help)),
    }
}

fn life(seconds: u64, now_ms: u64) -> Result<u64, Unfit> {
    if seconds == 0 || seconds > LONGEST_LIFE {
        let days = LONGEST_LIFE * 1000 / DAY_MS;
        return unfit(
            "expires_seconds",
            format!("A key is valid for one second to {days} days, or without an end."),
            "Say a time within that, or none.",
        );
    }
    Ok(now_ms + seconds * 1000)
}

fn named(field: &'static str, text: &str) -> Result<(), Unfit> {
    if text.is_empty() || text.chars().count() > LONGEST || text.chars().any(is_unfit) {
        let message = format!("This is no text for `{field}`: {:?}.", api::Shown(text).to_string());
        return unfit(field, message, format!("Write 1 to {LONGEST} characters that can be shown."));
    }
    Ok(())
}

fn known<'a>(field: &'static str, name: &str, names: impl Iterator<Item = &'a str> + Clone) -> Result<String, Unfit> {
    if names.clone().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    let remedy = match nearest(name, names) {
        Some(near) => format!("Did you mean {near}?"),
        None => format!("Write [{field}.NAME] into the files, and `toolgate config reload`."),
    };
    unfit(field, format!("There is no {field} {}.", api::Shown(name)), remedy)
}

/// A help of the configuration's as a sentence.
fn sentence(help: &str) -> String {
    let mut letters = help.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
