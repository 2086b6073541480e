//! Clients known by their addresses.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Client, Persona};
use crate::config::Settings;

/// Those whom the operator named: networks of one address by themselves, others by the length of their prefix, the
/// longest first.
#[derive(Debug)]
pub struct Machines {
    alone: std::collections::HashMap<IpAddr, Arc<Client>, foldhash::fast::RandomState>,
    networks: Vec<(IpNet, Arc<Client>)>,
}

impl Machines {
    /// Those of a configuration.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let mut machines = Self { alone: std::collections::HashMap::default(), networks: Vec::new() };
        for machine in settings.machines.values() {
            let client = Arc::new(Client::new(Persona::of(format!("machine:{}", machine.name), &machine.holder)));
            for network in &machine.networks {
                if network.prefix_len() == network.max_prefix_len() {
                    machines.alone.insert(network.addr(), Arc::clone(&client));
                } else {
                    machines.networks.push((*network, Arc::clone(&client)));
                }
            }
        }
        machines.networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        machines
    }

    /// Who calls from an address, which is never IPv4 in IPv6's form.
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Option<&Arc<Client>> {
        let network = || self.networks.iter().find(|(network, _)| network.contains(&address));
        self.alone.get(&address).or_else(|| network().map(|(_, client)| client))
    }

    /// All of them; one with several networks as often.
    pub fn clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.alone.values().chain(self.networks.iter().map(|(_, client)| client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_says_who_calls() {
        let text = "version = 1\n[machine.all]\nnetworks = [\"10.0.0.0/8\", \"fd00::/8\"]\n\
            [machine.near]\nnetworks = [\"10.1.0.0/16\"]\n[machine.one]\nnetworks = \"10.1.0.7\"\n";
        let machines = Machines::new(&crate::config::from_text(text).unwrap());
        for (address, id) in [
            ("10.1.0.7", Some("machine:one")),
            ("10.1.0.8", Some("machine:near")),
            ("10.2.0.7", Some("machine:all")),
            ("fd12::1", Some("machine:all")),
            ("11.0.0.1", None),
            ("::1", None),
        ] {
            let found = machines.at(address.parse().unwrap()).map(|client| &*client.id);
            assert_eq!(found, id, "{address}");
        }
    }
}
