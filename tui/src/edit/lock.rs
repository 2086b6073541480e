//! One change at a time: commands that write a configuration wait for one another.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use tokio::time::{Instant, sleep};
use toolgate_admin_api::Exit;

use super::refused;
use crate::failure::Failure;

/// Beside the main file, where whoever may change the configuration may make it, and nobody reads it as one. Not the
/// folder itself: whoever may open a thing can lock it.
const NAME: &str = ".lock";

/// For a change that starts a server and waits for its answer.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);

/// The right to change a configuration, until it is dropped or the process ends.
#[derive(Debug)]
#[must_use = "what is not held keeps nobody out"]
pub(crate) struct Lock {
    /// By whose description it is held. The file stays: removed, two could hold two of one name.
    _file: File,
}

impl Lock {
    /// Takes it when it is free, and makes the folder where there is none.
    pub(super) async fn take(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|error| refused(folder, "make", &error))?;
        let path = folder.join(NAME);
        let file = open(&path).map_err(|error| refused(&path, "open", &error))?;
        let end = Instant::now() + PATIENCE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < end => sleep(PAUSE).await,
                Err(Errno::WOULDBLOCK | Errno::INTR) => return Err(taken(&path)),
                Err(error) => return Err(refused(&path, "lock", &error.into())),
            }
        }
    }
}

/// For its owner alone; neither what it leads to nor a pipe of its name is opened.
fn open(path: &PathBuf) -> std::io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)
}

fn taken(path: &Path) -> Failure {
    let shown = path.display();
    Failure::new(
        Exit::Failed,
        format!("Somebody else has been changing the configuration for {} s.", PATIENCE.as_secs()),
    )
    .remedy(format!("Nothing was changed. `fuser -v {shown}` tells which process holds it."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let folder = tempfile::tempdir().expect("folder");
        let first = Lock::take(folder.path()).await.expect("the lock");
        let second = Lock::take(folder.path());
        tokio::pin!(second);
        assert!(tokio::time::timeout(PAUSE, &mut second).await.is_err(), "both hold it");
        drop(first);
        let _second = second.await.expect("the lock");
    }

    #[tokio::test]
    async fn whoever_can_only_read_the_folder_holds_nobody_up() {
        let folder = tempfile::tempdir().expect("folder");
        let of_anybody = File::open(folder.path()).expect("opens");
        flock(&of_anybody, FlockOperation::LockExclusive).expect("locks");
        let lock = Lock::take(folder.path());
        let _lock = tokio::time::timeout(PAUSE, lock).await.expect("waits for nobody").expect("the lock");
        let mode = fs::metadata(folder.path().join(NAME)).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn what_is_in_the_way_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        std::os::unix::fs::symlink("/dev/null", folder.path().join(NAME)).expect("links");
        let failure = Lock::take(folder.path()).await.expect_err("a link is not followed");
        assert!(failure.message.contains(NAME), "{}", failure.message);
    }
}
