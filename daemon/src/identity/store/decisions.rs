//! What was decided about keys, kept for the calls: bounded, in shards, good for five minutes.
//!
//! A decision holds for one version of its key and for one configuration. Whoever asks knows both, so that no decision
//! has to be taken out when either changes, and none can be put in too late.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use quick_cache::sync::Cache;

use super::record::{Record, Standing};
use super::uses::Used;
use crate::clock;
use crate::config::Settings;
use crate::identity::{Client, Persona};
use crate::steering::clients::Holds;

/// Decisions that are kept.
const MOST: usize = 32_768;
/// How long one is good, in milliseconds.
const GOOD_FOR: u64 = 5 * 60_000;

/// What a key is, for a configuration.
#[derive(Debug)]
pub struct Decision {
    /// Who calls with it.
    pub client: Arc<Client>,
    /// It was taken away.
    pub revoked: bool,
    /// When it ends.
    pub expires_ms: Option<u64>,
    /// Its tier, organisation or one of its roles, where the configuration does not have it: what would bound its calls is not known.
    pub lacks: Option<String>,
    networks: Vec<IpNet>,
    used: Arc<Used>,
    version: u64,
    settings: Arc<Settings>,
    made: u64,
}

impl Decision {
    /// What a record means under these settings.
    pub(super) fn new(id: &str, record: &Record, used: Arc<Used>, version: u64, settings: &Arc<Settings>) -> Self {
        let organisation = record.organisation.as_ref().map(|name| (name, settings.organisations.get(name).cloned()));
        let tier = record.tier.as_ref().map(|name| (name, settings.tiers.get(name).cloned()));
        let role = record.roles.iter().find(|name| !settings.roles.contains_key(*name));
        let lacks = match (&organisation, &tier, role) {
            (Some((name, None)), ..) => Some(format!("organisation {name}")),
            (_, Some((name, None)), _) => Some(format!("tier {name}")),
            (.., Some(name)) => Some(format!("role {name}")),
            _ => None,
        };
        let organisation = organisation.and_then(|(_, found)| found);
        let own_tier = tier.and_then(|(_, found)| found);
        let client = Client::new(Persona {
            id: format!("key:{id}"),
            owner: record.owner.clone(),
            tier: own_tier.or_else(|| organisation.as_ref()?.tier.clone()),
            organisation,
            scopes: record.scopes.clone(),
            roles: record.roles.iter().filter_map(|name| settings.roles.get(name).cloned()).collect(),
            ..Persona::default()
        });
        let client = match &record.standing {
            Standing::Suspended(suspension) => client.suspended(Holds::new(suspension.clone())),
            Standing::Active | Standing::Revoked { .. } => client,
        };
        Self {
            client: Arc::new(client),
            revoked: matches!(record.standing, Standing::Revoked { .. }),
            expires_ms: record.expires_ms,
            lacks,
            // They were checked when they were written; one that cannot be read opens to nobody.
            networks: record.networks.iter().map(|network| network.parse().unwrap_or(NOWHERE)).collect(),
            used,
            version,
            settings: Arc::clone(settings),
            made: clock::millis(),
        }
    }

    /// Whether the key may come from there.
    pub fn comes_from(&self, address: IpAddr) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&address))
    }

    /// Takes note of a call that began then, by [`clock::millis`].
    pub fn use_then(&self, then: u64) {
        self.used.note(then);
    }

    fn holds(&self, version: u64, settings: &Arc<Settings>) -> bool {
        self.version == version && Arc::ptr_eq(&self.settings, settings) && clock::millis_since(self.made) < GOOD_FOR
    }
}

/// The unspecified address alone, from which nothing comes.
const NOWHERE: IpNet = IpNet::new_assert(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), 128);

/// Decisions by the ids of keys.
#[derive(Debug)]
pub struct Decisions(Cache<Box<str>, Arc<Decision>>);

impl Default for Decisions {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl Decisions {
    /// One that holds for this version of a key, and for these settings.
    pub fn get(&self, id: &str, version: u64, settings: &Arc<Settings>) -> Option<Arc<Decision>> {
        self.0.get(id).filter(|decision| decision.holds(version, settings))
    }

    /// Keeps one.
    pub fn put(&self, id: &str, decision: &Arc<Decision>) {
        self.0.insert(id.into(), Arc::clone(decision));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::rights::Kind;

    fn settings() -> Arc<Settings> {
        let text = "version = 1\n[tier.free]\nlimits = []\n[role.reader]\nallow = [\"*/read_*\"]\n";
        Arc::new(crate::config::from_text(text).unwrap())
    }

    fn decision(record: &Record, version: u64, settings: &Arc<Settings>) -> Arc<Decision> {
        Arc::new(Decision::new("ann1", record, Arc::default(), version, settings))
    }

    #[test]
    fn a_decision_holds_for_its_version_and_its_configuration() {
        let (settings, decisions) = (settings(), Decisions::default());
        decisions.put("ann1", &decision(&Record::default(), 3, &settings));
        assert!(decisions.get("ann1", 3, &settings).is_some());
        assert!(decisions.get("ann1", 4, &settings).is_none());
        assert!(decisions.get("ann1", 3, &self::settings()).is_none());
        assert!(decisions.get("ann2", 3, &settings).is_none());
    }

    #[test]
    fn what_the_configuration_does_not_have_is_told() {
        let settings = settings();
        let of = |tier: &str| decision(&Record { tier: Some(tier.into()), ..Record::default() }, 1, &settings);
        assert_eq!(of("free").client.tier.as_ref().map(|tier| tier.name.as_str()), Some("free"));
        assert_eq!((of("free").lacks.as_deref(), of("gold").lacks.as_deref()), (None, Some("tier gold")));
    }

    #[test]
    fn roles_are_those_of_the_configuration_and_none_is_missed() {
        let settings = settings();
        let of = |roles: &[&str]| {
            let roles = roles.iter().map(|role| (*role).to_owned()).collect();
            decision(&Record { roles, ..Record::default() }, 1, &settings)
        };
        let reader = of(&["reader"]);
        assert_eq!(reader.lacks, None);
        assert!(reader.client.may_use(Kind::Tool, "a", "read_b") && !reader.client.may_use(Kind::Tool, "a", "write"));
        assert_eq!(of(&["reader", "writer"]).lacks.as_deref(), Some("role writer"));
    }

    #[test]
    fn networks_bound_where_it_comes_from() {
        let networks = vec!["10.0.0.0/8".to_owned(), "fd00::/8".to_owned()];
        let bound = decision(&Record { networks, ..Record::default() }, 1, &settings());
        let comes = |address: &str| bound.comes_from(address.parse().unwrap());
        assert!(comes("10.1.2.3") && comes("fd00::1") && !comes("11.0.0.1") && !comes("::1"));
        let broken = decision(&Record { networks: vec!["what".into()], ..Record::default() }, 1, &settings());
        assert!(!broken.comes_from("10.0.0.1".parse().unwrap()));
    }
}
