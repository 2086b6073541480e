//! A recording as the console's source: its lines, as far apart as they were.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use toolgate_admin_api::{Exit, TailLine, WatchLine};

use super::data::Data;
use super::once;
use super::run::{Event, Outbox};
use super::state::{Feed, Privilege};
use crate::failure::Failure;

/// A recording whose first line could be read.
pub(super) struct Recording {
    first: WatchLine,
    rest: Lines<BufReader<File>>,
}

/// Opens a recording.
pub(super) fn open(file: &Path) -> Result<Recording, Failure> {
    let name = file.display();
    let cannot = |error| Failure::local(format!("{name} cannot be read"), error);
    let mut lines = BufReader::new(File::open(file).map_err(cannot)?).lines();
    let first = lines.next().transpose().map_err(cannot)?;
    let first = first.and_then(|line| serde_json::from_str(&line).ok());
    match first {
        Some(first) => Ok(Recording { first, rest: lines }),
        None => {
            Err(Failure::new(Exit::Failed, format!("{name} is no recording."))
                .remedy("`toolgate record FILE` makes one."))
        }
    }
}

/// Plays it on a thread of its own.
pub(super) fn play(recording: Recording, outbox: Outbox) -> Result<(), Failure> {
    let told = move || {
        let mut pace = Pace::default();
        let mut at_ms = first_time(&recording.first);
        let Recording { first, rest } = recording;
        let lines = rest.map_while(Result::ok).filter_map(|line| read(&line));
        let feeds = [Feed::Connected(Privilege::Replay), Feed::Watch(Box::new(first))].into_iter().chain(lines);
        for feed in feeds {
            if let Some(time) = time(&feed) {
                pace.until(time);
                at_ms = time;
            }
            if outbox.send(Event::Replayed(feed, at_ms)).is_err() {
                return;
            }
        }
        let _ = outbox.send(Event::Replayed(Feed::Ended, at_ms));
    };
    let started = thread::Builder::new().name("replay".into()).spawn(told);
    started.map(|_| ()).map_err(|error| Failure::local("The recording cannot be played", error))
}

/// Prints the end of a recording.
pub(super) fn print(file: &Path, json: bool) -> Result<Exit, Failure> {
    let Recording { first, rest } = open(file)?;
    let mut data = Data::default();
    let mut at_ms = first_time(&first);
    data.watch(first, at_ms);
    for line in rest.map_while(Result::ok) {
        match read(&line) {
            Some(Feed::Watch(line)) => {
                at_ms = watched(&line).unwrap_or(at_ms);
                data.watch(*line, at_ms);
            }
            Some(Feed::Tail(line)) => data.tail(*line),
            _ => {}
        }
    }
    data.catch_up();
    Ok(once::show(&data, json))
}

/// A line of either kind; one that is neither is left out.
fn read(line: &str) -> Option<Feed> {
    match serde_json::from_str(line) {
        Ok(WatchLine::Unknown) | Err(_) => serde_json::from_str::<TailLine>(line).ok().map(Box::new).map(Feed::Tail),
        Ok(line) => Some(Feed::Watch(Box::new(line))),
    }
}

fn watched(line: &WatchLine) -> Option<u64> {
    match line {
        WatchLine::Topic { at_ms, .. } | WatchLine::Heartbeat { at_ms } => Some(*at_ms),
        _ => None,
    }
}

fn first_time(line: &WatchLine) -> u64 {
    watched(line).unwrap_or_else(super::run::wall_ms)
}

fn time(feed: &Feed) -> Option<u64> {
    match feed {
        Feed::Watch(line) => watched(line),
        Feed::Tail(line) => match line.as_ref() {
            TailLine::Request(request) => Some(request.at_ms),
            _ => None,
        },
        _ => None,
    }
}

/// Holds lines back until they are due.
#[derive(Default)]
struct Pace {
    begun: Option<(Instant, u64)>,
}

impl Pace {
    fn until(&mut self, at_ms: u64) {
        let (begun, first) = *self.begun.get_or_insert((Instant::now(), at_ms));
        let due = begun + Duration::from_millis(at_ms.saturating_sub(first));
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_no_recording_is_refused() {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(b"hello\n").expect("written");
        let refused = open(file.path()).err().expect("refused");
        assert!(refused.message.ends_with("is no recording."), "{}", refused.message);
    }

    #[test]
    fn lines_of_the_watch_and_of_the_tail_are_told_apart() {
        assert!(matches!(read(r#"{"type":"heartbeat","at_ms":1}"#), Some(Feed::Watch(_))));
        assert!(matches!(read(r#"{"type":"request","id":"a","at_ms":1}"#), Some(Feed::Tail(_))));
        assert!(read("{").is_none());
    }
}
