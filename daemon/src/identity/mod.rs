//! Who calls: a client is whoever was identified, by key, by token or, where neither is asked for, by address.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use toolgate_protocol::names::Pattern;
use toolgate_protocol::permits::Flow;

use crate::config::settings::{Key, Organisation, Tier};

pub mod challenge;
pub mod key;
pub mod resource;
pub mod token;

/// What a credential says of whoever shows it.
#[derive(Debug, Default)]
pub struct Persona {
    /// `key:ID`, `jwt:ISSUER/SUBJECT`, `certificate:NAME` or `address:IP`.
    pub id: String,
    /// Its name for people.
    pub owner: String,
    /// Set of limits.
    pub tier: Option<Arc<Tier>>,
    /// Whom it belongs to.
    pub organisation: Option<Arc<Organisation>>,
    /// What it may use, as globs over `server/name`; empty: everything.
    pub scopes: Vec<String>,
}

/// An identified client. Sessions, limits and the log know it by `id`.
#[derive(Debug)]
pub struct Client {
    /// As [`Persona::id`] has it: unique among clients, stable across reloads.
    pub id: Arc<str>,
    /// The id as a number, for tables that order or spread clients.
    pub number: u64,
    /// Its name for people.
    pub owner: Arc<str>,
    /// Set of limits.
    pub tier: Option<Arc<Tier>>,
    /// Whom it belongs to.
    pub organisation: Option<Arc<Organisation>>,
    /// Whom its calls count for where they wait.
    pub flow: Flow,
    /// What it may use; empty: everything.
    scopes: Vec<Pattern>,
}

impl Client {
    /// The weight of clients without a tier.
    pub const WEIGHT: u32 = 1;

    /// The client that a credential stands for.
    pub fn new(persona: Persona) -> Self {
        let number = number(&persona.id);
        Self {
            number,
            flow: flow(number, persona.tier.as_deref()),
            id: persona.id.into(),
            owner: persona.owner.into(),
            tier: persona.tier,
            organisation: persona.organisation,
            scopes: persona.scopes.iter().map(|scope| Pattern::new(scope)).collect(),
        }
    }

    /// The client behind an API key.
    pub fn of_key(key: &Key) -> Self {
        Self::new(Persona {
            id: format!("key:{}", key.id),
            owner: key.owner.clone(),
            tier: key.tier.clone(),
            organisation: key.organisation.clone(),
            scopes: key.scopes.clone(),
        })
    }

    /// The client behind an address, where a listener asks for no credential.
    pub fn of_address(address: IpAddr) -> Self {
        let owner = address.to_canonical().to_string();
        Self::new(Persona { id: format!("address:{owner}"), owner, ..Persona::default() })
    }

    /// What it may use, as globs; none: everything.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(Pattern::as_str)
    }

    /// Whether some names are closed to it.
    pub fn is_scoped(&self) -> bool {
        !self.scopes.is_empty()
    }

    /// Whether it may use a server's tool, prompt or resource; a scope is a pattern over `server/name`.
    pub fn may_use(&self, server: &str, name: &str) -> bool {
        if self.scopes.is_empty() {
            return true;
        }
        let full = format!("{server}/{name}");
        self.scopes.iter().any(|scope| scope.matches(&full))
    }

    /// Whether it may use anything of a server.
    pub fn may_reach(&self, server: &str) -> bool {
        self.scopes.is_empty()
            || self.scopes.iter().any(|scope| match scope.as_str().split_once('/') {
                Some((servers, _)) => Pattern::new(servers).matches(server),
                // A pattern without a slash matches across it.
                None => true,
            })
    }
}

/// Clients without a tier count as one tier.
fn flow(client: u64, tier: Option<&Tier>) -> Flow {
    match tier {
        Some(tier) => Flow { tier: number(&tier.name), weight: tier.weight, client },
        None => Flow { tier: 0, weight: Client::WEIGHT, client },
    }
}

/// A client's id as a number.
pub fn number(id: &str) -> u64 {
    static STATE: LazyLock<foldhash::fast::RandomState> = LazyLock::new(foldhash::fast::RandomState::default);
    STATE.hash_one(id)
}
