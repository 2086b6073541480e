//! Calls as they end: `GET /v1/requests/tail?filter=WORDS&rate=N`.
//!
//! A filter is words that a call must have, with `!` before one: must not; and conditions such as `client=ci`,
//! `session=…`, `tool=pay`, `outcome=error`, `slower=500`. Capitals are small letters here. The lease is the connection: what is not read for a minute is closed, and a tail that
//! nobody follows costs calls one relaxed load.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{MissedTickBehavior, interval};
use toolgate_admin_api::{ApiError, ErrorCode, TailLine};

use super::lines::{self, Lines};
use super::operations::Operations;
use super::query::Parameters;
use crate::clock;
use crate::observe::ledger::{Filter, Outcome, Tail};

/// Lines a second, at most; nobody reads more.
const RATE: u64 = 100;

/// How often something is said, be it that there is nothing to say.
const BEAT: Duration = Duration::from_secs(1);

/// Lines on their way to one reader.
const UNDER_WAY: usize = 16;

/// Words of a filter at most: each is looked for in each call.
const WORDS: usize = 16;

/// Begins a tail. It ends when the body is dropped.
pub(super) fn open(operations: &dyn Operations, query: &str) -> Result<Lines, ApiError> {
    let mut parameters = Parameters::parse(query)?;
    let filter = filter(&parameters.take("filter").unwrap_or_default())?;
    let rate = parameters.take_number("rate")?.unwrap_or(RATE).clamp(1, RATE);
    parameters.finish()?;
    let tail = operations.tail(filter).ok_or_else(|| {
        ApiError::new(ErrorCode::Unavailable, "Too many follow the calls already.")
            .remedy("Close one of the consoles or commands that do.")
    })?;
    let (to, body) = mpsc::channel(UNDER_WAY);
    tokio::spawn(run(tail, Allowance::new(rate), to));
    Ok(Lines::new(body))
}

async fn run(mut tail: Tail, mut allowance: Allowance, to: Sender<Bytes>) {
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = true;
    loop {
        let said = tokio::select! {
            line = tail.next() => match line {
                None => return,
                Some(TailLine::Request(call)) if allowance.admits(clock::millis()) => Some(TailLine::Request(call)),
                Some(TailLine::Lagged { count }) => { allowance.left_out += count; None }
                Some(_) => { allowance.left_out += 1; None }
            },
            _ = beats.tick() => match std::mem::take(&mut allowance.left_out) {
                // Silent unless something is said until the next beat.
                0 => std::mem::replace(&mut silent, true).then(|| TailLine::Heartbeat { at_ms: clock::unix_millis() }),
                count => Some(TailLine::Lagged { count }),
            },
            () = to.closed() => return,
        };
        let Some(line) = said else { continue };
        silent = matches!(line, TailLine::Heartbeat { .. });
        if to.send(lines::line(&line)).await.is_err() {
            return;
        }
    }
}

/// How many lines there may be, and how many were left out since the reader was told.
#[derive(Debug)]
struct Allowance {
    rate: u64,
    /// The second of the last line, and how many it has had.
    second: (u64, u64),
    left_out: u64,
}

impl Allowance {
    fn new(rate: u64) -> Self {
        Self { rate, second: (0, 0), left_out: 0 }
    }

    fn admits(&mut self, now_ms: u64) -> bool {
        let second = now_ms / 1_000;
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        self.second.1 <= self.rate
    }
}

/// Reads the words of a filter.
fn filter(text: &str) -> Result<Filter, ApiError> {
    let mut filter = Filter::default();
    for word in text.split_whitespace() {
        let value = |value: &str| Some(value.to_owned());
        match word.split_once('=') {
            Some(("client", client)) => filter.client = value(client),
            Some(("session", session)) => filter.session = value(session),
            Some(("server", server)) => filter.server = value(server),
            Some(("method", method)) => filter.method = value(method),
            Some(("tool" | "name", name)) => filter.name = value(name),
            Some(("outcome", word)) => filter.outcome = Some(outcome(word)?),
            Some(("slower", time)) => filter.slower_ms = Some(millis(time)?),
            _ => match word.strip_prefix('!') {
                Some(unwanted) => filter.without.push(unwanted.to_lowercase()),
                None => filter.words.push(word.to_lowercase()),
            },
        }
    }
    if filter.words.len() + filter.without.len() > WORDS {
        return Err(unfit(format!("A filter has {WORDS} words at most.")));
    }
    Ok(filter)
}

fn outcome(word: &str) -> Result<Outcome, ApiError> {
    Outcome::ALL
        .into_iter()
        .find(|outcome| outcome.word() == word)
        .ok_or_else(|| unfit(format!("There is no outcome {word:?}.")).remedy("There are ok, error, refused and gone."))
}

/// Milliseconds, or seconds with an `s`.
fn millis(time: &str) -> Result<u64, ApiError> {
    let (digits, unit) = match (time.strip_suffix("ms"), time.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1),
        (None, Some(digits)) => (digits, 1_000),
        (None, None) => (time, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.ok_or_else(|| unfit(format!("{time:?} is no time.")).remedy("Write slower=500ms or slower=2s."))
}

fn unfit(message: String) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, message).field("filter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_words_and_conditions() {
        let read = filter("client=ci pay !list outcome=error slower=2s tool=look_up").unwrap();
        assert_eq!((read.client.as_deref(), read.name.as_deref()), (Some("ci"), Some("look_up")));
        assert_eq!((read.words, read.without), (vec!["pay".to_owned()], vec!["list".to_owned()]));
        assert_eq!((read.outcome, read.slower_ms), (Some(Outcome::Error), Some(2_000)));
        assert_eq!(filter("slower=15ms").unwrap().slower_ms, Some(15));
        assert_eq!(filter("slower=15").unwrap().slower_ms, Some(15));
        assert_eq!(filter("A=b").unwrap().words, ["a=b"]);
        let read = filter("session=9e37 tool=createIssue").unwrap();
        assert_eq!((read.session.as_deref(), read.name.as_deref()), (Some("9e37"), Some("createIssue")));
        for text in ["outcome=bad", "slower=soon", "slower=99999999999999999999s", &"x ".repeat(17)] {
            assert_eq!(filter(text).unwrap_err().field.as_deref(), Some("filter"), "{text}");
        }
    }

    #[test]
    fn no_second_has_more_lines_than_are_allowed() {
        let mut allowance = Allowance::new(3);
        let admitted = |allowance: &mut Allowance, at| (0..10).filter(|_| allowance.admits(at)).count();
        assert_eq!(admitted(&mut allowance, 5_000), 3);
        assert_eq!(admitted(&mut allowance, 5_999), 0);
        assert_eq!(admitted(&mut allowance, 6_000), 3);
    }
}
