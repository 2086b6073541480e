//! `toolgate replay`: what was recorded, again, as far apart as it was.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use toolgate_admin_api::{Exit, WatchLine};

use crate::args::Replay;
use crate::failure::Failure;
use crate::output;

/// Prints the lines.
pub(super) async fn run(replay: &Replay) -> Result<Exit, Failure> {
    let name = replay.file.display();
    let unreadable = |error| Failure::local(format!("{name} cannot be read"), error);
    let lines = BufReader::new(File::open(&replay.file).map_err(unreadable)?).lines();
    let mut clock = Clock { begun: Instant::now(), first_ms: None };
    for (number, line) in lines.enumerate() {
        let line = line.map_err(unreadable)?;
        let Ok(read) = serde_json::from_str::<WatchLine>(&line) else {
            return Err(Failure::new(Exit::Failed, format!("Line {} of {name} is no line of a watch.", number + 1))
                .remedy("Give a file that `toolgate record` wrote."));
        };
        if !replay.once {
            sleep_until(clock.due(&read)).await;
        }
        output::line(&line);
    }
    Ok(Exit::Done)
}

/// When lines are due: as long after the first as they were when they were recorded.
struct Clock {
    begun: Instant,
    first_ms: Option<u64>,
}

impl Clock {
    fn due(&mut self, line: &WatchLine) -> Instant {
        let (WatchLine::Topic { at_ms, .. } | WatchLine::Heartbeat { at_ms }) = line else { return self.begun };
        let first = *self.first_ms.get_or_insert(*at_ms);
        self.begun + Duration::from_millis(at_ms.saturating_sub(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_far_apart_as_they_were() {
        let begun = Instant::now();
        let mut clock = Clock { begun, first_ms: None };
        let mut due = |line: &WatchLine| clock.due(line) - begun;
        assert_eq!(due(&WatchLine::Hello(toolgate_admin_api::Hello::default())), Duration::ZERO);
        assert_eq!(due(&WatchLine::Heartbeat { at_ms: 5_000 }), Duration::ZERO);
        assert_eq!(due(&WatchLine::Heartbeat { at_ms: 6_250 }), Duration::from_millis(1_250));
        assert_eq!(due(&WatchLine::Heartbeat { at_ms: 4_000 }), Duration::ZERO, "a clock that went back");
    }
}
