//! Durations, sizes and rates as people write them, and the rule for names.
//!
//! Pure; used by the checker, the builder and the importer. An error is the help to give.

use std::time::Duration;

use toolgate_protocol::limiter::Unit;

const DURATION_HELP: &str = "write a number and a unit, such as \"500ms\", \"30s\", \"15m\", \"24h\" or \"7d\"";
const SIZE_HELP: &str = "write a number of bytes, or a number and a unit, such as \"64K\", \"10MiB\" or \"1G\"";
const PERCENT_HELP: &str = "write a whole number and the sign, such as \"80%\"";
const DATE_HELP: &str = "write year, month and day, such as \"2026-11-27\"";
const RATE_HELP: &str = "write calls per time, such as \"10/s\", \"100/min\", \"1000/h\" or \"100/15min\"";
const QUOTA_HELP: &str = "write calls per day or month, such as \"10000/day\" or \"200000/month\"";

/// `"2s"`, `"500ms"`, `"15m"`, `"1h"`, `"1d"`; several parts may follow each other: `"1h30m"`.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(DURATION_HELP);
    }
    while !rest.is_empty() {
        let (number, after) = leading_number(rest).ok_or(DURATION_HELP)?;
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let unit = unit(after[..unit_end].trim()).ok_or(DURATION_HELP)?;
        let part = u32::try_from(number).ok().and_then(|n| unit.checked_mul(n)).ok_or(DURATION_HELP)?;
        total = total.checked_add(part).ok_or(DURATION_HELP)?;
        rest = &after[unit_end..];
    }
    Ok(total)
}

fn unit(text: &str) -> Option<Duration> {
    Some(match text {
        "ms" => Duration::from_millis(1),
        "s" | "sec" => Duration::from_secs(1),
        "m" | "min" => Duration::from_secs(60),
        "h" | "hour" => Duration::from_secs(3600),
        "d" | "day" => Duration::from_secs(86_400),
        _ => return None,
    })
}

/// `"256M"`, `"10MiB"`, `"4096"`; every unit is a power of 1024, as with systemd and nginx.
pub(super) fn size(text: &str) -> Result<u64, &'static str> {
    let (number, unit) = leading_number(text.trim()).ok_or(SIZE_HELP)?;
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "K" | "k" | "KB" | "KiB" => 1 << 10,
        "M" | "MB" | "MiB" => 1 << 20,
        "G" | "GB" | "GiB" => 1 << 30,
        "T" | "TB" | "TiB" => 1 << 40,
        _ => return Err(SIZE_HELP),
    };
    number.checked_mul(factor).ok_or(SIZE_HELP)
}

/// `"2026-11-27"`: the day's beginning in UTC, in seconds since 1970.
pub(crate) fn date(text: &str) -> Result<u64, &'static str> {
    let parts: Vec<_> = text.trim().split('-').collect();
    let [year, month, day] = parts[..] else { return Err(DATE_HELP) };
    if (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return Err(DATE_HELP);
    }
    let number = |text: &str| text.parse::<u64>().map_err(|_| DATE_HELP);
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    if year < 1970 || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return Err(DATE_HELP);
    }
    let years = (1970..year).map(|year| 365 + u64::from(is_leap(year))).sum::<u64>();
    let months = (1..month).map(|month| days_in(year, month)).sum::<u64>();
    Ok((years + months + day - 1) * 86_400)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `"100/min"`, `"10/s"`, `"10r/s"` (nginx), `"100/15min"`: calls and their period.
pub(crate) fn rate(text: &str) -> Result<(u64, Duration), &'static str> {
    let (count, after) = leading_number(text.trim()).ok_or(RATE_HELP)?;
    let period = after.trim_start().trim_start_matches('r').trim_start().strip_prefix('/').ok_or(RATE_HELP)?.trim();
    let period = match unit(period) {
        Some(unit) => unit,
        None => duration(period).map_err(|_| RATE_HELP)?,
    };
    if count == 0 || period.is_zero() {
        return Err(
            "a rate is at least one call per some time; leave the limit out, or disable the server, to stop calls",
        );
    }
    Ok((count, period))
}

/// `"10000/day"`, `"200000/month"`: calls and the calendar's period.
pub(crate) fn quota(text: &str) -> Result<(u64, Unit), &'static str> {
    let (count, after) = leading_number(text.trim()).ok_or(QUOTA_HELP)?;
    let unit = match after.trim_start().strip_prefix('/').map(str::trim_start) {
        Some("d" | "day") => Unit::Day,
        Some("month") => Unit::Month,
        _ => return Err(QUOTA_HELP),
    };
    if count == 0 { Err("a quota is at least one call; disable the server to stop calls") } else { Ok((count, unit)) }
}

/// `"80%"`: the number before the sign.
pub(super) fn percent(text: &str) -> Result<u64, &'static str> {
    let number = text.trim().strip_suffix('%').map(str::trim_end);
    let (number, rest) = number.and_then(leading_number).ok_or(PERCENT_HELP)?;
    if rest.is_empty() { Ok(number) } else { Err(PERCENT_HELP) }
}

/// `"10%"`, `"0.5%"`: millionths.
pub(super) fn share(text: &str) -> Result<u32, &'static str> {
    const HELP: &str = "write a number from 0 to 100 with up to four places, and the sign, such as \"10%\" or \"0.5%\"";
    let number = text.trim().strip_suffix('%').map(str::trim_end).ok_or(HELP)?;
    let (whole, places) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str| (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(places) {
        return Err(HELP);
    }
    let millionths = format!("{whole}{places:0<4}").parse().map_err(|_| HELP)?;
    if millionths <= 1_000_000 { Ok(millionths) } else { Err(HELP) }
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// The rule for servers, profiles, listeners and tiers: `[a-z][a-z0-9-]{0,23}`.
#[must_use]
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 24
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar() {
        assert_eq!(date("1970-01-01"), Ok(0));
        assert_eq!(date("2026-11-27"), Ok(1_795_737_600));
        assert_eq!(date("2024-02-29"), Ok(1_709_164_800));
        for wrong in ["", "2026", "2026-13-01", "2025-02-29", "1969-12-31", "26-1-1", "2026-11-27T00:00", "x-y-z"] {
            assert!(date(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_as_people_write_them() {
        let table = [
            ("500ms", 500),
            ("2s", 2_000),
            ("15m", 900_000),
            ("15min", 900_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("0s", 0),
            (" 3 s", 3_000),
        ];
        for (text, milliseconds) in table {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1.5s", "1y", "5 s x", "99999999999999999999s", "4294967295d4294967295d?"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(size("10MiB"), Ok(10 << 20));
        assert_eq!(size("256M"), Ok(256 << 20));
        assert_eq!(size("64 K"), Ok(64 << 10));
        assert_eq!(size("4096"), Ok(4096));
        for text in ["", "M", "10X", "-1", "99999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn percentages_have_their_sign() {
        assert_eq!(percent("80%"), Ok(80));
        assert_eq!(percent(" 150 % "), Ok(150));
        for text in ["80", "%", "8.5%", "-1%", "80%%", "x%"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_may_be_smaller_than_a_hundredth() {
        let table =
            [("10%", 100_000), ("0.5%", 5_000), ("100 %", 1_000_000), ("0%", 0), ("0.0001%", 1), ("33.33%", 333_300)];
        for (text, millionths) in table {
            assert_eq!(share(text), Ok(millionths), "{text}");
        }
        for text in ["0.1", "%", ".5%", "5.%", "100.1%", "-1%", "0.00001%", "1e1%", "+1%", ""] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_have_a_count_and_a_period() {
        assert_eq!(rate("100/min"), Ok((100, Duration::from_secs(60))));
        assert_eq!(rate("10/s"), Ok((10, Duration::from_secs(1))));
        assert_eq!(rate("10r/s"), Ok((10, Duration::from_secs(1))));
        assert_eq!(rate("100/15min"), Ok((100, Duration::from_secs(900))));
        for text in ["", "100", "/min", "100/", "0/s", "5/0s", "5/x"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quotas_have_a_count_and_a_period_of_the_calendar() {
        assert_eq!(quota("10000/day"), Ok((10_000, Unit::Day)));
        assert_eq!(quota(" 5 / month"), Ok((5, Unit::Month)));
        for text in ["", "5", "/day", "0/day", "5/week", "5/min", "5/days"] {
            assert!(quota(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        for name in ["a", "weather-2", "abcdefghijklmnopqrstuvwx"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "2a", "-a", "Weather", "a_b", "abcdefghijklmnopqrstuvwxy", "é"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
