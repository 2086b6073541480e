//! What one accepted configuration means for calls, resolved once per reload.
//!
//! A call takes one `Arc<Policy>` and follows references from there; nothing is looked up in the
//! configuration itself while a call runs.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use toolgate_protocol::names::Pattern;

use crate::answers::pins::Pins;
use crate::config::settings::{AuthMethod, Filter, Issuer, Key, Listener};
use crate::config::{HEADERS, HSTS, Settings};
use crate::grants::Grants;
use crate::identity::certificate::Known;
use crate::identity::machine::Machines;
use crate::identity::proofs::{Proof, Proofs, Row};
use crate::identity::token::Issuers;
use crate::identity::{Client, rights};
use crate::limits::Limits;
use crate::loops::Loops;
use crate::seal::Seal;
use crate::servers::Server;
use crate::servers::connections::Connections;
use crate::servers::credentials::views::OwnViews;
use crate::state::State;

/// Looked up by every call, under names that only the operator chooses.
type Named<T> = HashMap<String, Arc<T>, RandomState>;

/// A configuration in force.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The configuration itself.
    pub settings: Arc<Settings>,
    /// Its limits, with what was counted under the configuration before.
    pub limits: Arc<Limits>,
    /// Whose tokens are believed.
    pub issuers: Arc<Issuers>,
    /// What is done about clients that repeat themselves, where anything is.
    pub loops: Option<Arc<Loops>>,
    /// The running side of each enabled server, by name.
    pub servers: HashMap<String, Arc<Server>>,
    /// Where what outlives the process is kept.
    pub state: Option<Arc<State>>,
    /// Seals what others hold for the gate.
    pub seal: Arc<Seal>,
    /// What tools were like when they were accepted.
    pub pins: Arc<Pins>,
    /// What users allowed clients at servers.
    pub grants: Arc<Grants>,
    /// Connections to all servers.
    pub connections: Arc<Connections>,
    entrances: Named<Entrance>,
    views: Named<View>,
    clients: Named<Client>,
    /// What opens the keys of the files.
    proofs: Arc<Proofs<Arc<Client>>>,
    /// Clients known by certificate.
    pub certified: Arc<Known>,
    /// Clients known by address.
    pub machines: Arc<Machines>,
    /// The weight of those who are let go of first; none where all clients have the same.
    lowest: Option<u32>,
}

/// A listener as calls need it.
#[derive(Debug)]
pub struct Entrance {
    /// Its configuration.
    pub listener: Arc<Listener>,
    /// Set on every answer, with an empty place for each of `places`.
    pub headers: HeaderMap,
    /// Headers that nearly every answer has of its own.
    pub places: &'static [HeaderName],
}

impl Entrance {
    /// Resolves a listener; header names and values were checked when the file was read.
    pub fn new(listener: Arc<Listener>) -> Self {
        let mut headers: HeaderMap = listener
            .security_headers
            .iter()
            .filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, header_value(value)?)))
            .collect();
        let places = if listener.rate_headers { &PLACES[..] } else { &PLACES[..ALWAYS] };
        for name in places {
            headers.entry(name).or_insert(HeaderValue::from_static(""));
        }
        Self { listener, headers, places }
    }
}

/// Headers that nearly every answer has of its own, the last two where clients are told their limits. The copy of a listener's headers that an answer begins
/// with has a place for each, so that it need not grow.
static PLACES: [HeaderName; 5] = [
    CONTENT_TYPE,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("ratelimit"),
];
const ALWAYS: usize = 3;

/// A value that each answer gets a copy of. Those that nearly all configurations have are static: copies of
/// others share a count, which the cores would take from each other with every answer.
fn header_value(value: &str) -> Option<HeaderValue> {
    let known = HEADERS.iter().chain([&HSTS]).map(|(_, known)| *known).find(|known| *known == value);
    known.map_or_else(|| value.parse().ok(), |known| Some(HeaderValue::from_static(known)))
}

/// What a path offers: `/mcp` everything, `/mcp/NAME` one server or profile.
#[derive(Debug)]
pub struct View {
    /// The path segment; empty for `/mcp`.
    pub name: String,
    /// Servers in a stable order.
    pub servers: Vec<Arc<Server>>,
    /// What a profile selects, matched against names as this view offers them.
    tools: Arc<Names>,
    /// The same for single clients; none where all of them meet the same servers.
    pub own: Option<OwnViews>,
}

/// Patterns of a [`Filter`], compiled.
#[derive(Debug, Default)]
pub struct Names {
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
}

impl Names {
    /// Compiles a filter.
    pub fn new(filter: &Filter) -> Self {
        let compile = |patterns: &[String]| patterns.iter().map(|pattern| Pattern::new(pattern)).collect();
        Self { allow: compile(&filter.allow), deny: compile(&filter.deny) }
    }

    /// Whether a name passes: `deny` wins, an empty `allow` allows all.
    pub fn pass(&self, name: &str) -> bool {
        let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        !matches(&self.deny) && (self.allow.is_empty() || matches(&self.allow))
    }

    /// Whether every name passes.
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

impl View {
    /// The one server whose names are offered as they are; `None` for a merged view.
    pub fn single(&self) -> Option<&Arc<Server>> {
        match self.servers.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// The same with each server as a client meets it.
    #[must_use]
    pub fn as_met_by(&self, client: &Client) -> Self {
        let servers = self.servers.iter().map(|server| server.met_by(client)).collect();
        Self { name: self.name.clone(), servers, tools: Arc::clone(&self.tools), own: None }
    }

    /// A server of this view.
    pub fn server(&self, name: &str) -> Option<&Arc<Server>> {
        self.servers.iter().find(|server| server.settings.name == name)
    }

    /// Whether a client may use a server's tool here; `offered` is its name in this view.
    pub fn offers(&self, client: &Client, server: &Server, own: &str, offered: &str) -> bool {
        let exists = !server.off.is(own) && server.tools.pass(own) && self.selects(offered);
        exists && client.may_use(rights::Kind::Tool, &server.settings.name, own)
    }

    /// Whether it offers a tool of this name to anybody.
    pub fn selects(&self, offered: &str) -> bool {
        self.tools.pass(offered)
    }

    /// Whether a client sees all that the one server lists, so that lists pass untouched.
    pub fn offers_all(&self, client: &Client, server: &Server) -> bool {
        server.tools.is_open() && !server.off.any() && self.tools.is_open() && !client.is_scoped()
    }
}

impl Policy {
    /// Resolves a configuration; servers that did not change keep running from `before`.
    ///
    /// # Errors
    /// A sentence, where a server's certificates or headers cannot be used.
    pub fn new(settings: Arc<Settings>, before: Option<&Self>) -> Result<Self, String> {
        let state = before.and_then(|before| before.state.clone());
        Self::resolve(settings, before, state)
    }

    /// Resolves the first configuration of a process that has this state.
    ///
    /// # Errors
    /// As [`Policy::new`].
    pub fn first(settings: Arc<Settings>, state: Option<Arc<State>>) -> Result<Self, String> {
        Self::resolve(settings, None, state)
    }

    fn resolve(settings: Arc<Settings>, before: Option<&Self>, state: Option<Arc<State>>) -> Result<Self, String> {
        let seal = before.map_or_else(|| sealing(&settings, state.as_ref()), |before| Arc::clone(&before.seal));
        let pins = before.map_or_else(|| remembered(&settings, state.as_ref()), |before| Arc::clone(&before.pins));
        let grants =
            before.map_or_else(|| granted(&settings, state.as_ref(), &seal), |before| Arc::clone(&before.grants));
        let connections = connections(&settings, before);
        let servers: HashMap<String, Arc<Server>> = settings
            .servers
            .values()
            .filter(|server| server.enabled)
            .map(|server| {
                Ok((
                    server.name.clone(),
                    running(server, &settings, before, state.as_ref(), (&pins, &grants, &connections))?,
                ))
            })
            .collect::<Result<_, String>>()?;
        let views = views(&settings, &servers);
        let clients: Named<Client> =
            settings.keys.values().map(|key| (key.id.clone(), Arc::new(Client::of_key(key)))).collect();
        let entrances = settings
            .listeners
            .iter()
            .map(|listener| (listener.name.clone(), Arc::new(Entrance::new(Arc::clone(listener)))))
            .collect();
        let limits = Arc::new(Limits::new(&settings, before.map(|before| &*before.limits)));
        let loops = Loops::new(&settings.loops, before.and_then(|before| before.loops.as_deref())).map(Arc::new);
        let (certified, machines) = (Arc::new(Known::new(&settings)), Arc::new(Machines::new(&settings)));
        let known = clients.values().chain(certified.clients()).chain(machines.clients());
        let lowest = lowest(&settings, &known.map(|client| client.flow.weight).collect::<Vec<_>>());
        let proofs = Arc::new(proofs(&settings, &clients));
        let issuers = Arc::new(Issuers::new(&settings, before.map(|before| &*before.issuers)));
        Ok(Self {
            settings,
            limits,
            issuers,
            loops,
            servers,
            state,
            seal,
            pins,
            grants,
            connections,
            entrances,
            views,
            clients,
            proofs,
            certified,
            machines,
            lowest,
        })
    }

    /// The same configuration with limits as overrides have them now.
    #[must_use]
    pub fn with_limits_anew(&self) -> Self {
        Self { limits: Arc::new(Limits::new(&self.settings, Some(&self.limits))), ..self.clone() }
    }

    /// Whether instances of stdio servers outlive the process.
    pub fn keeps_connections(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.keeps_connections())
    }

    /// A listener by name; absent when a reload removed it under an open connection.
    pub fn entrance(&self, listener: &str) -> Option<&Arc<Entrance>> {
        self.entrances.get(listener)
    }

    /// What a path segment offers; the empty one is `/mcp`.
    pub fn view(&self, name: &str) -> Option<&Arc<View>> {
        self.views.get(name)
    }

    /// Whether a client is of those who are let go of first.
    pub fn is_lowest(&self, client: &Client) -> bool {
        self.lowest.is_some_and(|lowest| client.flow.weight <= lowest)
    }

    /// Those whom the configuration names.
    pub fn clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.clients.values().chain(self.certified.clients()).chain(self.machines.clients())
    }

    /// What opens the keys of the files.
    pub fn proofs(&self) -> &Proofs<Arc<Client>> {
        &self.proofs
    }

    /// The client of a key id.
    pub fn client(&self, key: &str) -> Option<&Arc<Client>> {
        self.clients.get(key)
    }
}

fn proofs(settings: &Settings, clients: &Named<Client>) -> Proofs<Arc<Client>> {
    let row = |key: &Arc<Key>| {
        Some(Row::new(&key.id, [Proof::lasting(key.sha256), Proof::NONE], Arc::clone(clients.get(&key.id)?)))
    };
    Proofs::new(settings.keys.values().filter_map(row).collect())
}

/// The least weight that a client may have, where another may have more.
fn lowest(settings: &Settings, known: &[u32]) -> Option<u32> {
    let without_tier = |listener: &Arc<Listener>| listener.auth.is_empty() || listener.any_certificate;
    let anybody = settings.listeners.iter().any(|listener| listener.serve.mcp && without_tier(listener));
    let named = || known.iter().copied().chain(anybody.then_some(Client::WEIGHT));
    // Keys of the store may have any tier.
    let by_key = settings.listeners.iter().any(|listener| listener.auth.contains(&AuthMethod::Key));
    let of_keys = || settings.tiers.values().map(|tier| tier.weight).filter(|_| by_key);
    let of_issuers = || settings.issuers.values().flat_map(|issuer| of_tokens(settings, issuer));
    let weights = || named().chain(of_keys()).chain(of_issuers());
    weights().min().filter(|least| weights().any(|weight| weight > *least))
}

/// The weights that clients of an issuer may have.
fn of_tokens(settings: &Settings, issuer: &Issuer) -> impl Iterator<Item = u32> {
    let told = issuer.claims.tier.is_some() || issuer.claims.organisation.is_some();
    let own = issuer.tier.as_ref().map_or(Client::WEIGHT, |tier| tier.weight);
    std::iter::once(own).chain(settings.tiers.values().filter(move |_| told).map(|tier| tier.weight))
}

fn running(
    server: &Arc<crate::config::settings::Server>,
    settings: &Settings,
    before: Option<&Policy>,
    state: Option<&Arc<State>>,
    (pins, grants, connections): (&Arc<Pins>, &Arc<Grants>, &Arc<Connections>),
) -> Result<Arc<Server>, String> {
    let old = before.and_then(|policy| policy.servers.get(&server.name));
    let mut running = if let Some(same) = old.and_then(|old| old.under(server)) {
        same
    } else {
        let new = Server::new(Arc::clone(server), &settings.daemon, state, connections)?;
        if let Some(old) = old {
            new.endpoints.go_on(&old.endpoints);
        }
        new
    };
    running.answers = running.answers.with_pins(pins, &server.name);
    Ok(Arc::new(running.with_users(grants)?))
}

/// Those that are open stay open.
fn connections(settings: &Settings, before: Option<&Policy>) -> Arc<Connections> {
    let max = settings.daemon.max_server_connections;
    before.map_or_else(|| Connections::new(max), |before| Arc::clone(&before.connections))
}

/// The seal of this process, with its keys in the state folder where this process has it.
fn sealing(settings: &Settings, state: Option<&Arc<State>>) -> Arc<Seal> {
    let folder = state.map(|_| settings.daemon.state_dir.as_path());
    Arc::new(Seal::start(folder, &settings.seal))
}

/// What earlier processes remembered of tools; nothing is kept where the state is another process's.
fn remembered(settings: &Settings, state: Option<&Arc<State>>) -> Arc<Pins> {
    let folder = state.map(|_| settings.daemon.state_dir.join("tools"));
    Arc::new(Pins::open(folder.as_deref()))
}

/// What earlier processes were allowed by users, where the state is this one's.
fn granted(settings: &Settings, state: Option<&Arc<State>>, seal: &Arc<Seal>) -> Arc<Grants> {
    let folder = state.map(|_| settings.daemon.state_dir.as_path());
    Arc::new(Grants::open(folder, Arc::clone(seal)))
}

/// Names of the servers that a path leads to under a configuration; `None` where there is no such path.
pub fn members<'s>(settings: &'s Settings, view: &str) -> Option<Vec<&'s str>> {
    let is_served = |name: &&str| settings.servers.get(*name).is_some_and(|server| server.enabled);
    let all = || settings.servers.keys().map(String::as_str).filter(is_served);
    if view.is_empty() {
        return Some(all().collect());
    }
    if let Some(profile) = settings.profiles.get(view) {
        return Some(profile.servers.iter().map(String::as_str).filter(is_served).collect());
    }
    all().find(|name| *name == view).map(|name| vec![name])
}

fn views(settings: &Settings, servers: &HashMap<String, Arc<Server>>) -> Named<View> {
    let mut views = Named::default();
    let mut offer = |name: &str, members: Vec<Arc<Server>>, tools: &Filter| {
        let own = members.iter().any(|server| server.has_facets()).then(OwnViews::default);
        let view = View { name: name.to_owned(), servers: members, tools: Arc::new(Names::new(tools)), own };
        views.insert(name.to_owned(), Arc::new(view));
    };
    let in_order = || settings.servers.keys().filter_map(|name| servers.get(name)).map(Arc::clone);
    offer("", in_order().collect(), &Filter::default());
    for server in in_order() {
        offer(&server.settings.name.clone(), vec![server], &Filter::default());
    }
    for profile in settings.profiles.values() {
        let members = profile.servers.iter().filter_map(|name| servers.get(name)).map(Arc::clone).collect();
        offer(&profile.name, members, &profile.tools);
    }
    views
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::breaker::State;

    use super::*;
    use crate::servers::endpoints::Mode;

    /// A configuration of one server with these places, and further lines of its table.
    fn policy(urls: &[&str], lines: &str, before: Option<&Policy>) -> Policy {
        let text = format!("version = 1\n[server.two]\nendpoints = {urls:?}\nbreaker.failures = 5\n{lines}\n");
        Policy::new(Arc::new(crate::config::from_text(&text).unwrap()), before).unwrap()
    }

    #[test]
    fn a_path_leads_where_it_is_said_to_lead() {
        let server = |name: &str| format!("[server.{name}]\nendpoints = \"http://127.0.0.1:1/mcp\"\n");
        let text = format!(
            "version = 1\n{}{}enabled = false\n{}[profile.pair]\nservers = [\"one\", \"two\"]\n",
            server("one"),
            server("two"),
            server("three")
        );
        let settings = Arc::new(crate::config::from_text(&text).unwrap());
        let policy = Policy::new(Arc::clone(&settings), None).unwrap();
        for path in ["", "one", "two", "three", "pair", "none"] {
            let offered = policy.view(path).map(|view| {
                let mut names: Vec<_> = view.servers.iter().map(|server| server.settings.name.as_str()).collect();
                names.sort_unstable();
                names
            });
            let mut said = members(&settings, path);
            if let Some(names) = &mut said {
                names.sort_unstable();
            }
            assert_eq!(said, offered, "{path:?}");
        }
    }

    #[test]
    fn a_server_that_begins_anew_keeps_what_was_said_by_hand_of_its_urls() {
        let (one, two, three) = ("http://127.0.0.1:1/mcp", "http://127.0.0.1:2/mcp", "http://127.0.0.1:3/mcp");
        let before = policy(&[one, two], "", None);
        let known = &before.servers["two"].endpoints;
        known.get(0).set_mode(Mode::Maintenance);
        known.get(1).force(State::ForcedOpen);
        let after = policy(&[three, two, one], "queue.max_size = 7", Some(&before));
        assert_ne!(after.servers["two"].generation, before.servers["two"].generation);
        let known = &after.servers["two"].endpoints;
        let modes: Vec<_> = known.each().iter().map(|endpoint| (endpoint.mode(), endpoint.glance().state)).collect();
        let ready = (Mode::Ready, State::Closed);
        assert_eq!(modes, [ready, (Mode::Ready, State::ForcedOpen), (Mode::Maintenance, State::Closed)]);
        assert_eq!((known.at(one), known.at("http://127.0.0.1:4/mcp")), (Some(2), None));
        assert!(known.get(2).close() && known.get(2).is_closed());
    }
}
