//! What every change takes, and the times that changes hold.

use clap::Args;

/// What every change takes.
#[derive(Debug, Default, Args)]
pub(crate) struct How {
    /// Say what would happen, change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Why, for the record of changes.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,

    /// Do it only while this revision of the configuration runs.
    #[arg(long, value_name = "REVISION")]
    pub(crate) if_match: Option<u64>,
}

/// The same for a change that is wide or final.
#[derive(Debug, Default, Args)]
pub(crate) struct Final {
    /// Name what is changed once more, so that it is done.
    #[arg(long, value_name = "NAME")]
    pub(crate) confirm: Option<String>,

    #[command(flatten)]
    pub(crate) how: How,
}

/// Rows of a table where nobody says how many.
const ROWS: u64 = 100;

/// Which rows of a table.
#[derive(Debug, Args)]
pub(crate) struct Rows {
    /// Words that a row must have, or with ! before one must not.
    #[arg(long, value_name = "WORDS")]
    pub(crate) filter: Option<String>,

    /// The column to sort by, as the admin interface names it.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) sort: Option<String>,

    /// The largest first.
    #[arg(long, requires = "sort")]
    pub(crate) descending: bool,

    /// Rows at most.
    #[arg(long, value_name = "NUMBER", default_value_t = ROWS)]
    pub(crate) limit: u64,
}

impl Default for Rows {
    fn default() -> Self {
        Self { filter: None, sort: None, descending: false, limit: ROWS }
    }
}

/// `10m`, `1h30m`, `90s`, `2d`.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
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
