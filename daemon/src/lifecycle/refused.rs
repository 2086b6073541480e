//! A start that is refused: what is said of it, and how soon the next may follow.
//!
//! `run` calls it before it ends. A client that waits at one of systemd's sockets has the gate started again at once,
//! for as long as nothing is mended, and also when it has gone meanwhile: only accepting its connection would end
//! that, and whoever waits is to be served after the mend.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::notify;
use crate::config::{self, Environment, Scrutiny};
use crate::listen::bind::Passed;

/// Between two starts that somebody's connection asks for.
const BETWEEN_STARTS: Duration = Duration::from_secs(5);

/// What is printed where the whole of it is in the log already.
const AGAIN: &str = "toolgated: the configuration still cannot be used, for the reasons that an earlier start gave; \
                     `toolgated check` gives them again\n";

/// Says why the configuration cannot be used, and waits where the next start would come at once.
pub(super) fn refuse(file: &Path, why: &str) {
    let state_dir = config::state_dir(file, &Environment::of_process(Scrutiny::Start));
    eprint!("{}", if is_news(&state_dir, why) { why } else { AGAIN });
    notify::status("the configuration cannot be used; `toolgated check` says why");
    if Passed::from_systemd().is_ok_and(|passed| passed.is_awaited()) {
        thread::sleep(BETWEEN_STARTS);
    }
}

/// The next refusal is told in full, whatever it says; to be called once the daemon serves.
pub(super) fn forget(state_dir: &Path) {
    if let Some(stamp) = stamp(state_dir) {
        // Where it cannot be removed, `toolgated check` still says what is wrong.
        let _ = fs::remove_file(stamp);
    }
}

/// Whether this was not said at the last refused start, which from now on is this one. Where that cannot be kept,
/// everything is news.
fn is_news(state_dir: &Path, why: &str) -> bool {
    let Some(stamp) = stamp(state_dir) else { return true };
    let now = digest(&SHA256, why.as_bytes()).as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    if fs::read_to_string(&stamp).is_ok_and(|last| last == now) {
        return false;
    }
    let _ = fs::write(stamp, now);
    true
}

/// The file that holds the digest of what was said last; none where nothing outlives the process.
fn stamp(state_dir: &Path) -> Option<PathBuf> {
    (!state_dir.as_os_str().is_empty()).then(|| state_dir.join("refused"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_reasons_are_told_once_until_a_start_succeeds() {
        let state = tempfile::tempdir().unwrap();
        let told = |why| is_news(state.path(), why);
        assert_eq!([told("a"), told("a"), told("b"), told("b"), told("a")], [true, false, true, false, true]);
        forget(state.path());
        assert!(told("a"));
    }

    #[test]
    fn without_a_state_folder_everything_is_news() {
        for nowhere in ["", "/proc/nowhere"] {
            assert!(is_news(Path::new(nowhere), "a") && is_news(Path::new(nowhere), "a"));
        }
    }
}
