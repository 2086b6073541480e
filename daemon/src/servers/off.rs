//! Tools that the operator switched off: they leave the lists, and calls to them are refused with words.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use toolgate_admin_api::{Shown, Suspension};

use crate::clock;
use crate::failure::{Failure, Kind};

/// The tools of one server that are off, by their own names.
#[derive(Debug, Default)]
pub struct Off {
    any: AtomicBool,
    tools: ArcSwap<BTreeMap<String, Suspension>>,
    /// How often others were off than before.
    changes: watch::Sender<u64>,
}

impl Off {
    /// Whether any is: one relaxed load.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Whether a tool is off now.
    pub fn is(&self, tool: &str) -> bool {
        self.any() && self.tools.load().get(tool).is_some_and(holds)
    }

    /// What whoever calls it reads, where it is off now.
    pub fn refusal(&self, tool: &str) -> Option<Failure> {
        if !self.any() {
            return None;
        }
        let tools = self.tools.load();
        let off = tools.get(tool).filter(|off| holds(off))?;
        let say = Shown(off.say.trim()).to_string();
        let end = if say.is_empty() || say.ends_with(['.', '!', '?', '…']) { "" } else { "." };
        let say = if say.is_empty() { say } else { format!(" {say}{end}") };
        let tool = crate::relay::names::brief(tool);
        let text = format!("The operator of this gate has switched the tool {tool} off.{say} Do without it.");
        Some(Failure::new(Kind::ToolDisabled, text))
    }

    /// Takes over which are off; whether others are than before.
    pub fn set(&self, tools: Option<&BTreeMap<String, Suspension>>) -> bool {
        let now = tools.cloned().unwrap_or_default();
        let before = self.tools.load_full();
        let changed = !before.keys().eq(now.keys());
        self.any.store(!now.is_empty(), Ordering::Relaxed);
        self.tools.store(Arc::new(now));
        if changed {
            self.changes.send_modify(|changes| *changes += 1);
        }
        changed
    }

    /// Whether any ever was: then the gate has announcements of its own, which no leg hears.
    pub fn was_used(&self) -> bool {
        *self.changes.borrow() > 0
    }

    /// Learns whenever others are off than before, from now on.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn holds(off: &Suspension) -> bool {
    off.until_ms.is_none_or(|until| clock::unix_millis() < until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_off_until_its_time_is_over() {
        let off = Off::default();
        let tool = |say: &str, until_ms| Suspension { say: say.into(), until_ms, ..Suspension::default() };
        let tools = BTreeMap::from([
            ("spend".to_owned(), tool("It costs too much", None)),
            ("old".to_owned(), tool("", Some(1))),
        ]);
        assert!(off.set(Some(&tools)) && !off.set(Some(&tools)));
        assert!(off.is("spend") && !off.is("old") && !off.is("other"));
        let text = off.refusal("spend").unwrap().message;
        assert!(text.ends_with("switched the tool spend off. It costs too much. Do without it."), "{text}");
        assert!(off.set(None) && !off.any() && off.refusal("spend").is_none());
    }
}
