//! One server, met with the credentials of different clients.
//!
//! A facet shares with its server what is the server's as a whole: queue, endpoints, connections, fitness, rules. What was
//! said under a credential is its own: sessions, lists, announcements. Answers are kept together, under keys that tell
//! facets apart. Relays never see this: whoever has a client asks its view, and gets the facet as if it were the server.

use std::sync::{Arc, OnceLock};

use super::Credential;
use super::choice::Choice;
use crate::config::settings::access::{self, Access, Holder};
use crate::config::settings::{self};
use crate::identity::Client;
use crate::servers::Server;

/// The name of the facet of clients that nothing is for, where each needs something.
const NOBODY: &str = "nobody";

/// What a client reads that has no credential where it needs one.
const NEEDED: &str = "it is only for clients that have a credential of their own there";

/// The facets of one server.
#[derive(Debug)]
pub struct Facets {
    choice: Choice,
    slots: Vec<Slot>,
    /// Of clients that nothing is for; none where they are met with the server's own credential.
    nobody: Option<Slot>,
}

#[derive(Debug)]
struct Slot {
    /// Tells facets of one server apart, also in records that a later process reads.
    name: Arc<str>,
    entry: access::Credential,
    credential: Arc<Credential>,
    facet: OnceLock<Arc<Server>>,
}

impl Slot {
    /// The facet; made when the first client needs it.
    fn of(&self, server: &Server) -> &Arc<Server> {
        self.facet.get_or_init(|| Arc::new(server.as_facet(&self.name, &self.credential)))
    }
}

impl Facets {
    /// What a server's configuration asks for; none where all clients are met alike.
    ///
    /// # Errors
    /// A sentence, where a header cannot be used.
    pub fn new(http: &settings::Http, access: &Access) -> Result<Option<Self>, String> {
        if access.credentials.is_empty() {
            return Ok(None);
        }
        let slot = |entry: &access::Credential| {
            let credential = Credential::of_entry(http, access, &entry.headers)?;
            Ok(Slot {
                name: name(&entry.holder).into(),
                entry: entry.clone(),
                credential: Arc::new(credential),
                facet: OnceLock::new(),
            })
        };
        let nobody = || Slot {
            name: NOBODY.into(),
            entry: access::Credential { holder: Holder::Client(String::new()), headers: Vec::new() },
            credential: Arc::new(Credential::none(NEEDED)),
            facet: OnceLock::new(),
        };
        Ok(Some(Self {
            choice: Choice::new(&access.credentials),
            slots: access.credentials.iter().map(slot).collect::<Result<_, String>>()?,
            nobody: access.required.then(nobody),
        }))
    }

    /// Has facets that were there before, and whose credential is the same, go on as facets of `server`.
    pub fn go_on(&mut self, before: &Self, (old, server): (&Server, &Server)) {
        if old.settings.answers != server.settings.answers {
            // Facets take these from the server when they are made.
            return;
        }
        for slot in self.slots.iter_mut().chain(&mut self.nobody) {
            let mut known = before.slots.iter().chain(&before.nobody);
            let Some(old) = known.find(|old| old.name == slot.name && old.entry == slot.entry) else { continue };
            slot.credential = Arc::clone(&old.credential);
            if let Some(facet) = old.facet.get() {
                slot.facet = OnceLock::from(Arc::new(facet.with(&server.settings)));
            }
        }
    }

    /// The facet of a client; none where it is met with the server's own credential.
    pub fn of(&self, server: &Server, client: &Client) -> Option<Arc<Server>> {
        let slot = self.choice.of(client).map(|place| &self.slots[place]).or(self.nobody.as_ref())?;
        Some(Arc::clone(slot.of(server)))
    }

    /// The facet of this name.
    pub fn named(&self, server: &Server, name: &str) -> Option<Arc<Server>> {
        let slot = self.slots.iter().chain(&self.nobody).find(|slot| *slot.name == *name)?;
        Some(Arc::clone(slot.of(server)))
    }

    /// Those that are there.
    pub fn each(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.slots.iter().chain(&self.nobody).filter_map(|slot| slot.facet.get())
    }

    /// Reads files that have changed.
    pub fn look(&self, server: &str) {
        self.slots.iter().for_each(|slot| slot.credential.look(server));
    }

    /// What an operator should know of credentials, a sentence each.
    pub fn told(&self) -> Vec<String> {
        let told = self.slots.iter().flat_map(|slot| {
            let lacks = slot.credential.trouble().map(|why| format!("It cannot be called for {}: {why}.", slot.name));
            slot.credential.told().into_iter().chain(lacks)
        });
        told.collect()
    }
}

fn name(holder: &Holder) -> String {
    match holder {
        Holder::Client(id) => format!("client {id}"),
        Holder::Organisation(name) => format!("organisation {name}"),
        Holder::Tier(name) => format!("tier {name}"),
    }
}

/// Whether a facet is of clients that may not call.
pub fn is_nobody(facet: &str) -> bool {
    facet == NOBODY
}
