//! One change at a time: commands that write a configuration wait for one another.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::{Instant, sleep};
use toolgate_admin_api::Exit;

use super::refused;
use crate::failure::Failure;

/// For a change that starts a server and waits for its answer. Not for ever: whoever may read the
/// folder can hold the lock, and so can the front.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);

/// The right to change a configuration, until it is dropped or the process ends.
#[derive(Debug)]
#[must_use = "what is not held keeps nobody out"]
pub(crate) struct Lock {
    /// The folder, by whose description it is held.
    _folder: File,
}

impl Lock {
    /// Takes it when it is free, and makes the folder where there is none.
    pub(super) async fn take(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|error| refused(folder, "make", &error))?;
        let opened = File::open(folder).map_err(|error| refused(folder, "read", &error))?;
        let end = Instant::now() + PATIENCE;
        loop {
            match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _folder: opened }),
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < end => sleep(PAUSE).await,
                Err(Errno::WOULDBLOCK | Errno::INTR) => return Err(taken(folder)),
                Err(error) => return Err(refused(folder, "lock", &error.into())),
            }
        }
    }
}

fn taken(folder: &Path) -> Failure {
    let shown = folder.display();
    Failure::new(Exit::Failed, format!("Somebody else has been changing {shown} for {} s.", PATIENCE.as_secs()))
        .remedy(format!("Nothing was changed. `fuser -v {shown}` tells which process holds it."))
}

#[cfg(test)]
mod tests {
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
}
