//! What is kept, withdrawn, and found again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};
use toolgate_admin_api::FileText;
use toolgate_admin_api::history::revision_file;

use super::disk::marker;
use super::*;

fn snapshot(text: &str) -> Snapshot {
    let file = FileText { name: "toolgate.toml".into(), text: text.into(), mode: Some(0o640) };
    Snapshot { files: vec![file], overrides: Vec::new() }
}

#[test]
fn the_newest_twenty_stay_and_numbers_go_on() {
    let state = tempfile::tempdir().unwrap();
    let history = History::open(state.path());
    for number in 1..=25 {
        history.keep(snapshot(&format!("# {number}")), "start", None, number);
        history.settle();
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
    let history = History::open(state.path());
    history.keep(snapshot("a"), "uid 0", Some("why"), 7);
    history.settle();
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
    let history = History::open(Path::new(""));
    history.keep(snapshot("a"), "start", None, 1);
    history.settle();
    history.keep(snapshot("b"), "SIGHUP", None, 2);
    history.settle();
    assert_eq!(history.trouble(), None);
    assert_eq!(history.list().iter().map(|accepted| accepted.revision).collect::<Vec<_>>(), [2]);
    assert_eq!(history.get(2).unwrap().files[0].text, "b");
    assert!(history.get(1).is_none());
}

#[test]
fn a_try_that_is_taken_back_leaves_no_trace_but_its_number() {
    let state = tempfile::tempdir().unwrap();
    let history = History::open(state.path());
    for (text, at) in [("a", 1), ("try", 2)] {
        history.keep(snapshot(text), "start", None, at);
        history.settle();
    }
    assert!(history.before_try(1, &snapshot("a")).is_none(), "only the newest");
    assert!(history.before_try(2, &snapshot("other")).is_none(), "only for what was before it");
    let before = history.before_try(2, &snapshot("a")).unwrap();
    assert_eq!(history.list().len(), 2, "what is taken back serves until something else does");
    history.withdraw(before);
    history.settle();
    let again = History::open(state.path());
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
    again.settle();
    assert_eq!((again.list()[0].revision, withdrawn(&folder).len()), (3, 0));
    assert_eq!(History::open(state.path()).number_of(&snapshot("c")), 4);
}

#[test]
fn what_could_not_be_written_whole_is_not_left_behind() {
    let state = tempfile::tempdir().unwrap();
    let folder = history_folder(state.path());
    let history = History::of(Some(folder.clone()));
    fs::create_dir_all(folder.join(revision_file(1)).join("in the way")).unwrap();
    history.keep(snapshot("a"), "start", None, 1);
    history.settle();
    assert!(history.trouble().is_some());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "what is in the way alone");
}

#[test]
fn the_same_text_is_kept_once() {
    let state = tempfile::tempdir().unwrap();
    let history = History::open(state.path());
    history.keep(snapshot("a"), "start", None, 1);
    history.settle();
    history.keep(snapshot("a"), "SIGHUP", None, 2);
    history.settle();
    assert_eq!(history.list().len(), 1);
    assert_eq!(history.newest().unwrap().who, "start");
}

#[test]
fn what_a_later_release_wrote_is_left_alone_and_its_number_is_not_given_again() {
    let state = tempfile::tempdir().unwrap();
    let history = History::open(state.path());
    history.keep(snapshot("a"), "start", None, 1);
    history.settle();
    let folder = history_folder(state.path());
    let later = serde_json::json!({ "format": 2, "revision": 2, "accepted_at_ms": 1, "who": "start",
        "version": "9", "files": [] });
    fs::write(folder.join(revision_file(2)), later.to_string()).unwrap();
    fs::write(folder.join(revision_file(3)), "half a fi").unwrap();
    let again = History::open(state.path());
    assert_eq!(again.newest().unwrap().revision, 1);
    assert_eq!(again.unreadable(), Some(3));
    assert!(again.last_accepted().is_none(), "nobody goes further back than that");
    assert_eq!(again.number_of(&snapshot("b")), 4);
    again.keep(snapshot("b"), "start", None, 2);
    again.settle();
    assert!(folder.join(revision_file(2)).exists());
    assert_eq!(again.last_accepted().unwrap().revision, 4);
    assert_eq!(again.list().iter().map(|accepted| accepted.revision).collect::<Vec<_>>(), [4, 1]);
}

#[test]
fn a_state_folder_that_cannot_be_written_is_told_and_made_up_for() {
    let state = tempfile::tempdir().unwrap();
    let base = state.path().join("state");
    fs::write(&base, "in the way").unwrap();
    let history = History::open(&base);
    history.keep(snapshot("a"), "start", None, 1);
    history.settle();
    assert!(history.trouble().unwrap().starts_with("revision 1 is not kept in "));
    assert_eq!(history.number_of(&snapshot("b")), 2, "numbers go on");
    fs::remove_file(&base).unwrap();
    history.keep(snapshot("a"), "SIGHUP", None, 2);
    history.settle();
    assert_eq!(history.trouble(), None);
    assert_eq!(history.list()[0].revision, 1);
}

#[test]
fn a_disk_that_does_not_answer_holds_up_nobody_for_long_and_gets_what_waits_when_it_does() {
    let state = tempfile::tempdir().unwrap();
    let folder = history_folder(state.path());
    fs::create_dir_all(&folder).unwrap();
    let new = folder.join(format!(".{}.new", revision_file(1)));
    // Whoever opens a pipe to write waits until somebody reads it, as one does for a disk that hangs.
    mkfifoat(CWD, &new, Mode::RUSR | Mode::WUSR).unwrap();
    let history = History::open(state.path());
    history.keep(snapshot("a"), "start", None, 1);
    assert!(history.settle().is_some_and(|told| told.contains("does not answer")));
    while history.trouble().is_none() {
        std::thread::sleep(Duration::from_millis(10));
    }
    // Nobody waits any more, so that these do not take a second each.
    let began = Instant::now();
    for number in 2..=100 {
        history.keep(snapshot(&format!("# {number}")), "SIGHUP", None, number);
        assert!(history.settle().is_some());
        assert_eq!((history.number_of(&snapshot("other")), history.list()[0].revision), (number + 1, number));
    }
    assert!(began.elapsed() < Duration::from_secs(90), "a second for each");
    // Out of the way before it is read, so that what comes next finds a file.
    let pipe = folder.join("pipe");
    fs::rename(&new, &pipe).unwrap();
    assert!(!fs::read(pipe).unwrap().is_empty());
    let until = Instant::now() + Duration::from_secs(20);
    while history.settle().is_some() && Instant::now() < until {}
    assert_eq!(history.trouble(), None);
    let again = History::open(state.path());
    assert_eq!(again.list().iter().map(|one| one.revision).collect::<Vec<_>>(), (81..=100).rev().collect::<Vec<_>>());
}
