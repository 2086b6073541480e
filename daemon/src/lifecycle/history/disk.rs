//! The folder of accepted configurations: one file for each, whole or not there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use toolgate_admin_api::Revision;
use toolgate_admin_api::history::{HISTORY_FORMAT, revision_file, revision_of_file};

/// Revisions that are kept.
pub(super) const KEPT: usize = 20;

/// The revisions of a folder, ascending; none where it cannot be read.
pub(super) fn numbers(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut numbers: Vec<u64> = entries.filter_map(|entry| revision_of_file(entry.file_name().to_str()?)).collect();
    numbers.sort_unstable();
    numbers
}

/// What stays of a revision that was withdrawn: its number.
const WITHDRAWN: &str = ".withdrawn";

/// The revisions of a folder that were withdrawn.
pub(super) fn withdrawn(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let number = |name: &str| revision_of_file(name.strip_suffix(WITHDRAWN)?);
    entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect()
}

pub(super) fn marker(folder: &Path, revision: u64) -> PathBuf {
    folder.join(revision_file(revision) + WITHDRAWN)
}

/// Leaves the number of a revision and nothing of its text; needs no room on the disk.
pub(super) fn mark_withdrawn(folder: &Path, revision: u64) -> io::Result<()> {
    let marker = marker(folder, revision);
    match fs::rename(folder.join(revision_file(revision)), &marker) {
        // It could not be written.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        renamed => renamed?,
    }
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&marker)?.sync_all()?;
    File::open(folder)?.sync_all()
}

/// A revision that this release can read. Others are told and left alone.
pub(super) fn read(folder: &Path, number: u64) -> Option<Revision> {
    let path = folder.join(revision_file(number));
    let refuse = |why: String| {
        tracing::warn!("{} is left out of the history: {why}", path.display());
        None
    };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return refuse(error.to_string()),
    };
    match serde_json::from_slice::<Revision>(&bytes) {
        Ok(revision) if revision.format > HISTORY_FORMAT => {
            refuse(format!("a later release wrote it (format {})", revision.format))
        }
        Ok(revision) => Some(revision),
        Err(error) => refuse(error.to_string()),
    }
}

/// Writes a revision under a temporary name first, then removes the oldest beyond what is kept, and marks of numbers
/// below it.
pub(super) fn write(folder: &Path, revision: &Revision) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let name = revision_file(revision.revision);
    let temporary = folder.join(format!(".{name}.new"));
    let text = serde_json::to_vec(revision)?;
    if let Err(error) = write_whole(&temporary, &text).and_then(|()| fs::rename(&temporary, folder.join(name))) {
        // What there was room for holds secrets, and takes the room of the next try.
        drop(fs::remove_file(&temporary));
        return Err(error);
    }
    File::open(folder)?.sync_all()?;
    for number in withdrawn(folder).into_iter().filter(|number| *number < revision.revision) {
        fs::remove_file(marker(folder, number))?;
    }
    let numbers = numbers(folder);
    for number in &numbers[..numbers.len().saturating_sub(KEPT)] {
        fs::remove_file(folder.join(revision_file(*number)))?;
    }
    Ok(())
}

fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}
