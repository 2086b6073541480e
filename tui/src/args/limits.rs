//! `toolgate limits`: what bounds clients, and for how long it is another number.

use clap::{Args, Subcommand};

/// `toolgate limits`
#[derive(Debug, Subcommand)]
pub(crate) enum Limits {
    /// Set a limit to another value for a time; what was counted goes on.
    #[command(after_help = "\
Examples:
  toolgate limits set tier.free.1 20/min --for 10m
  toolgate limits set calls 5 --for 1h --reason \"the server is slow today\"

A limit keeps what it bounds: a rate is set to a rate, a quota to a quota of the same period, and a
number in flight to a number. An override outlives reloads, and ends with the daemon.")]
    Set(LimitSet),

    /// Take an override away: the limit is again what the configuration says.
    Revert(LimitRevert),
}

/// `toolgate limits set`
#[derive(Debug, Args)]
pub(crate) struct LimitSet {
    /// The limit, as `toolgate limits` lists it.
    pub(crate) name: String,

    /// As the configuration writes it, such as 20/min, 5000/day or 5.
    pub(crate) value: String,

    /// How long it holds, such as 10m or 1h30m.
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
    pub(crate) seconds: u64,

    /// At once, for a token bucket; absent: the value's count.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) burst: Option<u64>,

    #[command(flatten)]
    pub(crate) how: How,
}

/// `toolgate limits revert`
#[derive(Debug, Args)]
pub(crate) struct LimitRevert {
    /// The limit.
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) how: How,
}

/// What every change takes.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// Say what would happen, change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Why, for the record of changes.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// `10m`, `1h30m`, `90s`, `2d`.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let help = || "write a number and a unit, such as 90s, 10m, 1h30m or 2d".to_owned();
    let (mut total, mut number) = (0_u64, String::new());
    for letter in text.chars() {
        if letter.is_ascii_digit() {
            number.push(letter);
            continue;
        }
        let unit = match letter {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(help()),
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(help)?;
        total = total.checked_add(part).ok_or_else(help)?;
        number.clear();
    }
    if total == 0 || !number.is_empty() { Err(help()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, expected) in [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "10", "m", "1w", "0s", "1h5", "99999999999999999999s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
