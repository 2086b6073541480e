//! The folder of what must survive a restart: its lock, its key, its file.
//!
//! Opening the state makes all of it usable or says why not. What cannot be read is set aside under another
//! name, never deleted, and never keeps the daemon from starting.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tracing::warn;

use super::file::{self, LoadError, Loaded};
use super::record::Key;

/// What the name of the file that counts starts begins with.
const START: &str = "start-";

/// The part of the folder that sessions and instances have for themselves.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Held as long as the process lives: two of them would overwrite each other's records.
    _lock: File,
    secret: [u8; 32],
}

impl Folder {
    /// Makes the folder where it is missing, and takes it.
    pub(super) fn take(state: &Path) -> io::Result<Self> {
        let path = state.join("sessions");
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| io::Error::other("another toolgated keeps its state there"))?;
        let secret = secret(&path.join("key"))?;
        Ok(Self { path, _lock: lock, secret })
    }

    /// Where records are.
    pub(super) fn records(&self) -> PathBuf {
        self.path.join("records")
    }

    /// Where they are until all of the last process's are taken over.
    pub(super) fn new_records(&self) -> PathBuf {
        self.path.join("records.new")
    }

    /// Counts the starts, whatever became of them: the number of this one, above `last` of the file. It is in the name
    /// of an empty file, for a disk that has no room for a record still takes another name.
    pub(super) fn count(&self, last: u32) -> u32 {
        let before = self.starts().max_by_key(|(number, _)| *number);
        // Earlier releases left no count of starts that did not take over.
        let uncounted = before.is_none() && self.new_records().exists();
        let counted = before.as_ref().map_or(0, |(number, _)| *number);
        let number = last.max(counted).wrapping_add(1 + u32::from(uncounted));
        let name = self.path.join(format!("{START}{number}"));
        let written = match before {
            Some((_, old)) => std::fs::rename(old, name),
            None => OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(name).map(drop),
        };
        if let Err(problem) = written {
            warn!(
                folder = %self.path.display(),
                "this start cannot be counted: if the next one cannot either, it uses the same ids: {problem}"
            );
        }
        number
    }

    fn starts(&self) -> impl Iterator<Item = (u32, PathBuf)> {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        entries.filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix(START)?.parse().ok()?;
            Some((number, entry.path()))
        })
    }

    /// A key for one purpose.
    pub(super) fn key(&self, purpose: &str) -> [u8; 32] {
        let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &self.secret);
        let mut key = [0; 32];
        key.copy_from_slice(aws_lc_rs::hmac::sign(&secret, purpose.as_bytes()).as_ref());
        key
    }

    /// What the last process left.
    pub(super) fn load(&self) -> io::Result<Loaded> {
        let path = self.records();
        match file::load(&path, &Key::new(&self.key("records"))) {
            Ok(loaded) => {
                if loaded.damaged > 0 {
                    warn!(records = loaded.damaged, "records of sessions are damaged; what they were of is lost");
                }
                Ok(loaded)
            }
            Err(LoadError::Io(error)) => Err(error),
            Err(LoadError::Unreadable(why)) => {
                let aside = set_aside(&path)?;
                warn!(
                    file = %path.display(), aside = %aside.display(),
                    "the sessions of the last process cannot be read: {why}; the file was set aside"
                );
                Ok(Loaded::default())
            }
        }
    }
}

/// The secret that all keys are made from; made anew where it cannot be used.
fn secret(path: &Path) -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    match File::open(path) {
        Ok(mut file) => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            if let Ok(secret) = bytes.try_into() {
                return Ok(secret);
            }
            let aside = set_aside(path)?;
            warn!(file = %path.display(), aside = %aside.display(), "the key of the state is damaged; it was set aside");
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| io::Error::other("the system has no random source"))?;
    // Whole or not at all: half a key would lose the sessions of the next start.
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&secret)?;
    std::fs::rename(&new, path)?;
    Ok(secret)
}

/// Renames a file to the first name of its kind that is free.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let names = (1..).map(|number| path.with_extension(format!("aside-{number}")));
    let aside = names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| path.with_extension("aside"));
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_and_only_one_has_the_folder() {
        let state = tempfile::tempdir().unwrap();
        let first = Folder::take(state.path()).unwrap();
        let key = first.key("seal");
        assert_ne!(key, first.key("records"));
        assert!(Folder::take(state.path()).unwrap_err().to_string().contains("another"));
        drop(first);
        assert_eq!(Folder::take(state.path()).unwrap().key("seal"), key);
    }

    #[test]
    fn every_start_has_a_number_of_its_own_whatever_is_written() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::take(state.path()).unwrap();
        assert_eq!([folder.count(0), folder.count(0), folder.count(0)], [1, 2, 3], "nothing is ever written");
        assert_eq!(folder.count(9), 10, "the file knows of more");
        assert_eq!(folder.count(9), 11);
        assert_eq!(folder.starts().count(), 1);
        std::fs::remove_file(folder.path.join("start-11")).unwrap();
        std::fs::write(folder.new_records(), "").unwrap();
        assert_eq!(folder.count(9), 11, "one that an earlier release did not count");
    }

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::take(state.path()).unwrap();
        for number in 1..=2 {
            std::fs::write(folder.records(), "of another make").unwrap();
            assert!(folder.load().unwrap().payloads.is_empty());
            assert!(!folder.records().exists());
            assert!(folder.path.join(format!("records.aside-{number}")).exists());
        }
        let key = folder.key("seal");
        drop(folder);
        std::fs::write(state.path().join("sessions/key"), "short").unwrap();
        assert_ne!(Folder::take(state.path()).unwrap().key("seal"), key);
    }
}
