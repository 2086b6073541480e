//! The decision about a name: deny before allow, roles together, scopes on top.

use std::borrow::Cow;
use std::iter::once;
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
    /// Roles whose scopes the token lacks, by their places; none where it lacks none.
    unmet: Box<[bool]>,
    /// Scopes that each token of its issuer must have.
    needs: Box<[String]>,
    /// How many patterns there are to look at.
    patterns: usize,
}

/// OAuth scopes of a token.
#[derive(Debug, Default)]
pub struct Granted {
    /// What it has.
    pub has: Vec<String>,
    /// What each token of its issuer must have.
    pub needs: Vec<String>,
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
    /// To a token with more scopes.
    Lacking {
        role: u32,
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
        let open = roles.iter().all(|role| role.allow.is_none());
        (!scopes.is_empty() || !roles.is_empty()).then(|| Self::made(scopes, roles, open))
    }

    /// The same for whom nothing is open that no role allows.
    pub fn closed(scopes: Vec<Rule>, roles: Vec<Arc<Role>>) -> Self {
        Self::made(scopes, roles, false)
    }

    fn made(scopes: Vec<Rule>, roles: Vec<Arc<Role>>, open: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let of_role = |role: &Arc<Role>| role.deny.len() + role.allow.as_ref().map_or(0, Vec::len);
        let patterns = scopes.len() + roles.iter().map(of_role).sum::<usize>();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, scopes, roles, open, unmet: Box::default(), needs: Box::default(), patterns }
    }

    /// The same for whoever comes with a token of these scopes.
    #[must_use]
    pub fn of_token(mut self, granted: Granted) -> Self {
        let lacks = |role: &Arc<Role>| {
            role.required
                .as_ref()
                .is_some_and(|required| !required.scopes.iter().all(|scope| granted.has.contains(scope)))
        };
        let unmet: Box<[bool]> = self.roles.iter().map(lacks).collect();
        if unmet.contains(&true) {
            (self.unmet, self.needs) = (unmet, granted.needs.into());
        }
        self
    }

    fn is_unmet(&self, role: usize) -> bool {
        self.unmet.get(role).is_some_and(|unmet| *unmet)
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

    /// Whether a name is open, or would be to a token with more scopes: what lists show.
    pub fn allow(&self, kind: Kind, server: &str, name: &str) -> bool {
        match self.decided(kind, server, name) {
            Decided::Allowed { .. } | Decided::Lacking { .. } | Decided::Scoped { .. } | Decided::Open => true,
            Decided::Denied { .. } | Decided::Unlisted | Decided::Unscoped | Decided::Crooked => false,
        }
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
        let has = |(at, role): (usize, &Arc<Role>)| {
            let mut own = self.roles.iter().enumerate();
            own.any(|(own, known)| known == role && self.is_unmet(own) <= other.is_unmet(at))
        };
        let same = self.roles.len() == other.roles.len() && other.roles.iter().enumerate().all(has);
        let within = || !other.scopes.is_empty() && other.scopes.iter().all(|scope| self.scopes.contains(scope));
        same && self.open == other.open && (self.scopes.is_empty() || within())
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

    /// The scopes with which a token opens a name that it does not open for want of scopes alone: all that are of use
    /// here, so that a token which has them opens what this one does as well. `None` where no scope would help, or the
    /// client may not know of the name.
    pub fn wanting(&self, kind: Kind, server: &str, name: &str) -> Option<String> {
        let Decided::Lacking { role: lacking } = self.decided(kind, server, name) else { return None };
        let mut scopes: Vec<&str> = self.needs.iter().map(String::as_str).collect();
        let of_use = |at: usize| !self.is_unmet(at) || at == lacking as usize;
        let required =
            self.roles.iter().enumerate().filter(|(at, _)| of_use(*at)).filter_map(|(_, role)| role.required.as_ref());
        for scope in required.flat_map(|required| &required.scopes) {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope);
            }
        }
        Some(scopes.join(" "))
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
        } else {
            let mut allowing = roles().filter_map(|(at, role)| Some((at, found(role.allow.as_deref()?)?)));
            let Some((first, of_first)) = allowing.next() else { return Decided::Unlisted };
            // Another role may allow it without the scopes that the first one needs.
            let mut met = once((first, of_first)).chain(allowing).filter(|(at, _)| !self.is_unmet(*at as usize));
            met.next().map_or(Decided::Lacking { role: first }, |(role, rule)| Decided::Allowed { role, rule })
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
            Decided::Lacking { role } => {
                let required = self.roles[role as usize].required.as_ref();
                (false, required.map_or(&*UNLISTED, |required| &required.text))
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
