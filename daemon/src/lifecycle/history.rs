//! The configurations that were accepted, as files below the state folder.
//!
//! The start and every reload keep theirs here; a start with files that cannot be used, the admin
//! sockets and `toolgate config rollback` read them. One file per revision, whole or not there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use toolgate_admin_api::history::{HISTORY_FORMAT, history_folder, revision_file, revision_of_file};
use toolgate_admin_api::{Accepted, Revision};

use crate::config::Snapshot;

/// Revisions that are kept.
const KEPT: usize = 20;

/// What was accepted before.
pub(super) struct History {
    /// None where nothing is to survive a restart.
    folder: Option<PathBuf>,
    /// What was accepted last, whether it could be written or not.
    newest: Option<Revision>,
    /// The number of what was accepted last, as far as the folder tells.
    last: u64,
    /// The highest number that was ever given.
    given: u64,
    /// Why `newest` is not on disk.
    trouble: Option<String>,
}

impl History {
    /// The history below a state folder, empty for none; nothing is written yet.
    pub(super) fn open(state_dir: &Path) -> Self {
        let folder = Some(state_dir).filter(|folder| !folder.as_os_str().is_empty()).map(history_folder);
        let numbers = folder.as_deref().map(numbers).unwrap_or_default();
        let newest = folder.as_deref().and_then(|folder| numbers.iter().rev().find_map(|&number| read(folder, number)));
        let last = numbers.last().copied().unwrap_or(0);
        let withdrawn = folder.as_deref().and_then(|folder| withdrawn(folder).into_iter().max()).unwrap_or(0);
        Self { newest, last, given: last.max(withdrawn), folder, trouble: None }
    }

    /// What was accepted last; none where that cannot be read, whatever may have been accepted before it.
    pub(super) fn last_accepted(&self) -> Option<&Revision> {
        self.newest.as_ref().filter(|newest| newest.revision == self.last)
    }

    /// The number of what was accepted last, where it cannot be read.
    pub(super) fn unreadable(&self) -> Option<u64> {
        (self.last > 0 && self.last_accepted().is_none()).then_some(self.last)
    }

    /// Why it is not kept, where it could not be written.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The number of a configuration: that of the newest revision where it says the same, else the next.
    pub(super) fn number_of(&self, snapshot: &Snapshot) -> u64 {
        match &self.newest {
            Some(newest) if written(newest).says_the_same(snapshot) => newest.revision,
            _ => self.given + 1,
        }
    }

    /// What is gone back to where the newest revision was only a try: the one before it, if that says what is to be
    /// accepted now.
    pub(super) fn before_try(&self, revision: u64, snapshot: &Snapshot) -> Option<Revision> {
        let folder = self.folder.as_deref()?;
        self.newest.as_ref().filter(|newest| newest.revision == revision)?;
        let before = numbers(folder).into_iter().rev().filter(|number| *number < revision);
        let before = before.into_iter().find_map(|number| read(folder, number))?;
        written(&before).says_the_same(snapshot).then_some(before)
    }

    /// Forgets the newest revision for [the one before it](Self::before_try), which serves again. Its number is not
    /// given again, by a later process neither.
    pub(super) fn withdraw(&mut self, before: Revision) {
        let withdrawn = self.newest.replace(before);
        self.last = self.newest.as_ref().map_or(0, |newest| newest.revision);
        if let (Some(folder), Some(withdrawn)) = (&self.folder, withdrawn)
            && let Err(error) = mark_withdrawn(folder, withdrawn.revision)
        {
            tracing::warn!("revision {}, which was only a try, stays on disk: {error}", withdrawn.revision);
        }
    }

    /// Keeps what was accepted just now. What says the same as the newest revision is that revision.
    ///
    /// A failure is remembered as [`trouble`](Self::trouble); numbers go on all the same.
    pub(super) fn keep(&mut self, snapshot: Snapshot, who: &str, reason: Option<&str>, at_ms: u64) {
        let revision = self.number_of(&snapshot);
        if self.trouble.is_none() && self.newest.as_ref().is_some_and(|newest| newest.revision == revision) {
            return;
        }
        let revision = Revision {
            format: HISTORY_FORMAT,
            revision,
            accepted_at_ms: at_ms,
            who: who.to_owned(),
            reason: reason.map(str::to_owned),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            files: snapshot.files,
            overrides: snapshot.overrides,
        };
        self.trouble = self.folder.as_deref().and_then(|folder| {
            let error = write(folder, &revision).err()?;
            Some(format!("revision {} is not kept in {}: {error}", revision.revision, folder.display()))
        });
        self.last = revision.revision;
        self.given = self.given.max(self.last);
        self.newest = Some(revision);
    }

    /// Newest first: the newest revision, and those that are on disk.
    pub(super) fn list(&self) -> Vec<Accepted> {
        let newest = self.newest.iter().map(Revision::summary);
        let before = self.newest.as_ref().map_or(u64::MAX, |newest| newest.revision);
        let Some(folder) = &self.folder else { return newest.collect() };
        let numbers = numbers(folder).into_iter().rev().filter(|number| *number < before);
        newest.chain(numbers.filter_map(|number| Some(read(folder, number)?.summary()))).collect()
    }

    /// One of them.
    pub(super) fn get(&self, number: u64) -> Option<Revision> {
        match &self.newest {
            Some(newest) if newest.revision == number => Some(newest.clone()),
            _ => read(self.folder.as_deref()?, number),
        }
    }
}

/// What a revision was read from.
pub(super) fn written(revision: &Revision) -> Snapshot {
    Snapshot { files: revision.files.clone(), overrides: revision.overrides.clone() }
}

/// The revisions of a folder, ascending; none where it cannot be read.
fn numbers(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut numbers: Vec<u64> = entries.filter_map(|entry| revision_of_file(entry.file_name().to_str()?)).collect();
    numbers.sort_unstable();
    numbers
}

/// What stays of a revision that was withdrawn: its number.
const WITHDRAWN: &str = ".withdrawn";

/// The revisions of a folder that were withdrawn.
fn withdrawn(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let number = |name: &str| revision_of_file(name.strip_suffix(WITHDRAWN)?);
    entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect()
}

fn marker(folder: &Path, revision: u64) -> PathBuf {
    folder.join(revision_file(revision) + WITHDRAWN)
}

/// Leaves the number of a revision and nothing of its text; needs no room on the disk.
fn mark_withdrawn(folder: &Path, revision: u64) -> io::Result<()> {
    let marker = marker(folder, revision);
    match fs::rename(folder.join(revision_file(revision)), &marker) {
        // It could not be written.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        renamed => renamed?,
    }
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&marker)?.sync_all()?;
    File::open(folder)?.sync_all()
}

/// A revision that this release can read. Others are told and left alone.
fn read(folder: &Path, number: u64) -> Option<Revision> {
    let path = folder.join(revision_file(number));
    let refuse = |why: String| {
        tracing::warn!("{} is left out of the history: {why}", path.display());
        None
    };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return refuse(error.to_string()),
    };
    match serde_json::from_slice::<Revision>(&bytes) {
        Ok(revision) if revision.format > HISTORY_FORMAT => {
            refuse(format!("a later release wrote it (format {})", revision.format))
        }
        Ok(revision) => Some(revision),
        Err(error) => refuse(error.to_string()),
    }
}

/// Writes a revision under a temporary name first, then removes the oldest beyond what is kept, and marks of numbers
/// below it.
fn write(folder: &Path, revision: &Revision) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let name = revision_file(revision.revision);
    let temporary = folder.join(format!(".{name}.new"));
    let text = serde_json::to_vec(revision)?;
    if let Err(error) = write_whole(&temporary, &text).and_then(|()| fs::rename(&temporary, folder.join(name))) {
        // What there was room for holds secrets, and takes the room of the next try.
        drop(fs::remove_file(&temporary));
        return Err(error);
    }
    File::open(folder)?.sync_all()?;
    for number in withdrawn(folder).into_iter().filter(|number| *number < revision.revision) {
        fs::remove_file(marker(folder, number))?;
    }
    let numbers = numbers(folder);
    for number in &numbers[..numbers.len().saturating_sub(KEPT)] {
        fs::remove_file(folder.join(revision_file(*number)))?;
    }
    Ok(())
}

fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use toolgate_admin_api::FileText;

    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        let file = FileText { name: "toolgate.toml".into(), text: text.into(), mode: Some(0o640) };
        Snapshot { files: vec![file], overrides: Vec::new() }
    }

    #[test]
    fn the_newest_twenty_stay_and_numbers_go_on() {
        let state = tempfile::tempdir().unwrap();
        let mut history = History::open(state.path());
        for number in 1..=25 {
            history.keep(snapshot(&format!("# {number}")), "start", None, number);
            assert_eq!(history.trouble(), None);
        }
        let again = History::open(state.path());
        let kept: Vec<_> = again.list().iter().map(|accepted| accepted.revision).collect();
        assert_eq!(kept, (6..=25).rev().collect::<Vec<_>>());
        assert_eq!(again.number_of(&snapshot("# 25")), 25, "the same text is the same revision");
        assert_eq!(again.number_of(&snapshot("# 24")), 26, "going back is a new one");
        assert_eq!(again.get(7).unwrap().files[0].text, "# 7");
        assert!(again.get(5).is_none());
    }

    #[test]
    fn only_the_owner_reads_it_and_nothing_unfinished_stays() {
        let state = tempfile::tempdir().unwrap();
        let mut history = History::open(state.path());
        history.keep(snapshot("a"), "uid 0", Some("why"), 7);
        let folder = history_folder(state.path());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["0000000001.json"]);
        assert_eq!((mode(&folder), mode(&folder.join(&names[0]))), (0o700, 0o600));
        let kept = history.get(1).unwrap();
        assert_eq!((kept.who.as_str(), kept.reason.as_deref(), kept.accepted_at_ms), ("uid 0", Some("why"), 7));
    }

    #[test]
    fn without_a_state_folder_only_what_runs_is_known() {
        let mut history = History::open(Path::new(""));
        history.keep(snapshot("a"), "start", None, 1);
        history.keep(snapshot("b"), "SIGHUP", None, 2);
        assert_eq!(history.trouble(), None);
        assert_eq!(history.list().iter().map(|accepted| accepted.revision).collect::<Vec<_>>(), [2]);
        assert_eq!(history.get(2).unwrap().files[0].text, "b");
        assert!(history.get(1).is_none());
    }

    #[test]
    fn a_try_that_is_taken_back_leaves_no_trace_but_its_number() {
        let state = tempfile::tempdir().unwrap();
        let mut history = History::open(state.path());
        for (text, at) in [("a", 1), ("try", 2)] {
            history.keep(snapshot(text), "start", None, at);
        }
        assert!(history.before_try(1, &snapshot("a")).is_none(), "only the newest");
        assert!(history.before_try(2, &snapshot("other")).is_none(), "only for what was before it");
        let before = history.before_try(2, &snapshot("a")).unwrap();
        assert_eq!(history.list().len(), 2, "what is taken back serves until something else does");
        history.withdraw(before);
        let mut again = History::open(state.path());
        assert_eq!(again.last_accepted().unwrap().revision, 1);
        for history in [&history, &again] {
            assert_eq!(history.unreadable(), None);
            assert_eq!(history.number_of(&snapshot("a")), 1);
            assert_eq!(history.number_of(&snapshot("b")), 3);
            assert_eq!(history.list().len(), 1);
        }
        let folder = history_folder(state.path());
        assert_eq!(fs::read(marker(&folder, 2)).unwrap(), b"", "nothing of its text");
        again.keep(snapshot("b"), "start", None, 3);
        assert_eq!((again.list()[0].revision, withdrawn(&folder).len()), (3, 0));
        assert_eq!(History::open(state.path()).number_of(&snapshot("c")), 4);
    }

    #[test]
    fn what_could_not_be_written_whole_is_not_left_behind() {
        let state = tempfile::tempdir().unwrap();
        let folder = history_folder(state.path());
        let in_the_way = folder.join(revision_file(1)).join("x");
        fs::create_dir_all(&in_the_way).unwrap();
        let mut history = History::open(Path::new(""));
        history.folder = Some(folder.clone());
        history.keep(snapshot("a"), "start", None, 1);
        assert!(history.trouble().is_some());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "what is in the way alone");
    }

    #[test]
    fn the_same_text_is_kept_once() {
        let state = tempfile::tempdir().unwrap();
        let mut history = History::open(state.path());
        history.keep(snapshot("a"), "start", None, 1);
        history.keep(snapshot("a"), "SIGHUP", None, 2);
        assert_eq!(history.list().len(), 1);
        assert_eq!(history.newest.as_ref().unwrap().who, "start");
    }

    #[test]
    fn what_a_later_release_wrote_is_left_alone_and_its_number_is_not_given_again() {
        let state = tempfile::tempdir().unwrap();
        let mut history = History::open(state.path());
        history.keep(snapshot("a"), "start", None, 1);
        let folder = history_folder(state.path());
        let later = serde_json::json!({ "format": 2, "revision": 2, "accepted_at_ms": 1, "who": "start",
            "version": "9", "files": [] });
        fs::write(folder.join(revision_file(2)), later.to_string()).unwrap();
        fs::write(folder.join(revision_file(3)), "half a fi").unwrap();
        let mut again = History::open(state.path());
        assert_eq!(again.newest.as_ref().unwrap().revision, 1);
        assert_eq!(again.unreadable(), Some(3));
        assert!(again.last_accepted().is_none(), "nobody goes further back than that");
        assert_eq!(again.number_of(&snapshot("b")), 4);
        again.keep(snapshot("b"), "start", None, 2);
        assert!(folder.join(revision_file(2)).exists());
        assert_eq!(again.last_accepted().unwrap().revision, 4);
        assert_eq!(again.list().iter().map(|accepted| accepted.revision).collect::<Vec<_>>(), [4, 1]);
    }

    #[test]
    fn a_state_folder_that_cannot_be_written_is_told_and_made_up_for() {
        let state = tempfile::tempdir().unwrap();
        let base = state.path().join("state");
        fs::write(&base, "in the way").unwrap();
        let mut history = History::open(&base);
        history.keep(snapshot("a"), "start", None, 1);
        assert!(history.trouble().unwrap().starts_with("revision 1 is not kept in "));
        assert_eq!(history.number_of(&snapshot("b")), 2, "numbers go on");
        fs::remove_file(&base).unwrap();
        history.keep(snapshot("a"), "SIGHUP", None, 2);
        assert_eq!(history.trouble(), None);
        assert_eq!(history.list()[0].revision, 1);
    }
}
