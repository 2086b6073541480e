//! `toolgate server drain`, `maintenance` and `resume`, and `toolgate breaker`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::how::Final;
use super::server::server_name;

/// `toolgate breaker`
#[derive(Debug, Subcommand)]
pub(crate) enum Breaker {
    /// Refuse all calls until `close` or `reset`, also where no breaker is configured.
    Open(BreakerChange),

    /// Let all calls through, whatever happens, until `open` or `reset`.
    Close(BreakerChange),

    /// Let calls through, and count failures from here on.
    Reset(BreakerChange),
}

/// What `toolgate breaker` changes.
#[derive(Debug, Args)]
pub(crate) struct BreakerChange {
    /// The server.
    #[arg(value_parser = server_name)]
    pub(crate) name: String,

    /// One of its endpoints, instead of all.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,

    #[command(flatten)]
    pub(crate) how: Final,
}

/// Which endpoints take calls.
#[derive(Debug, Args)]
pub(crate) struct ModeChange {
    /// The server.
    #[arg(value_parser = server_name)]
    pub(crate) name: String,

    /// One of its endpoints, instead of all.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,

    /// When sessions are ended, such as 60s or 5m.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) deadline: Option<Duration>,

    /// Wait until nothing runs there any more; exit status 3 when that is not so at the deadline.
    #[arg(long)]
    pub(crate) wait: bool,

    #[command(flatten)]
    pub(crate) how: Final,
}

/// A whole number with `ms`, `s`, `m` or `h`, as in the configuration.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a number with ms, s, m or h, such as 60s".into()),
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis));
    millis.map(Duration::from_millis).ok_or_else(|| "write a number before the unit, such as 60s".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_in_the_configuration() {
        let times = ["60s", "5m", "250ms", "1h", "0s"].map(|text| time(text).map(|time| time.as_millis()));
        assert_eq!(times, [Ok(60_000), Ok(300_000), Ok(250), Ok(3_600_000), Ok(0)]);
        for text in ["", "5", "s", "5 s", "-5s", "1d", "99999999999999999999s"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
