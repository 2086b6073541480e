//! Which changes of tools are worth a line in the log.
//! Called for every change of a server's tools that is seen.
//! Must hold: a server that changes its tools with every list fills no log; what was not said is counted.

use std::collections::BTreeMap;

/// Between two lines about one tool, in milliseconds.
const GAP: u64 = 60_000;
/// Tools that lines are about within that time.
const TOOLS: usize = 20;

/// The lines about one server's tools. Times are milliseconds of any clock that does not go back.
#[derive(Debug, Default)]
pub struct Quiet {
    said: BTreeMap<String, u64>,
    unsaid: u64,
}

impl Quiet {
    /// A tool has changed. Gives back how many changes were not said before this one, where it is to be said.
    pub fn says(&mut self, tool: &str, now: u64) -> Option<u64> {
        self.said.retain(|_, when| now.saturating_sub(*when) < GAP);
        if self.said.len() >= TOOLS || self.said.contains_key(tool) {
            self.unsaid += 1;
            return None;
        }
        self.said.insert(tool.to_owned(), now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tool_that_flaps_is_said_once_a_minute() {
        let mut quiet = Quiet::default();
        assert_eq!(quiet.says("t", 0), Some(0));
        for now in 1..GAP {
            assert_eq!(quiet.says("t", now), None);
        }
        assert_eq!(quiet.says("u", GAP - 1), Some(GAP - 1), "another is said, and how much was not");
        assert_eq!(quiet.says("t", GAP), Some(0));
    }

    proptest! {
        #[test]
        fn lines_are_bounded_and_no_change_is_forgotten(
            changes in prop::collection::vec((0..60u8, 0..5_000u64), 1..400)
        ) {
            let (mut quiet, mut now, mut lines) = (Quiet::default(), 0, Vec::new());
            let mut counted = 0;
            for (tool, later) in &changes {
                now += later;
                if let Some(unsaid) = quiet.says(&tool.to_string(), now) {
                    counted += unsaid + 1;
                    lines.push((*tool, now));
                }
            }
            prop_assert_eq!(counted + quiet.unsaid, changes.len() as u64);
            for (at, (tool, now)) in lines.iter().enumerate() {
                let before: Vec<_> = lines[..at].iter().filter(|(_, then)| now - then < GAP).collect();
                prop_assert!(before.len() < TOOLS);
                prop_assert!(before.iter().all(|(other, _)| other != tool));
            }
        }
    }
}
