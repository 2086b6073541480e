//! Which credential a client's calls go out with: the most telling one that is for it.

use std::collections::HashMap;

use crate::config::settings::access::{Credential, Holder};
use crate::identity::Client;

/// The credentials of one server by whom they are for; each is known by its place in the configuration.
#[derive(Debug, Default)]
pub(super) struct Choice {
    clients: HashMap<String, usize>,
    organisations: HashMap<String, usize>,
    tiers: HashMap<String, usize>,
}

impl Choice {
    pub(super) fn new(credentials: &[Credential]) -> Self {
        let mut choice = Self::default();
        for (place, credential) in credentials.iter().enumerate() {
            let (table, name) = match &credential.holder {
                Holder::Client(id) => (&mut choice.clients, id),
                Holder::Organisation(name) => (&mut choice.organisations, name),
                Holder::Tier(name) => (&mut choice.tiers, name),
            };
            table.insert(name.clone(), place);
        }
        choice
    }

    /// The one for the client, else its organisation's, else its tier's.
    pub(super) fn of(&self, client: &Client) -> Option<usize> {
        let organisation = || self.organisations.get(&client.organisation.as_ref()?.name);
        let tier = || self.tiers.get(&client.tier.as_ref()?.name);
        self.clients.get(&*client.id).or_else(organisation).or_else(tier).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::settings::{Organisation, Tier};
    use crate::identity::Persona;

    #[test]
    fn the_most_telling_credential_wins() {
        let holders =
            [Holder::Tier("paid".into()), Holder::Organisation("acme".into()), Holder::Client("key:ana".into())];
        let credentials: Vec<_> =
            holders.into_iter().map(|holder| Credential { holder, headers: Vec::new() }).collect();
        let choice = Choice::new(&credentials);
        let of = |id: &str, organisation: Option<&str>, tier: Option<&str>| {
            let tier = tier.map(|name| Arc::new(Tier { name: name.into(), weight: 1, limits: Vec::new() }));
            let organisation = organisation.map(|name| {
                Arc::new(Organisation { name: name.into(), tier: None, limits: Vec::new(), roles: Vec::new() })
            });
            choice.of(&Client::new(Persona { id: id.into(), tier, organisation, ..Persona::default() }))
        };
        assert_eq!(of("key:ana", Some("acme"), Some("paid")), Some(2));
        assert_eq!(of("key:bob", Some("acme"), Some("paid")), Some(1));
        assert_eq!(of("key:bob", Some("other"), Some("paid")), Some(0));
        assert_eq!(of("key:bob", None, Some("free")), None);
        assert_eq!(of("acme", None, None), None, "a client is no organisation");
    }
}
