//! A server that acts for its users: each client that a user allowed it to meets it with that user's token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::Credential;
use super::oauth::Tokens;
use super::oauth::provider::Provider;
use crate::config::settings::access::UserAuthorization;
use crate::grants::Grants;
use crate::lock::lock;
use crate::servers::Server;

/// What the names of facets begin with; the client's id follows.
const USER: &str = "user ";

/// The users of one server.
#[derive(Debug)]
pub struct Users {
    rules: Arc<UserAuthorization>,
    provider: Arc<Provider>,
    grants: Arc<Grants>,
    /// By client, each for the grant of this number.
    facets: Mutex<HashMap<String, (u64, Arc<Server>)>>,
}

impl Users {
    /// The error is a sentence, where certificates towards the provider cannot be used.
    pub fn new(rules: &Arc<UserAuthorization>, grants: &Arc<Grants>) -> Result<Self, String> {
        Ok(Self {
            provider: Arc::new(Provider::new(&rules.registration)?),
            rules: Arc::clone(rules),
            grants: Arc::clone(grants),
            facets: Mutex::default(),
        })
    }

    /// The same users of a server that goes on under other rules.
    #[must_use]
    pub fn of_next(&self, old: &Server, next: &Server) -> Self {
        let mut facets = lock(&self.facets).clone();
        if old.settings.answers == next.settings.answers {
            for (_, facet) in facets.values_mut() {
                *facet = Arc::new(facet.with(&next.settings));
            }
        } else {
            // Facets take these from the server when they are made.
            facets.clear();
        }
        Self {
            rules: Arc::clone(&self.rules),
            provider: Arc::clone(&self.provider),
            grants: Arc::clone(&self.grants),
            facets: Mutex::new(facets),
        }
    }

    /// What is configured.
    pub fn rules(&self) -> &UserAuthorization {
        &self.rules
    }

    /// Who gives tokens.
    pub(crate) fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// Grows whenever some client may be met otherwise than before.
    pub fn epoch(&self) -> u64 {
        self.grants.epoch()
    }

    /// The facet of a client; none where no user allowed it anything.
    pub fn of(&self, server: &Server, client: &str) -> Option<Arc<Server>> {
        let name = &server.settings.name;
        let number = self.grants.number(name, client);
        let mut facets = lock(&self.facets);
        if let Some((_, gone)) = facets.get(client).filter(|(known, _)| Some(*known) != number) {
            gone.retire();
            facets.remove(client);
        }
        let number = number?;
        if let Some((_, facet)) = facets.get(client) {
            return Some(Arc::clone(facet));
        }
        let tokens = Tokens::of_user(name, client, number, (&self.provider, &self.grants))?;
        let credential = Credential::of_user(&server.settings, Arc::new(tokens)).ok()?;
        let facet = Arc::new(server.as_facet(&format!("{USER}{client}").into(), &Arc::new(credential)));
        facets.insert(client.to_owned(), (number, Arc::clone(&facet)));
        Some(facet)
    }

    /// The facet of this name.
    pub fn named(&self, server: &Server, name: &str) -> Option<Arc<Server>> {
        self.of(server, name.strip_prefix(USER)?)
    }

    /// Those that are there.
    pub fn each(&self) -> Vec<Arc<Server>> {
        lock(&self.facets).values().map(|(_, facet)| Arc::clone(facet)).collect()
    }
}
