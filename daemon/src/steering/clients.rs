//! Clients that the operator suspended, as every call asks for its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use toolgate_admin_api::{Shown, Suspension};

use crate::clock;
use crate::failure::{Failure, Kind};

type Suspended = HashMap<String, Arc<Suspension>, RandomState>;

/// Who is suspended.
#[derive(Debug, Default)]
pub struct Clients {
    any: AtomicBool,
    suspended: ArcSwap<Suspended>,
}

/// A suspension that holds.
#[derive(Debug, Clone)]
pub struct Holds(Arc<Suspension>);

impl Clients {
    /// Whether anybody is: one relaxed load.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// The suspension of a client, where there is one that holds now.
    pub fn of(&self, client: &str) -> Option<Holds> {
        let found = self.suspended.load().get(client).cloned()?;
        found.until_ms.is_none_or(|until| clock::unix_millis() < until).then_some(Holds(found))
    }

    pub(super) fn set(&self, clients: &BTreeMap<String, Suspension>) {
        let all = clients.iter().map(|(client, suspension)| (client.clone(), Arc::new(suspension.clone())));
        self.suspended.store(Arc::new(all.collect()));
        self.any.store(!clients.is_empty(), Ordering::Relaxed);
    }
}

impl Holds {
    /// One that its key has.
    #[must_use]
    pub fn new(suspension: Suspension) -> Self {
        Self(Arc::new(suspension))
    }

    /// What operators know of it.
    #[must_use]
    pub fn told(&self) -> Suspension {
        Suspension::clone(&self.0)
    }

    /// Whether its time is not over.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.until_ms.is_none_or(|until| clock::unix_millis() < until)
    }

    /// What the client reads instead of an answer.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let Self(suspension) = self;
        let left = suspension.until_ms.map(|until| Duration::from_millis(until.saturating_sub(clock::unix_millis())));
        refusal(&suspension.say, "Nothing was executed.", left)
    }
}

/// The words for calls in flight of a client that is suspended now.
#[must_use]
pub fn cut_short(say: &str, left: Option<Duration>) -> Failure {
    refusal(say, "Whether this call had an effect is unknown; check before you repeat it.", left)
}

fn refusal(say: &str, what: &str, left: Option<Duration>) -> Failure {
    let say = sentence(say);
    match left {
        Some(left) => {
            let seconds = left.as_millis().div_ceil(1000).max(1);
            let text = format!("{say} {what} Do not call again for {seconds} s.");
            Failure::new(Kind::Suspended, text).retry_after(left)
        }
        None => Failure::new(Kind::Suspended, format!("{say} {what} Do not call again before the operator allows it.")),
    }
}

/// The operator's words as a sentence that stands before others, or what there is to say without them.
fn sentence(say: &str) -> String {
    let say = Shown(say.trim()).to_string();
    match say.chars().last() {
        None => "The operator of this gate has suspended you.".to_owned(),
        Some('.' | '!' | '?' | '…') => say,
        Some(_) => format!("{say}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_the_operators_own() {
        let text = cut_short("You call in a circle", None).message;
        assert!(text.starts_with("You call in a circle. Whether") && text.ends_with("allows it."), "{text}");
        let failure = cut_short("", Some(Duration::from_millis(1500)));
        assert!(failure.message.ends_with("Do not call again for 2 s."), "{}", failure.message);
        assert!(failure.message.starts_with("The operator of this gate has suspended you."));
        assert!(!cut_short("\u{1b}[2J", None).message.contains('\u{1b}'));
    }

    #[test]
    fn a_suspension_ends_with_its_time() {
        let clients = Clients::default();
        let until = |until_ms| Suspension { until_ms: Some(until_ms), ..Suspension::default() };
        let now = clock::unix_millis();
        clients.set(&BTreeMap::from([("a".to_owned(), until(now + 60_000)), ("b".to_owned(), until(now - 1))]));
        assert!(clients.any() && clients.of("a").is_some() && clients.of("b").is_none() && clients.of("c").is_none());
        clients.set(&BTreeMap::new());
        assert!(!clients.any());
    }
}
