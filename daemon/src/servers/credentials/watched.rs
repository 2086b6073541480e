//! A secret in a file that is read again when the file changes.
//!
//! A new file that is missing, broken or empty changes nothing but what health says: the secret before stays in use.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use tracing::{info, warn};

use crate::config::settings::access::Source;
use crate::config::{self, Secret};
use crate::lock::lock;

/// A secret as it is now.
#[derive(Debug)]
pub(in crate::servers::credentials) struct Watched {
    /// Where it is read; none for one that stays as it was.
    path: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    secret: Option<Secret>,
    /// Why the file cannot be used as it is, as a sentence.
    trouble: Option<String>,
    seen: Option<Seen>,
}

/// What tells one content of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    inode: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        Some(Self {
            inode: (data.dev(), data.ino()),
            length: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

impl Watched {
    /// A secret of the configuration. It was read a moment ago, and is read again at the first look.
    pub(in crate::servers::credentials) fn new(source: &Source) -> Self {
        let path = match source {
            Source::Fixed(_) => None,
            Source::File(path, _) => Some(path.clone()),
        };
        let (secret, trouble) = match source.read() {
            Ok(secret) => (Some(secret.clone()), None),
            Err(why) => (None, Some(why.clone())),
        };
        Self { path, state: Mutex::new(State { secret, trouble, seen: None }) }
    }

    /// The secret, or why there is none, as a sentence.
    pub(in crate::servers::credentials) fn now(&self) -> Result<Secret, String> {
        let state = self.state();
        state.secret.clone().ok_or_else(|| state.trouble.clone().unwrap_or_else(|| "a secret is missing".to_owned()))
    }

    /// Why the newest content of its file is not in use, where an older one is.
    pub(in crate::servers::credentials) fn told(&self) -> Option<String> {
        let state = self.state();
        let why = state.trouble.as_ref().filter(|_| state.secret.is_some())?;
        Some(format!("A secret that has changed is not in use, the one before still is: {why}."))
    }

    /// Reads the file where it has changed. Whether there is another secret than before.
    pub(in crate::servers::credentials) fn look(&self, server: &str) -> bool {
        let Some(path) = &self.path else { return false };
        let seen = Seen::of(path);
        if seen.is_some() && seen == self.state().seen {
            return false;
        }
        let read = config::secret_again(path);
        let mut state = self.state();
        // What was written while it was read is read at the next look.
        state.seen = seen.filter(|_| Seen::of(path) == seen);
        match read {
            Ok(secret) => {
                let was_in_trouble = state.trouble.take().is_some();
                let differs = state.secret.as_ref() != Some(&secret);
                if differs || was_in_trouble {
                    info!(server, file = %path.display(), "a secret was read from its file again");
                }
                state.secret = Some(secret);
                differs
            }
            Err(why) => {
                if state.trouble.as_ref() != Some(&why) {
                    warn!(server, "a secret cannot be read again, the one before stays in use: {why}");
                    state.trouble = Some(why);
                }
                false
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_is_read_again_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let write = |text: &str| {
            // As tools replace secrets: another file takes its place.
            let next = folder.path().join("next");
            fs::write(&next, text).unwrap();
            fs::rename(&next, &path).unwrap();
        };
        write("one\n");
        let watched = Watched::new(&Source::File(path.clone(), Ok(Secret::new("one".into()))));
        let now = || watched.now().unwrap().expose().to_owned();
        assert!(!watched.look("s"), "it is what was read");
        write("two");
        assert!(watched.look("s") && !watched.look("s"));
        assert_eq!((now().as_str(), watched.told()), ("two", None));
        for broken in ["", "two\nlines", "\u{7}"] {
            write(broken);
            assert!(!watched.look("s"));
            assert_eq!(now(), "two", "{broken:?}");
            assert!(watched.told().is_some(), "{broken:?}");
        }
        fs::remove_file(&path).unwrap();
        assert!(!watched.look("s"));
        assert!(watched.told().unwrap().contains("cannot be read"), "{:?}", watched.told());
        write("three");
        assert!(watched.look("s"));
        assert_eq!((now().as_str(), watched.told()), ("three", None));
    }

    #[test]
    fn a_secret_that_was_missing_is_there_once_its_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let watched = Watched::new(&Source::File(path.clone(), Err("it is missing".into())));
        assert_eq!(watched.now(), Err("it is missing".into()));
        fs::write(&path, "here").unwrap();
        assert!(watched.look("s"));
        assert_eq!(watched.now().unwrap().expose(), "here");
    }
}
