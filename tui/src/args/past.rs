//! `toolgate rewind` and `record`: what was.

use std::path::PathBuf;

use clap::Args;

use super::how::seconds;

/// `toolgate rewind`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toolgate rewind --at 02:00
  toolgate rewind --at 2026-11-27T02:00 --span 10m --server weather

Times are UTC. The daemon keeps a sample of ten seconds for 24 hours, also across restarts.")]
pub(crate) struct Rewind {
    /// When: 02:00 for the last time that it was, 2026-11-27T02:00, or 90m for that long ago.
    #[arg(long, value_name = "TIME", value_parser = When::read)]
    pub(crate) at: When,

    /// How long before it the graphs begin.
    #[arg(long, value_name = "DURATION", value_parser = seconds, default_value = "1h")]
    pub(crate) span: u64,

    /// Show this server and its tools too.
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<String>,
}

/// `toolgate record`
#[derive(Debug, Args)]
pub(crate) struct Record {
    /// A new file; it says who called what and how often, but holds no secret and no text of a call.
    pub(crate) file: PathBuf,

    /// How long; absent: until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
    pub(crate) seconds: Option<u64>,
}

/// A time of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// So many seconds ago.
    Ago(u64),
    /// The last time that it was so many seconds after midnight.
    Clock(u64),
    /// So many seconds since 1970.
    Date(u64),
}

impl When {
    fn read(text: &str) -> Result<Self, String> {
        let help = || "write a time such as 02:00, 2026-11-27T02:00 or 90m, in UTC".to_owned();
        let plain = text.strip_suffix('Z').unwrap_or(text);
        if let Some((date, clock)) = plain.split_once('T') {
            let at = days(date).zip(seconds_of(clock)).map(|(days, seconds)| days * 86_400 + seconds);
            return at.map(Self::Date).ok_or_else(help);
        }
        match seconds_of(plain) {
            Some(clock) => Ok(Self::Clock(clock)),
            None => seconds(text).map(Self::Ago).map_err(|_| help()),
        }
    }

    /// In milliseconds since 1970.
    pub(crate) fn millis(self, now_ms: u64) -> u64 {
        let now = now_ms / 1_000;
        let seconds = match self {
            Self::Ago(ago) => now.saturating_sub(ago),
            Self::Date(at) => at,
            Self::Clock(clock) => {
                let today = now / 86_400 * 86_400 + clock;
                if today > now { today.saturating_sub(86_400) } else { today }
            }
        };
        seconds * 1_000
    }
}

/// `HH:MM` or `HH:MM:SS` as seconds after midnight.
fn seconds_of(clock: &str) -> Option<u64> {
    let parts: Vec<u64> = clock.split(':').map(two_digits).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (hours, minutes, 0),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    (hours < 24 && minutes < 60 && seconds < 60).then_some(hours * 3_600 + minutes * 60 + seconds)
}

fn two_digits(text: &str) -> Option<u64> {
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Days from 1970 to `YYYY-MM-DD`, by Howard Hinnant's `days_from_civil`.
fn days(date: &str) -> Option<u64> {
    let (year, rest) = date.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let (year, month, day): (u64, u64, u64) = (year.parse().ok()?, two_digits(month)?, two_digits(day)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year - u64::from(month <= 2);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + day_of_year;
    (year / 400 * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_789_082_000; // 2026-11-27T14:18:02Z

    fn at(text: &str) -> u64 {
        When::read(text).expect(text).millis(NOW) / 1_000
    }

    #[test]
    fn a_time_is_the_last_that_it_was() {
        assert_eq!(at("14:18"), 1_795_789_080);
        assert_eq!(at("14:19"), 1_795_789_140 - 86_400, "not yet today");
        assert_eq!(at("2026-11-27T14:18:02Z"), NOW / 1_000);
        assert_eq!(at("1970-01-01T00:00"), 0);
        assert_eq!(at("1972-03-01T00:00:01"), 68_256_001);
        assert_eq!(at("90m"), NOW / 1_000 - 5_400);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "2", "24:00", "1:00", "12:60", "2026-13-01T00:00", "2026-11-27", "yesterday", "T", "é:00"] {
            assert!(When::read(text).is_err(), "{text}");
        }
    }
}
