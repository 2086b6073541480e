//! One file replaced in one step: a reader finds the old bytes or the new ones, never a part.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use rustix::process::geteuid;

/// The group of the packaged daemon.
const GROUP: &str = "toolgate";

/// Who may read a file that is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner, and the daemon's group.
    Daemon,
    /// Its owner alone.
    Owner,
    /// As these permission bits say, with the daemon's group.
    Mode(u32),
    /// As it was before.
    As(Kept),
}

/// Owner, group and permission bits of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    uid: Option<u32>,
    gid: Option<u32>,
    mode: u32,
}

impl Kept {
    /// Those of a file that is there.
    pub(super) fn of(file: &Metadata) -> Self {
        Self { uid: Some(file.uid()), gid: Some(file.gid()), mode: file.mode() & 0o7777 }
    }

    /// Those of a new file.
    fn of_new(access: Access) -> Self {
        let gid = || geteuid().is_root().then(group).flatten();
        match access {
            Access::Daemon => Self { uid: None, gid: gid(), mode: 0o640 },
            Access::Owner => Self { uid: None, gid: None, mode: 0o600 },
            Access::Mode(mode) => Self { uid: None, gid: gid(), mode: mode & 0o777 },
            Access::As(kept) => kept,
        }
    }
}

/// Writes a file; one that is there keeps its owner, group and mode, a new one gets `access`. Where a
/// link stands in its place, what it leads to is written.
pub(super) fn replace(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let path = target.as_path();
    let kept = match fs::metadata(path) {
        Ok(file) => Kept::of(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::of_new(access),
        Err(error) => return Err(error),
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Hidden, so that a daemon that reads the folder just now passes it over.
    let temporary = folder.join(format!(".{name}.new-{}", std::process::id()));
    let written = fill(&temporary, bytes, kept).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Whatever is left of it must not stay; that it fails too says nothing new.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(folder)?.sync_all()
}

fn fill(path: &Path, bytes: &[u8], kept: Kept) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    give(&file, kept.uid, kept.gid)?;
    file.set_permissions(Permissions::from_mode(kept.mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Only root may give a file away; whoever owns it already needs nothing.
fn give(file: &File, owner: Option<u32>, group: Option<u32>) -> io::Result<()> {
    let now = file.metadata()?;
    let owner = owner.filter(|owner| *owner != now.uid());
    let group = group.filter(|group| *group != now.gid());
    if owner.is_none() && group.is_none() { Ok(()) } else { fchown(file, owner, group) }
}

/// The id of the daemon's group, where this machine has it.
fn group() -> Option<u32> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    let mut fields = groups.lines().map(|line| line.split(':'));
    fields.find_map(|mut fields| if fields.next() == Some(GROUP) { fields.nth(1)?.parse().ok() } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_a_new_one_is_for_the_daemon() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.toml");
        let mode = || fs::metadata(&path).expect("a file").mode() & 0o7777;
        replace(&path, b"one", Access::Daemon).expect("writes");
        assert_eq!(mode(), 0o640);
        fs::set_permissions(&path, Permissions::from_mode(0o604)).expect("chmod");
        replace(&path, b"two", Access::Daemon).expect("writes");
        assert_eq!((fs::read(&path).expect("reads"), mode()), (b"two".to_vec(), 0o604));
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 1, "nothing temporary is left");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().expect("folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "one").expect("writes");
        std::os::unix::fs::symlink(&file, &link).expect("links");
        replace(&link, b"two", Access::Daemon).expect("writes");
        assert_eq!(fs::read(&file).expect("reads"), b"two");
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    }

    #[test]
    fn a_file_keeps_its_owner() {
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.toml");
        fs::write(&path, "one").expect("writes");
        std::os::unix::fs::chown(&path, Some(12), Some(34)).expect("root may");
        replace(&path, b"two", Access::Daemon).expect("writes");
        let file = fs::metadata(&path).expect("a file");
        assert_eq!((file.uid(), file.gid()), (12, 34));
    }
}
