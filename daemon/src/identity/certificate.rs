//! Clients known by their certificates.

use std::cmp::Reverse;
use std::sync::Arc;

use toolgate_protocol::certified::{Names, Rule};

use super::{Client, Persona};
use crate::config::Settings;

/// Those whom the operator named, the most telling rule first.
#[derive(Debug)]
pub struct Known(Vec<(Rule, Arc<Client>)>);

impl Known {
    /// Those of a configuration.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let mut known: Vec<_> = settings.certificates.values().collect();
        known.sort_by_key(|certificate| Reverse(certificate.rule.weight()));
        let client = |certificate: &crate::config::settings::Certificate| {
            Client::new(Persona::of(format!("certificate:{}", certificate.name), &certificate.holder))
        };
        Self(known.iter().map(|certificate| (certificate.rule.clone(), Arc::new(client(certificate)))).collect())
    }

    /// Whom a certificate that was verified stands for; with `any`, whoever it names.
    #[must_use]
    pub fn client_of(&self, names: &Names, any: bool) -> Option<Arc<Client>> {
        let known = self.0.iter().find(|(rule, _)| rule.fits(names)).map(|(_, client)| Arc::clone(client));
        // The sort stands before the name: no name that an authority gives is one of the operator's.
        let unnamed = || {
            let (sort, name) = names.first().filter(|_| any)?;
            let (id, owner) = (format!("certificate:{sort}:{name}"), name.to_owned());
            Some(Arc::new(Client::new(Persona { id, owner, ..Persona::default() })))
        };
        known.or_else(unnamed)
    }

    /// Those whom the operator named.
    pub fn clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.0.iter().map(|(_, client)| client)
    }
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::certified::Sort;

    use super::*;

    fn known(text: &str) -> Known {
        Known::new(&crate::config::from_text(&format!("version = 1\n{text}")).unwrap())
    }

    fn names(name: &str) -> Names {
        Names { alternatives: vec![(Sort::Dns, name.to_owned())], subject: Vec::new() }
    }

    #[test]
    fn the_most_telling_rule_names_the_client_and_others_are_nobody() {
        let known = known("[certificate.all]\nsan = \"*.a\"\n[certificate.one]\nsan = \"x.a\"\nowner = \"One\"");
        let id = |name: &str, any| known.client_of(&names(name), any).map(|client| client.id.to_string());
        assert_eq!(id("x.a", false).as_deref(), Some("certificate:one"));
        assert_eq!(id("y.a", true).as_deref(), Some("certificate:all"));
        assert_eq!(id("all", true).as_deref(), Some("certificate:dns:all"));
        assert_eq!(id("all", false), None);
        assert_eq!(known.client_of(&Names::default(), true).map(|client| client.id.to_string()), None);
        assert_eq!(&*known.client_of(&names("x.a"), false).unwrap().owner, "One");
    }
}
