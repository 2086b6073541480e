//! Where the bytes of records go: a file, or what a test puts in its place.
//!
//! Only the writer calls it, and any call may block for as long as the disk does.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// An open file.
pub(super) trait Storage: Debug + Send {
    /// Writes all of the bytes at this place.
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Sees that there is room for this many bytes in all.
    fn reserve(&self, bytes: u64) -> io::Result<()>;
}

/// Makes an empty file, in the place of any that is there.
pub(super) type Open = Box<dyn Fn(&Path) -> io::Result<Box<dyn Storage>> + Send>;

/// The same on a disk.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Storage>> {
    Ok(Box::new(file(path)?))
}

fn file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

impl Storage for File {
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        match fallocate(self, FallocateFlags::empty(), 0, bytes) {
            // Not every file system can; then the file grows with what is written.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Condvar, Mutex};

    use super::*;

    /// What the disk of a test does.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub(in crate::state) enum Mood {
        #[default]
        Works,
        /// There is no room for anything more.
        Full,
        /// It answers nothing.
        Hangs,
    }

    /// A disk that does as it is told.
    #[derive(Debug, Clone, Default)]
    pub(in crate::state) struct Disk(Arc<(Mutex<Mood>, Condvar)>);

    #[derive(Debug)]
    struct Told {
        file: File,
        disk: Disk,
    }

    impl Disk {
        pub(in crate::state) fn set(&self, mood: Mood) {
            *self.0.0.lock().unwrap() = mood;
            self.0.1.notify_all();
        }

        /// Makes files on it.
        pub(in crate::state) fn open(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
            self.pass()?;
            Ok(Box::new(Told { file: file(path)?, disk: self.clone() }))
        }

        fn pass(&self) -> io::Result<()> {
            let mood = self.0.1.wait_while(self.0.0.lock().unwrap(), |mood| *mood == Mood::Hangs).unwrap();
            if *mood == Mood::Full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    impl Storage for Told {
        fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
            self.disk.pass()?;
            self.file.write(bytes, at)
        }

        fn reserve(&self, bytes: u64) -> io::Result<()> {
            self.disk.pass()?;
            self.file.reserve(bytes)
        }
    }
}
