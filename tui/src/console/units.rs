//! Numbers as people read them: at most three digits and a unit, so that columns never jump.

/// `999`, `1.2k`, `34k`, `5.6M`.
pub(crate) fn count(number: u64) -> String {
    scaled(to_float(number), 1000.0, &["", "k", "M", "G", "T", "P", "E"], 0)
}

/// A number a second, without the `/s`: `0`, `0.4`, `12.3`, `1.2k`.
pub(crate) fn rate(number: f64) -> String {
    if number > 0.0 && number < 0.05 {
        return "<0.1".to_owned();
    }
    scaled(number, 1000.0, &["", "k", "M", "G"], 1)
}

/// `512 B`, `1.2 KiB`, `34 MiB`: in the units in which sizes are configured.
pub(crate) fn bytes(number: u64) -> String {
    scaled(to_float(number), 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"], 0)
}

/// Microseconds: `0.34 ms`, `3.4 ms`, `340 ms`, `1.2 s`, `2m 5s`; a dash where there were none.
pub(crate) fn span_us(us: u64) -> String {
    let ms = to_float(us) / 1000.0;
    match ms {
        _ if us == 0 => "-".to_owned(),
        ms if ms < 0.995 => format!("{ms:.2} ms"),
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 9_950.0 => format!("{:.1} s", ms / 1000.0),
        ms if ms < 119_500.0 => format!("{:.0} s", ms / 1000.0),
        _ => long(us / 1_000_000),
    }
}

/// Milliseconds, as [`span_us`].
pub(crate) fn span_ms(ms: u64) -> String {
    span_us(ms.saturating_mul(1000))
}

/// Seconds as one unit: `5s`, `12m`, `3h`, `2d`.
pub(crate) fn short(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m", seconds / 60),
        3_600..=86_399 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Seconds as their two largest units: `3d 4h`, `12m 5s`.
pub(crate) fn long(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {seconds}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// How long ago a moment is, as [`short`].
pub(crate) fn since(at_ms: u64, now_ms: u64) -> String {
    short(now_ms.saturating_sub(at_ms) / 1000)
}

/// How long until a moment, as [`short`].
pub(crate) fn until(at_ms: u64, now_ms: u64) -> String {
    if at_ms <= now_ms { "over".to_owned() } else { short((at_ms - now_ms).div_ceil(1000)) }
}

/// When something ends: `in 12d`, `over`, and the year where that is years away.
pub(crate) fn ends(at_ms: u64, now_ms: u64) -> String {
    const YEARS_MS: u64 = 1_000 * 86_400_000;
    match at_ms.saturating_sub(now_ms) {
        0 => "over".to_owned(),
        left if left < YEARS_MS => format!("in {}", until(at_ms, now_ms)),
        _ => format!("in {}", civil(at_ms / 86_400_000).0),
    }
}

/// `14:03:22`, in UTC.
pub(crate) fn clock(at_ms: u64) -> String {
    let seconds = at_ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// `2026-11-27 14:03`, in UTC.
pub(crate) fn date(at_ms: u64) -> String {
    let (year, month, day) = civil(at_ms / 86_400_000);
    let time = clock(at_ms);
    format!("{year:04}-{month:02}-{day:02} {}", &time[..5])
}

/// A share of one: `0%`, `4%`, `100%`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// `1 session`, `2 sessions`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", count(number)) }
}

/// Numbers on a screen need no more than the 52 bits that a float keeps.
#[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
pub(crate) fn to_float(number: u64) -> f64 {
    number as f64
}

/// A float that stands for a number of cells, in bounds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
pub(crate) fn to_cells(number: f64, most: usize) -> usize {
    if number.is_finite() { (number.max(0.0) as usize).min(most) } else { 0 }
}

fn scaled(number: f64, step: f64, units: &[&str], decimals: usize) -> String {
    if !number.is_finite() {
        return "-".to_owned();
    }
    let (mut number, mut unit) = (number.max(0.0), 0);
    while number >= 999.5 && unit + 1 < units.len() {
        number /= step;
        unit += 1;
    }
    let decimals = match number {
        _ if unit == 0 && (decimals == 0 || number == 0.0) => 0,
        number if number < 9.95 => 1,
        number if unit == 0 && number < 99.95 => decimals,
        _ => 0,
    };
    format!("{number:.decimals$}{}", units[unit])
}

/// Year, month and day of a day since 1970 (the calendar counted in eras of 400 years that begin in March).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        assert_eq!(
            [0, 7, 999, 1_200, 34_000, 999_999, 5_600_000].map(count),
            ["0", "7", "999", "1.2k", "34k", "1.0M", "5.6M"]
        );
        assert_eq!([0.0, 0.01, 0.4, 12.34, 123.4, 1_234.0].map(rate), ["0", "<0.1", "0.4", "12.3", "123", "1.2k"]);
        let sizes = [0, 512, 1_000, 1_229, 34 << 20, 1023 << 20].map(bytes);
        assert_eq!(sizes, ["0 B", "512 B", "1.0 KiB", "1.2 KiB", "34 MiB", "1.0 GiB"]);
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        let shown = [0, 340, 3_400, 34_000, 1_200_000, 34_000_000, 125_000_000].map(span_us);
        assert_eq!(shown, ["-", "0.34 ms", "3.4 ms", "34 ms", "1.2 s", "34 s", "2m 5s"]);
        assert_eq!([5, 720, 10_800, 172_800].map(short), ["5s", "12m", "3h", "2d"]);
    }

    #[test]
    fn an_end_is_told_in_days_or_as_a_year() {
        let now = 1_795_788_202_000;
        let told = [now - 1, now + 90_000, now + 999 * 86_400_000, 67_090_000_000_000].map(|at| ends(at, now));
        assert_eq!(told, ["over", "in 1m", "in 999d", "in 4095"]);
    }

    #[test]
    fn the_calendar_is_right() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_400_000), "2000-02-29 00:00");
        assert_eq!(date(1_795_788_202_000), "2026-11-27 14:03");
    }
}
