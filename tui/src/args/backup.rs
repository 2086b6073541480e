//! `toolgate backup`: what of a gate is kept, in one file.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use toolgate_admin_api::history::STATE_DIR;

use super::how::Final;

/// `toolgate backup`
#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Write configuration, its history, changes by hand, pins, quotas, alerts and the record of changes into one file;
    /// sealed, also keys and certificates.
    Create(BackupCreate),

    /// Read all of a backup and say what is in it; exit status 1 where it cannot be used.
    Verify(BackupVerify),

    /// Put everything of a backup into its place; what was there is kept as *.before-restore. No daemon may run.
    Restore(BackupRestore),
}

/// `toolgate backup create`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toolgate backup create /var/backups/toolgate --keep 30 --key-file /root/backup.key
  toolgate backup create gate.backup --passphrase-file words --then rsync --archive /var/backups/toolgate/ vault:toolgate/

A key of 32 bytes: openssl rand -base64 32 > FILE")]
pub(crate) struct BackupCreate {
    /// A new file, or a folder, in which it is called toolgate-DATE.backup.
    pub(crate) file: PathBuf,

    /// Remove the oldest backups of the folder beyond so many.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep: Option<u32>,

    #[command(flatten)]
    pub(crate) secret: BackupSecret,

    #[command(flatten)]
    pub(crate) source: BackupPlace,

    /// Run this when the file is there, with its path as the last word, such as to send it away. Everything behind it
    /// belongs to it.
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) then: Vec<OsString>,
}

/// `toolgate backup verify`
#[derive(Debug, Args)]
pub(crate) struct BackupVerify {
    /// The backup.
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) secret: BackupSecret,
}

/// `toolgate backup restore`
#[derive(Debug, Args)]
#[command(after_help = "\
It stops where a daemon has the state: systemctl stop toolgate.target. Sessions are not in a backup: clients open
new ones. So are no files that the configuration names, such as those of certificates and secrets.")]
pub(crate) struct BackupRestore {
    /// The backup; --confirm with its name puts it into place.
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) secret: BackupSecret,

    #[command(flatten)]
    pub(crate) source: BackupPlace,

    #[command(flatten)]
    pub(crate) how: Final,
}

/// What a backup is sealed with.
#[derive(Debug, Args)]
pub(crate) struct BackupSecret {
    /// A file with a passphrase.
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// A file with a key: 32 bytes in base64 or hexadecimal.
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub(crate) key_file: Option<PathBuf>,

    /// A credential that systemd has loaded, which holds either; an empty one is none.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["passphrase_file", "key_file"])]
    pub(crate) credential: Option<String>,
}

/// What is backed up, or replaced.
#[derive(Debug, Args)]
pub(crate) struct BackupPlace {
    /// The main file; absent: the one that the daemon reads, else /etc/toolgate/toolgate.toml.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The daemon's state folder.
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub(crate) state_dir: PathBuf,
}
