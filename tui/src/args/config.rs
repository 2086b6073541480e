//! `toolgate config`: the configuration, as it is, as it was, and as it would be.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use toolgate_admin_api::history::STATE_DIR;

use super::Edit;

/// `toolgate config`
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Say everything that is wrong with the files on disk; changes nothing.
    Check {
        /// Check this file without a daemon, as `toolgated check` does.
        file: Option<PathBuf>,
    },

    /// Take the files on disk over, or keep the running configuration and say what is wrong.
    Reload(Reload),

    /// Show the running revision, its files and its values.
    Show,

    /// List the configurations that were accepted: when, by whom, and why.
    History(History),

    /// Show what a reload would change and cost, or how accepted revisions differ.
    Diff(Diff),

    /// Write the files of an accepted revision back, and reload.
    Rollback(Rollback),
}

/// `toolgate config reload`
#[derive(Debug, Args)]
pub(crate) struct Reload {
    /// Say what would change, change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Why, for the record of changes.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,

    /// Only if this revision is the running one.
    #[arg(long, value_name = "REVISION")]
    pub(crate) if_match: Option<u64>,
}

/// `toolgate config history`, and where the past is where no daemon runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct History {
    /// The daemon's state folder, which is read where no daemon runs.
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub(crate) state_dir: PathBuf,
}

/// `toolgate config diff`
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// From this revision; absent: from what runs to the files on disk, with what a reload would cost.
    pub(crate) from: Option<u64>,

    /// To this revision; absent: the running one.
    pub(crate) to: Option<u64>,

    #[command(flatten)]
    pub(crate) past: History,
}

/// `toolgate config rollback`
#[derive(Debug, Args)]
#[command(after_help = "\
A file of conf.d that the revision did not have is renamed to NAME.toml.rolled-back-REVISION, never
deleted. Files keep their owner and mode.")]
pub(crate) struct Rollback {
    /// The revision; absent: the running one where the files differ from it, else the one before.
    pub(crate) revision: Option<u64>,

    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,

    /// Why, for the record of changes.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,

    #[command(flatten)]
    pub(crate) edit: Edit,

    #[command(flatten)]
    pub(crate) past: History,
}
