//! What merged views lack of one server, for health, and for the log once per change.
//!
//! Written while lists are merged, read by health and status. What a client may use plays no part:
//! names collide within one server only, so they are the same in every view.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use toolgate_protocol::names::{Aliases, Unfit};
use tracing::warn;

use crate::clock;
use crate::lock::lock;
use crate::observe::Shown;

/// Names kept per list; a server that has more is told of these.
const KEPT: usize = 20;
/// A server that did not list in time is not waited for again for this long, in milliseconds.
const REMEMBER_SILENCE: u64 = 10_000;
/// A list that could not be had is told of for this long, in milliseconds: nobody may ask again.
const TELL_FAILURE: u64 = 60_000;

/// Characters kept of a reason or a name, which may be the server's own text.
const LONGEST: usize = 300;

/// What one server's lists lose in merged views.
#[derive(Debug, Default)]
pub struct LeftOut(Mutex<BTreeMap<&'static str, Lost>>);

/// What one list loses.
#[derive(Debug, Default)]
struct Lost {
    /// Sentences, by the server's own name.
    names: BTreeMap<String, String>,
    failure: Option<Failed>,
}

#[derive(Debug)]
struct Failed {
    why: String,
    /// In milliseconds of our clock.
    since: u64,
    silent: bool,
}

impl LeftOut {
    /// Takes note of one page of a list; `whole` where the list has no other pages.
    pub fn note(&self, list: &'static str, unfit: &[Unfit], whole: bool, server: &str, aliases: &Aliases) {
        let mut lists = self.lock();
        if unfit.is_empty() && !lists.contains_key(list) {
            return;
        }
        let entry = lists.entry(list).or_default();
        entry.failure = None;
        if whole {
            entry.names.retain(|name, _| unfit.iter().any(|unfit| unfit.name() == name));
        }
        for unfit in unfit {
            if entry.names.len() < KEPT && !entry.names.contains_key(unfit.name()) {
                let told = sentence(unfit, server, aliases);
                warn!(server, list, "a name is left out of merged views: {told}");
                entry.names.insert(unfit.name().to_owned(), told);
            }
        }
        if entry.names.is_empty() {
            lists.remove(list);
        }
    }

    /// Takes note of a list that could not be had; `silent` where the server was waited for in vain.
    pub fn note_failure(&self, list: &'static str, why: &str, silent: bool, server: &str) {
        let why: String = Shown(why).to_string().chars().take(LONGEST).collect();
        let mut lists = self.lock();
        let entry = lists.entry(list).or_default();
        if entry.failure.as_ref().is_none_or(|failed| failed.why != why) {
            warn!(server, list, why, "a server's entries are missing from merged lists");
        }
        entry.failure = Some(Failed { why, since: clock::millis(), silent });
    }

    /// Whether a list is not worth waiting for at the moment.
    pub fn is_silent(&self, list: &'static str) -> bool {
        let now = clock::millis();
        let lists = self.lock();
        let failed = lists.get(list).and_then(|entry| entry.failure.as_ref());
        failed.is_some_and(|failed| failed.silent && now < failed.since + REMEMBER_SILENCE)
    }

    /// What is left out and how to mend it, a sentence each.
    pub fn told(&self) -> Vec<String> {
        let now = clock::millis();
        let lists = self.lock();
        let failures = lists.iter().filter_map(|(list, entry)| {
            let failed = entry.failure.as_ref().filter(|failed| now < failed.since + TELL_FAILURE)?;
            Some(format!("its {list} are missing from merged lists: {}", failed.why))
        });
        failures.chain(lists.values().flat_map(|entry| entry.names.values().cloned())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Lost>> {
        lock(&self.0)
    }
}

fn sentence(unfit: &Unfit, server: &str, aliases: &Aliases) -> String {
    let shown = Shown(&unfit.to_string()).to_string();
    if !unfit.is_mendable() {
        return format!("{shown}; the second is left out");
    }
    let told = format!("{shown}, so it is offered at /mcp/{server} only");
    // The line must be whole, and the name is the server's own text.
    let own = unfit.name();
    if own.len() > LONGEST || !own.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return told;
    }
    format!("{told}; to offer it everywhere, add to [server.{server}]: {}", aliases.remedy(server, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(name: &str) -> Unfit {
        Unfit::TooLong { server: "a".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn what_a_list_loses_is_told_until_the_list_is_whole_without_it() {
        let (left, aliases) = (LeftOut::default(), Aliases::default());
        left.note("tools", &[long("x"), long("y")], true, "a", &aliases);
        left.note("prompts", &[long("x")], true, "a", &aliases);
        assert_eq!(left.told().len(), 3);
        left.note("tools", &[long("z")], false, "a", &aliases);
        assert_eq!(left.told().len(), 4, "a page says nothing of the others");
        left.note("tools", &[long("y")], true, "a", &aliases);
        left.note("prompts", &[], true, "a", &aliases);
        assert_eq!(left.told().len(), 1);
    }

    #[test]
    fn a_failure_is_told_until_the_list_is_had_and_silence_is_not_waited_for() {
        let (left, aliases) = (LeftOut::default(), Aliases::default());
        left.note_failure("tools", "it refuses", false, "a");
        assert_eq!(left.told(), ["its tools are missing from merged lists: it refuses"]);
        assert!(!left.is_silent("tools"));
        left.note_failure("tools", "it is silent", true, "a");
        assert!(left.is_silent("tools") && !left.is_silent("prompts"));
        left.note("tools", &[], false, "a", &aliases);
        assert!(left.told().is_empty() && !left.is_silent("tools"));
    }

    #[test]
    fn there_is_a_bound() {
        let (left, aliases) = (LeftOut::default(), Aliases::default());
        let many: Vec<Unfit> = (0..1000).map(|number| long(&number.to_string())).collect();
        left.note("tools", &many, true, "a", &aliases);
        assert_eq!(left.told().len(), KEPT);
    }
}
