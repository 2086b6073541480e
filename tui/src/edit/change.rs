//! Several files changed together, and taken back together where what they say is refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toolgate_admin_api::Exit;

use super::refused;
use super::write::{Access, Kept, replace};
use crate::failure::Failure;

/// What was changed so far.
#[derive(Debug, Default)]
#[must_use = "a change is kept or undone"]
pub(crate) struct Change {
    done: Vec<Done>,
}

/// One step, with what undoes it.
#[derive(Debug)]
enum Done {
    /// The file was not there before.
    Made(PathBuf),
    /// These were its bytes.
    Replaced(PathBuf, Vec<u8>),
    Renamed {
        from: PathBuf,
        to: PathBuf,
    },
    /// These were its bytes, and who might read them.
    Removed(PathBuf, Vec<u8>, Kept),
}

impl Change {
    /// Writes a file, with `access` where it is new.
    pub(crate) fn write(&mut self, path: &Path, text: &str, access: Access) -> Result<(), Failure> {
        let before = match fs::read(path) {
            Ok(before) => Some(before),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(refused(path, "read", &error)),
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| refused(folder, "make", &error))?;
        }
        replace(path, text.as_bytes(), access).map_err(|error| refused(path, "write", &error))?;
        self.done.push(match before {
            Some(before) => Done::Replaced(path.to_owned(), before),
            None => Done::Made(path.to_owned()),
        });
        Ok(())
    }

    /// Removes a file.
    pub(crate) fn remove(&mut self, path: &Path) -> Result<(), Failure> {
        let refuse = |error| refused(path, "remove", &error);
        let before = fs::read(path).map_err(refuse)?;
        let kept = Kept::of(&fs::metadata(path).map_err(refuse)?);
        fs::remove_file(path).map_err(refuse)?;
        self.done.push(Done::Removed(path.to_owned(), before, kept));
        Ok(())
    }

    /// Renames a file to a name that is free.
    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Failure> {
        if to.exists() {
            let message = format!("{} is in the way.", to.display());
            return Err(Failure::new(Exit::Failed, message).remedy("Move it elsewhere, then try again."));
        }
        fs::rename(from, to).map_err(|error| refused(from, "rename", &error))?;
        self.done.push(Done::Renamed { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    /// Everything as it was before; what could not be undone is told.
    pub(crate) fn undo(self) {
        for done in self.done.into_iter().rev() {
            let (path, undone) = match done {
                Done::Made(path) => (path.clone(), fs::remove_file(path)),
                Done::Replaced(path, before) => (path.clone(), replace(&path, &before, Access::Daemon)),
                Done::Renamed { from, to } => (from.clone(), fs::rename(to, from)),
                Done::Removed(path, before, kept) => (path.clone(), replace(&path, &before, Access::As(kept))),
            };
            if let Err(error) = undone {
                eprintln!("toolgate: {} could not be put back as it was: {error}.", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_undone_was_never_there() {
        let folder = tempfile::tempdir().expect("folder");
        let path = |name: &str| folder.path().join(name);
        for (name, text) in [("replaced", "r"), ("renamed", "n"), ("removed", "m")] {
            fs::write(path(name), text).expect("writes");
        }
        fs::set_permissions(path("removed"), Permissions::from_mode(0o604)).expect("chmod");
        let mut change = Change::default();
        change.write(&path("replaced"), "other", Access::Daemon).expect("writes");
        change.write(&path("made"), "new", Access::Owner).expect("writes");
        change.rename(&path("renamed"), &path("aside")).expect("renames");
        change.remove(&path("removed")).expect("removes");
        assert!(change.rename(&path("made"), &path("aside")).is_err(), "nothing is written over");
        change.undo();
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).expect("reads").map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        assert_eq!(names, ["removed", "renamed", "replaced"]);
        for (name, text) in [("replaced", "r"), ("renamed", "n"), ("removed", "m")] {
            assert_eq!(fs::read_to_string(path(name)).expect("reads"), text);
        }
        assert_eq!(fs::metadata(path("removed")).expect("a file").permissions().mode() & 0o777, 0o604);
    }
}
