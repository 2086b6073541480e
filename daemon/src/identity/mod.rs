//! Who calls: a client is whoever was identified: by key, token, certificate or address.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use toolgate_protocol::permits::Flow;

use crate::config::settings::{Holder, Key, Organisation, Tier};
use crate::steering::clients::Holds;
use rights::{Granted, Kind, Rights, Role, Rule};

pub mod certificate;
pub mod challenge;
pub mod failures;
pub mod key;
pub mod machine;
pub mod proofs;
pub mod resource;
pub mod rights;
pub mod store;
pub mod token;

/// What a credential says of whoever shows it.
#[derive(Debug, Default)]
pub struct Persona {
    /// `key:ID`, `jwt:ISSUER/SUBJECT`, `certificate:NAME`, `machine:NAME` or `address:IP`.
    pub id: String,
    /// Its name for people.
    pub owner: String,
    /// Set of limits.
    pub tier: Option<Arc<Tier>>,
    /// Whom it belongs to.
    pub organisation: Option<Arc<Organisation>>,
    /// What it may use, as globs over `server/name`, of what its roles allow; empty: all of that.
    pub scopes: Vec<String>,
    /// What decides what it may use, beside the roles of its organisation.
    pub roles: Vec<Arc<Role>>,
    /// It may use nothing that no role allows, also where it has none.
    pub closed: bool,
    /// The scopes of its token, where it has shown one.
    pub granted: Option<Granted>,
}

impl Persona {
    /// What is written of a client that is known without a secret.
    #[must_use]
    pub fn of(id: String, holder: &Holder) -> Self {
        Self {
            id,
            owner: holder.owner.clone(),
            tier: holder.tier.clone(),
            organisation: holder.organisation.clone(),
            scopes: holder.scopes.clone(),
            roles: holder.roles.clone(),
            ..Self::default()
        }
    }
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
    /// What it may use; none: everything.
    pub rights: Option<Rights>,
    /// What it reads instead of an answer, where its key is suspended.
    pub suspension: Option<Holds>,
}

impl Client {
    /// The weight of clients without a tier.
    pub const WEIGHT: u32 = 1;

    /// The client that a credential stands for.
    pub fn new(mut persona: Persona) -> Self {
        let number = number(&persona.id);
        let rights = rights_of(&mut persona);
        Self {
            number,
            flow: flow(number, persona.tier.as_deref()),
            id: persona.id.into(),
            owner: persona.owner.into(),
            tier: persona.tier,
            organisation: persona.organisation,
            rights,
            suspension: None,
        }
    }

    /// The same while its key is suspended.
    #[must_use]
    pub fn suspended(mut self, suspension: Holds) -> Self {
        self.suspension = Some(suspension);
        self
    }

    /// The client behind an API key.
    pub fn of_key(key: &Key) -> Self {
        Self::new(Persona {
            id: format!("key:{}", key.id),
            owner: key.owner.clone(),
            tier: key.tier.clone(),
            organisation: key.organisation.clone(),
            scopes: key.scopes.clone(),
            roles: key.roles.clone(),
            ..Persona::default()
        })
    }

    /// The client behind an address, where a listener asks for no credential.
    pub fn of_address(address: IpAddr) -> Self {
        let owner = address.to_canonical().to_string();
        Self::new(Persona { id: format!("address:{owner}"), owner, ..Persona::default() })
    }

    /// Scopes that narrow what it may use; none: nothing does.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.rights.iter().flat_map(Rights::scopes)
    }

    /// Roles that it has, its organisation's among them.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.rights.iter().flat_map(Rights::roles)
    }

    /// Whether some names are closed to it.
    pub fn is_scoped(&self) -> bool {
        self.rights.as_ref().is_some_and(Rights::closes_names)
    }

    /// Whether it may use a server's tool, prompt or resource, if need be with a token of more scopes.
    pub fn may_use(&self, kind: Kind, server: &str, name: &str) -> bool {
        self.rights.as_ref().is_none_or(|rights| rights.allow(kind, server, name))
    }

    /// Whether it may use whatever another may, as far as that shows without trying every name.
    pub fn may_all_that(&self, other: &Self) -> bool {
        let Some(own) = &self.rights else { return true };
        other.rights.as_ref().is_some_and(|rights| own.cover(rights))
    }

    /// Whether it may use anything of a server.
    pub fn may_reach(&self, server: &str) -> bool {
        self.rights.as_ref().is_none_or(|rights| rights.reach(server))
    }
}

/// What a persona may use: its own roles and its organisation's together, within its scopes.
fn rights_of(persona: &mut Persona) -> Option<Rights> {
    // As the configuration would write it: `key.ID.scopes`.
    let place = format!("{}.scopes", persona.id.replacen(':', ".", 1));
    let scopes = persona.scopes.iter().map(|scope| Rule::new(&place, scope, "")).collect();
    let mut roles: Vec<Arc<Role>> = Vec::new();
    let of_organisation = persona.organisation.iter().flat_map(|organisation| &organisation.roles);
    for role in persona.roles.iter().chain(of_organisation) {
        if !roles.iter().any(|known| Arc::ptr_eq(known, role)) {
            roles.push(Arc::clone(role));
        }
    }
    let rights = if persona.closed { Some(Rights::closed(scopes, roles)) } else { Rights::new(scopes, roles) };
    match persona.granted.take() {
        Some(granted) => rights.map(|rights| rights.of_token(granted)),
        None => rights,
    }
}

/// Clients without a tier count as one tier.
fn flow(client: u64, tier: Option<&Tier>) -> Flow {
    match tier {
        Some(tier) => Flow { tier: number(&tier.name), weight: tier.weight, client },
        None => Flow { tier: 0, weight: Client::WEIGHT, client },
    }
}

/// The issuer of whose tokens a client is, by the client's id.
#[must_use]
pub fn issuer_of(client: &str) -> Option<&str> {
    let (issuer, _) = client.strip_prefix("jwt:")?.split_once('/')?;
    Some(issuer)
}

/// A client's id as a number.
pub fn number(id: &str) -> u64 {
    static STATE: LazyLock<foldhash::fast::RandomState> = LazyLock::new(foldhash::fast::RandomState::default);
    STATE.hash_one(id)
}
