//! How full the file system of the state folder is.
//!
//! One that hangs answers nobody: it is asked on a thread of its own, and never twice at once.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::observed::Disk;

/// How long a file system may take to say how full it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long whoever asks waits for it: others want to be looked at, too.
const WAIT: Duration = Duration::from_millis(100);

/// Asks, one question at a time.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    asked: Option<(Instant, JoinHandle<Disk>)>,
    last: Disk,
}

impl Gauge {
    /// How full the folder's file system is, or was a moment ago.
    pub(super) async fn look(&mut self, folder: &Path) -> Disk {
        if folder.as_os_str().is_empty() {
            return Disk::Unknown;
        }
        let (since, answer) = self.asked.get_or_insert_with(|| {
            let folder = folder.to_owned();
            (Instant::now(), spawn_blocking(move || used(&folder)))
        });
        match timeout(WAIT, answer).await {
            Ok(answer) => {
                self.last = answer.unwrap_or(Disk::Silent);
                self.asked = None;
            }
            Err(_) if since.elapsed() >= PATIENCE => self.last = Disk::Silent,
            Err(_) => {}
        }
        self.last
    }
}

/// What is used of what this user may use, of blocks or of inodes, whichever is scarcer.
fn used(folder: &Path) -> Disk {
    let Ok(said) = statvfs(folder) else { return Disk::Silent };
    let blocks = share(said.f_blocks, said.f_bfree, said.f_bavail);
    // File systems without a table of inodes say that they have none.
    let inodes = if said.f_files == 0 { 0.0 } else { share(said.f_files, said.f_ffree, said.f_favail) };
    Disk::Used(blocks.max(inodes))
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(all: u64, free: u64, available: u64) -> f64 {
    let used = all.saturating_sub(free);
    used as f64 / (used + available).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_root_is_not_there() {
        assert!((share(100, 10, 5) - 90.0 / 95.0).abs() < 1e-9);
        assert!((share(100, 5, 0) - 1.0).abs() < f64::EPSILON);
        assert!(share(0, 0, 0) < f64::EPSILON);
    }

    #[tokio::test]
    async fn a_folder_says_how_full_it_is() {
        let mut gauge = Gauge::default();
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(gauge.look(folder.path()).await, Disk::Used(used) if (0.0..=1.0).contains(&used)));
        assert_eq!(gauge.look(Path::new("")).await, Disk::Unknown);
        assert_eq!(gauge.look(Path::new("/nowhere/at/all")).await, Disk::Silent);
    }
}
