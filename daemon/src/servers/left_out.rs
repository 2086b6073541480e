//! Names that merged views leave out, for health, and for the log once per change.
//!
//! Written while lists are merged, read by health and status. What a client may use plays no part:
//! names collide within one server only, so they are the same in every view.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use toolgate_protocol::names::{Aliases, Unfit};
use tracing::warn;

/// Names kept per list; a server that has more is told of these.
const KEPT: usize = 20;

/// What one server's lists lose in merged views.
#[derive(Debug, Default)]
pub struct LeftOut(Mutex<BTreeMap<&'static str, Names>>);

/// Sentences, by the server's own name.
type Names = BTreeMap<String, String>;

impl LeftOut {
    /// Takes note of one page of a list; `whole` where the list has no other pages.
    pub fn note(&self, list: &'static str, unfit: &[Unfit], whole: bool, server: &str, aliases: &Aliases) {
        let mut lists = self.lock();
        if unfit.is_empty() && !(whole && lists.contains_key(list)) {
            return;
        }
        let known = lists.entry(list).or_default();
        if whole {
            known.retain(|name, _| unfit.iter().any(|unfit| unfit.name() == name));
        }
        for unfit in unfit {
            if known.len() < KEPT && !known.contains_key(unfit.name()) {
                let told = sentence(unfit, server, aliases);
                warn!(server, list, "a name is left out of merged views: {told}");
                known.insert(unfit.name().to_owned(), told);
            }
        }
        if known.is_empty() {
            lists.remove(list);
        }
    }

    /// What is left out and how to mend it, a sentence each.
    pub fn told(&self) -> Vec<String> {
        self.lock().values().flat_map(BTreeMap::values).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Names>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sentence(unfit: &Unfit, server: &str, aliases: &Aliases) -> String {
    if !unfit.is_mendable() {
        return format!("{unfit}; the second is left out");
    }
    let line = aliases.remedy(server, unfit.name());
    format!("{unfit}, so it is offered at /mcp/{server} only; to offer it everywhere, add to [server.{server}]: {line}")
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
    fn there_is_a_bound() {
        let (left, aliases) = (LeftOut::default(), Aliases::default());
        let many: Vec<Unfit> = (0..1000).map(|number| long(&number.to_string())).collect();
        left.note("tools", &many, true, "a", &aliases);
        assert_eq!(left.told().len(), KEPT);
    }
}
