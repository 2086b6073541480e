//! `toolgate backup`: made, verified, and put back.

mod create;
mod restore;
mod secret;
mod verify;

use std::path::Path;

use toolgate_admin_api::Exit;

use super::{Context, block_on};
use crate::args::{Backup, BackupSecret};
use crate::backup::archive::{self, File, Manifest};
use crate::backup::envelope;
use crate::edit::refused;
use crate::failure::Failure;

/// Does what was asked.
pub(super) fn run(context: &Context, backup: &Backup) -> Result<Exit, Failure> {
    match backup {
        Backup::Create(create) => block_on(create::run(context, create)),
        Backup::Verify(verify) => verify::run(context, verify),
        Backup::Restore(restore) => block_on(restore::run(context, restore)),
    }
}

/// A backup, all of which was verified.
struct Backed {
    manifest: Manifest,
    files: Vec<File>,
    is_sealed: bool,
}

/// Reads a backup and verifies it.
fn open(path: &Path, secret: &BackupSecret) -> Result<Backed, Failure> {
    let secret = secret::read(secret)?;
    let file = std::fs::read(path).map_err(|error| refused(path, "read", &error))?;
    let unusable = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("{} is no backup that can be used: {why}.", path.display()))
            .remedy("Nothing was changed.")
    };
    let is_sealed = envelope::is_sealed(&file);
    let opened;
    let content = match (is_sealed, &secret) {
        (true, Some(secret)) => {
            opened = envelope::open(secret, &file).map_err(|why| unusable(&why))?;
            opened.as_slice()
        }
        (true, None) => {
            return Err(Failure::new(Exit::Usage, format!("{} is sealed.", path.display()))
                .remedy("Name what opens it with --passphrase-file or --key-file."));
        }
        // A file that somebody put into the place of a sealed one must not be taken for it.
        (false, Some(_)) => {
            return Err(Failure::new(Exit::Failed, format!("{} is not sealed.", path.display()))
                .remedy("If that is right, leave the passphrase or the key out."));
        }
        (false, None) => file.as_slice(),
    };
    let (manifest, files) = archive::read(content).map_err(|why| unusable(&why))?;
    Ok(Backed { manifest, files, is_sealed })
}
