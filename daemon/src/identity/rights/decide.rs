//! The decision about a name: deny before allow, roles together, scopes on top.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use toolgate_protocol::names::resource;

use super::condition::{Condition, Outcome};
use super::memo;
use super::role::{Role, Rule};
use super::ruling::Ruling;
use super::scope::Kind;

/// From so many patterns on a decision is remembered rather than made again; `benches/rights.rs` has both.
const MANY: usize = 6;

/// What a client may use, where that is not everything.
#[derive(Debug)]
pub struct Rights {
    /// No other rights of this process have it.
    id: u64,
    /// Of these one must match, unless there are none.
    scopes: Vec<Rule>,
    roles: Vec<Arc<Role>>,
    /// No role says what is allowed: all is.
    open: bool,
    /// How many patterns there are to look at.
    patterns: usize,
}

/// Which rule decides: places in [`Rights`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decided {
    Denied {
        role: u32,
        rule: u32,
    },
    Unlisted,
    Unscoped,
    Allowed {
        role: u32,
        rule: u32,
    },
    Scoped {
        rule: u32,
    },
    Open,
    /// No rule can tell what a server makes of it.
    Crooked,
}

static UNLISTED: LazyLock<Arc<str>> = LazyLock::new(|| "no role allows it".into());
static UNSCOPED: LazyLock<Arc<str>> = LazyLock::new(|| "no scope allows it".into());
static CROOKED: LazyLock<Arc<str>> = LazyLock::new(|| "its URI is not in normal form (RFC 3986, 6.2.2)".into());
static OPEN: LazyLock<Arc<str>> = LazyLock::new(|| "no role denies it".into());

impl Rights {
    /// The rights of whoever has these roles, narrowed by scopes; `None` where neither narrows anything.
    pub fn new(scopes: Vec<Rule>, roles: Vec<Arc<Role>>) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if scopes.is_empty() && roles.is_empty() {
            return None;
        }
        let of_role = |role: &Arc<Role>| role.deny.len() + role.allow.as_ref().map_or(0, Vec::len);
        let patterns = scopes.len() + roles.iter().map(of_role).sum::<usize>();
        let open = roles.iter().all(|role| role.allow.is_none());
        Some(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), scopes, roles, open, patterns })
    }

    /// Roles that they are made of.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|role| role.name.as_str())
    }

    /// Scopes that narrow them.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(|rule| rule.scope.as_str())
    }

    /// Whether some names are closed, so that lists have to be looked through.
    pub fn closes_names(&self) -> bool {
        !self.scopes.is_empty() || !self.open || self.roles.iter().any(|role| !role.deny.is_empty())
    }

    /// Whether a name is open.
    pub fn allow(&self, kind: Kind, server: &str, name: &str) -> bool {
        matches!(self.decided(kind, server, name), Decided::Allowed { .. } | Decided::Scoped { .. } | Decided::Open)
    }

    /// Whether a name is open, and the rule that says so.
    pub fn rule(&self, kind: Kind, server: &str, name: &str) -> Ruling {
        let (allowed, rule) = self.named(self.decided(kind, server, name));
        Ruling { allowed, rule: Arc::clone(rule) }
    }

    /// Whether anything of a server may be open.
    pub fn reach(&self, server: &str) -> bool {
        let any = |rules: &[Rule]| rules.iter().any(|rule| rule.scope.reaches(server));
        let allowed = self.open || self.roles.iter().filter_map(|role| role.allow.as_deref()).any(any);
        let denied = self.roles.iter().flat_map(|role| &role.deny).any(|rule| rule.scope.covers(server));
        allowed && !denied && (self.scopes.is_empty() || any(&self.scopes))
    }

    /// Whether whatever other rights open these open as well: they are of the same roles, and narrowed by no further scope.
    pub fn cover(&self, other: &Self) -> bool {
        let has = |role: &Arc<Role>| self.roles.iter().any(|own| own == role);
        let same = self.roles.len() == other.roles.len() && other.roles.iter().all(has);
        let within = || !other.scopes.is_empty() && other.scopes.iter().all(|scope| self.scopes.contains(scope));
        same && (self.scopes.is_empty() || within())
    }

    /// The conditions that a call of a tool must meet, in the order of the roles.
    pub fn conditions(&self, server: &str, tool: &str) -> impl Iterator<Item = &Condition> {
        let all = self.roles.iter().flat_map(|role| &role.when);
        all.filter(move |condition| condition.tools.matches(Kind::Tool, server, tool))
    }

    /// The first condition that arguments do not meet.
    pub fn refuse(
        &self,
        server: &str,
        tool: &str,
        arguments: Option<(&[u8], toolgate_protocol::json::Span)>,
    ) -> Option<(&Condition, Outcome<'_>)> {
        let mut judged = self.conditions(server, tool).map(|condition| (condition, condition.judge(arguments)));
        judged.find(|(_, outcome)| !outcome.passes())
    }

    /// The scope that would open a name to a client whose roles do: what a token with more scopes could have. `None`
    /// where no scope would help, or the client may not know of the name.
    pub fn missing_scope(&self, kind: Kind, server: &str, name: &str) -> Option<String> {
        (self.decided(kind, server, name) == Decided::Unscoped).then(|| match kind {
            Kind::Tool => format!("{server}/{name}"),
            Kind::Prompt | Kind::Resource => format!("{server}/{}:{name}", kind.word()),
        })
    }

    pub(super) fn decided(&self, kind: Kind, server: &str, name: &str) -> Decided {
        if self.patterns < MANY {
            return self.look(kind, server, name);
        }
        memo::remembered((self.id, kind, server, name), || self.look(kind, server, name))
    }

    /// Without a memory.
    pub(super) fn look(&self, kind: Kind, server: &str, name: &str) -> Decided {
        let name = match kind {
            Kind::Resource if self.closes_names() => resource::comparable(name),
            _ => Some(Cow::Borrowed(name)),
        };
        let Some(name) = name.as_deref() else { return Decided::Crooked };
        let found = |rules: &[Rule]| place(rules.iter().position(|rule| rule.scope.matches(kind, server, name)));
        let roles = || (0_u32..).zip(&self.roles);
        if let Some((role, rule)) = roles().find_map(|(at, role)| Some((at, found(&role.deny)?))) {
            return Decided::Denied { role, rule };
        }
        let by_role = if self.open {
            Decided::Open
        } else if let Some((role, rule)) = roles().find_map(|(at, role)| Some((at, found(role.allow.as_deref()?)?))) {
            Decided::Allowed { role, rule }
        } else {
            return Decided::Unlisted;
        };
        if self.scopes.is_empty() {
            return by_role;
        }
        match (found(&self.scopes), by_role) {
            (None, _) => Decided::Unscoped,
            (Some(rule), Decided::Open) => Decided::Scoped { rule },
            (Some(_), by_role) => by_role,
        }
    }

    fn named(&self, decided: Decided) -> (bool, &Arc<str>) {
        match decided {
            Decided::Denied { role, rule } => (false, &self.roles[role as usize].deny[rule as usize].text),
            Decided::Unlisted => (false, &UNLISTED),
            Decided::Unscoped => (false, &UNSCOPED),
            Decided::Allowed { role, rule } => {
                let rules = self.roles[role as usize].allow.as_deref().unwrap_or_default();
                (true, &rules[rule as usize].text)
            }
            Decided::Scoped { rule } => (true, &self.scopes[rule as usize].text),
            Decided::Open => (true, &OPEN),
            Decided::Crooked => (false, &CROOKED),
        }
    }
}

fn place(position: Option<usize>) -> Option<u32> {
    position.and_then(|position| u32::try_from(position).ok())
}
