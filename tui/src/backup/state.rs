//! The daemon's state folder, as backups read and replace it.
//!
//! The folder is the daemon's, which is less than root may be: nothing in it is followed to somewhere else.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, Dir, FlockOperation, Mode, OFlags, RenameFlags, flock, openat, renameat_with};
use rustix::io::Errno;
use rustix::process::geteuid;
use toolgate_admin_api::Exit;
use zeroize::Zeroizing;

use crate::edit::refused;
use crate::failure::Failure;

/// Who has the state holds this.
const LOCK: &str = "sessions/lock";
/// Bytes of one file.
const MOST: u64 = 256 << 20;
/// How often a file that changes in place is read until two readings agree, and after how long.
pub(super) const READINGS: usize = 20;
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// The bytes of a file, and its permission bits.
type Content = (Zeroizing<Vec<u8>>, u32);

/// The end of a file.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) mode: u32,
    /// Which file it is.
    pub(super) inode: u64,
    /// Bytes before.
    pub(super) left_out: u64,
}

/// The folder, open.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    folder: OwnedFd,
}

impl State {
    /// Opens the folder.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(folder) => Ok(Self { path: path.to_owned(), folder }),
            Err(Errno::NOENT) => {
                Err(Failure::new(Exit::Failed, format!("There is no state folder {}.", path.display()))
                    .remedy("Name it with --state-dir, as `daemon.state_dir` of the configuration does."))
            }
            Err(error) => Err(refused(path, "open", &error.into())),
        }
    }

    fn inner(&self, name: &str, more: OFlags) -> Result<Option<OwnedFd>, Failure> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match self.walk(name, flags, more) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(refused(&self.path.join(name), "open", &error.into())),
        }
    }

    /// Opens step by step, along no link and to nowhere outside: `openat2`, which could do it at once, is none for a unit
    /// with `RestrictSUIDSGID=`.
    fn walk(&self, name: &str, flags: OFlags, more: OFlags) -> Result<OwnedFd, Errno> {
        let steps: Vec<&str> = name.split('/').collect();
        if steps.iter().any(|step| matches!(*step, "" | "." | "..")) {
            return Err(Errno::INVAL);
        }
        let mut at: Option<OwnedFd> = None;
        for (index, step) in steps.iter().enumerate() {
            let kind = if index + 1 < steps.len() { OFlags::DIRECTORY } else { more };
            at = Some(openat(at.as_ref().unwrap_or(&self.folder), *step, flags | kind, Mode::empty())?);
        }
        at.ok_or(Errno::INVAL)
    }

    /// A file and its permission bits; none where it is not there.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Content>, Failure> {
        let Some(read) = self.read_end(name, MOST)? else { return Ok(None) };
        if read.left_out > 0 {
            return Err(refused(&self.path.join(name), "read", &io::Error::other("it is no file that a daemon wrote")));
        }
        Ok(Some((read.bytes, read.mode)))
    }

    /// The last bytes of a file, at most so many; none where it is not there.
    pub(super) fn read_end(&self, name: &str, most: u64) -> Result<Option<Read>, Failure> {
        let Some(file) = self.inner(name, OFlags::empty())? else { return Ok(None) };
        let read = |mut file: File| {
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(io::Error::other("it is no file that a daemon wrote"));
            }
            let left_out = metadata.len().saturating_sub(most);
            file.seek(SeekFrom::Start(left_out))?;
            let length = metadata.len() - left_out;
            let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or_default()));
            file.take(most).read_to_end(&mut bytes)?;
            Ok(Read { bytes, mode: metadata.permissions().mode() & 0o777, inode: metadata.ino(), left_out })
        };
        read(File::from(file)).map(Some).map_err(|error| refused(&self.path.join(name), "read", &error))
    }

    /// Which file has a name; none where there is none.
    pub(super) fn inode(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(file) = self.inner(name, OFlags::empty())? else { return Ok(None) };
        let metadata = File::from(file).metadata().map_err(|error| refused(&self.path.join(name), "read", &error))?;
        Ok(Some(metadata.ino()))
    }

    /// The same of a file that changes in place: as it was at one moment. Two readings that agree show what was there
    /// between them, which whoever wrote it can read as it reads what a crash left.
    pub(crate) fn read_steadily(&self, name: &str) -> Result<Option<Content>, Failure> {
        let mut before = self.read(name)?;
        for _ in 0..READINGS {
            let now = self.read(name)?;
            if now == before {
                return Ok(now);
            }
            before = now;
            thread::sleep(PAUSE);
        }
        let path = self.path.join(name);
        Err(Failure::new(Exit::Failed, format!("{} changes faster than it can be read.", path.display()))
            .remedy("Try again when fewer changes are made."))
    }

    /// Names in a folder of the state, in order; none where it is not there.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<String>, Failure> {
        let Some(folder) = self.inner(name, OFlags::DIRECTORY)? else { return Ok(Vec::new()) };
        let refuse = |error: Errno| refused(&self.path.join(name), "read", &error.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(folder).map_err(refuse)? {
            names.extend(entry.map_err(refuse)?.file_name().to_str().ok().map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Takes the right to the state away from every daemon, until it is dropped.
    pub(crate) fn lock(&self) -> Result<Option<OwnedFd>, Failure> {
        let Some(lock) = self.inner(LOCK, OFlags::empty())? else { return Ok(None) };
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(lock)),
            Err(Errno::WOULDBLOCK) => {
                let message = format!("A daemon has the state in {}.", self.path.display());
                Err(Failure::new(Exit::Failed, message)
                    .remedy("Nothing was changed. Stop it first: `systemctl stop toolgate.target`."))
            }
            Err(error) => Err(refused(&self.path.join(LOCK), "lock", &error.into())),
        }
    }
}

/// A new state folder, beside the one whose place it takes. Until it does, it is nobody's but whoever makes it: what is
/// written by path goes where it should.
#[derive(Debug)]
pub(crate) struct Fresh {
    path: PathBuf,
    place: PathBuf,
    /// User and group of the one that is there.
    owner: Option<(u32, u32)>,
}

impl Fresh {
    /// Makes it, empty.
    pub(crate) fn make(place: &Path) -> Result<Self, Failure> {
        let owner = match fs::metadata(place) {
            Ok(folder) => Some((folder.uid(), folder.gid())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(refused(place, "open", &error)),
        };
        let path = beside(place, ".restoring");
        let fresh = Self { path, place: place.to_owned(), owner };
        let refuse = |error: &io::Error| refused(&fresh.path, "make", error);
        match fs::remove_dir_all(&fresh.path) {
            // Of a restoration that was interrupted.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refuse(&error)),
        }
        folder(&fresh.path).map_err(|error| refuse(&error))?;
        Ok(fresh)
    }

    /// Gives it to the owner of the present one, the folder itself last.
    fn give(&self) -> io::Result<()> {
        match self.owner {
            Some((user, group)) if geteuid().is_root() => give_all(&self.path, user, group),
            _ => Ok(()),
        }
    }

    /// Writes a file into it, for the daemon alone.
    pub(crate) fn write(&self, name: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.path.join(name);
        let written = || {
            if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
                folder(parent)?;
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        written().map_err(|error| refused(&path, "write", &error))
    }

    /// Puts it into its place in one step, and keeps what was there under another name, which is returned.
    pub(crate) fn take_place(&self) -> Result<Option<PathBuf>, Failure> {
        let refuse = |error: Errno| refused(&self.place, "replace", &error.into());
        let given = self.give().and_then(|()| File::open(&self.path)?.sync_all());
        given.map_err(|error| refused(&self.path, "write", &error))?;
        if self.owner.is_none() {
            return renameat_with(CWD, &self.path, CWD, &self.place, RenameFlags::NOREPLACE)
                .map(|()| None)
                .map_err(refuse);
        }
        renameat_with(CWD, &self.path, CWD, &self.place, RenameFlags::EXCHANGE).map_err(refuse)?;
        let aside = free_name(&self.place);
        fs::rename(&self.path, &aside).map_err(|error| refused(&self.path, "rename", &error))?;
        Ok(Some(aside))
    }

    /// Removes it: something else could not be done.
    pub(crate) fn discard(self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("toolgate: {} could not be removed: {error}.", self.path.display());
        }
    }
}

fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// By what is open, and inner ones first: what has been given away is not touched any more.
fn give_all(path: &Path, user: u32, group: u32) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            give_all(&entry.path(), user, group)?;
        } else {
            fchown(File::open(entry.path())?, Some(user), Some(group))?;
        }
    }
    fchown(File::open(path)?, Some(user), Some(group))
}

/// `NAME.before-restore`, or with a number where that is taken.
pub(crate) fn free_name(path: &Path) -> PathBuf {
    let first = beside(path, ".before-restore");
    let others = (2..).map(|number| beside(path, &format!(".before-restore-{number}")));
    std::iter::once(first).chain(others).find(|name| fs::symlink_metadata(name).is_err()).unwrap_or_default()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_folder_leads_out_of_it() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("state");
        fs::create_dir_all(path.join("real")).expect("a folder");
        fs::write(folder.path().join("secret"), "canary").expect("writes");
        std::os::unix::fs::symlink("../secret", path.join("pins.json")).expect("links");
        std::os::unix::fs::symlink("..", path.join("config")).expect("links");
        let state = State::open(&path).expect("opens");
        assert!(
            state.read("pins.json").is_err() && state.read("config/secret").is_err() && state.list("config").is_err()
        );
        assert!(state.read("../secret").is_err() && state.read("real").is_err());
        assert!(state.read("absent").expect("none").is_none() && state.list("absent").expect("none").is_empty());
    }

    #[test]
    fn a_file_that_changes_in_place_is_read_as_it_was_at_one_moment() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("keys.redb");
        // A writer that goes through its file from the front to the back.
        let write = move |number: u8| {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).expect("a file");
            let half = vec![number; 100_000];
            for at in [0, 100_000] {
                std::os::unix::fs::FileExt::write_all_at(&file, &half, at).expect("writes");
            }
        };
        write(0);
        let writer = thread::spawn(move || {
            for number in 1..40 {
                write(number);
                thread::sleep(Duration::from_millis(u64::from(number)));
            }
        });
        let state = State::open(folder.path()).expect("opens");
        while !writer.is_finished() {
            let (bytes, _) = state.read_steadily("keys.redb").expect("it is steady now and then").expect("it is there");
            // From the front to the back either all the same, or one older from some byte on.
            assert!(bytes.windows(2).all(|pair| pair[0] >= pair[1]) && bytes[0] - bytes[199_999] <= 1);
        }
        writer.join().expect("the writer");
        assert!(state.read_steadily("absent").expect("none").is_none());
    }

    #[test]
    fn a_state_that_somebody_has_is_not_replaced() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("state");
        fs::create_dir_all(path.join("sessions")).expect("a folder");
        let state = State::open(&path).expect("opens");
        assert!(state.lock().expect("nobody has it").is_none());
        let held = File::create(path.join(LOCK)).expect("a file");
        flock(&held, FlockOperation::LockExclusive).expect("locks");
        assert!(state.lock().expect_err("somebody has it").message.contains("A daemon has the state"));
        drop(held);
        assert!(state.lock().expect("nobody has it").is_some());
    }

    #[test]
    fn the_old_folder_is_kept_under_a_name_of_its_own() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("state");
        for (text, aside) in
            [("one", None), ("two", Some("state.before-restore")), ("three", Some("state.before-restore-2"))]
        {
            let fresh = Fresh::make(&path).expect("makes");
            fresh.write(Path::new("config/1.json"), text.as_bytes()).expect("writes");
            assert_eq!(fresh.take_place().expect("takes its place"), aside.map(|name| folder.path().join(name)));
            assert_eq!(fs::read_to_string(path.join("config/1.json")).expect("reads"), text);
        }
        let mode = |name: &str| fs::metadata(path.join(name)).expect("it is there").permissions().mode() & 0o777;
        assert_eq!([mode(""), mode("config"), mode("config/1.json")], [0o700, 0o700, 0o600]);
        Fresh::make(&path).expect("makes").discard();
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 3);
    }
}
