//! `toolgate top` and `toolgate replay`.

use std::path::PathBuf;

use clap::Args;

use crate::console::{Level, ThemeName};

/// `toolgate top`
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  toolgate top
  toolgate top --once
  toolgate top --once --json
  toolgate top --watch --json

Press ? in the console for its keys. NO_COLOR, COLORTERM and TERM say which colours it uses.")]
pub(crate) struct Top {
    /// Print the overview and the servers once, as text or as one JSON document.
    #[arg(long)]
    pub(crate) once: bool,

    /// Print lines as things change, as JSON.
    #[arg(long, requires = "json", conflicts_with = "once")]
    pub(crate) watch: bool,

    #[command(flatten)]
    pub(crate) look: Look,
}

/// `toolgate replay`
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// What `toolgate record` wrote.
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) look: Look,
}

/// How the console looks.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Look {
    /// Seconds between news, from 0.25 to 10.
    #[arg(long, value_name = "SECONDS", value_parser = interval)]
    pub(crate) interval: Option<u64>,

    /// Its colours.
    #[arg(long, value_name = "THEME", env = "TOOLGATE_THEME")]
    pub(crate) theme: Option<ThemeName>,

    /// How many colours; absent: as many as the terminal has.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) colours: Option<Level>,

    /// Draw with ASCII only.
    #[arg(long)]
    pub(crate) ascii: bool,
}

/// Seconds with a fraction, as milliseconds.
fn interval(text: &str) -> Result<u64, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, such as 0.5".to_owned())?;
    if !(0.25..=10.0).contains(&seconds) {
        return Err("write a number from 0.25 to 10".into());
    }
    Ok(u64::try_from(std::time::Duration::from_secs_f64(seconds).as_millis()).unwrap_or(1_000))
}
