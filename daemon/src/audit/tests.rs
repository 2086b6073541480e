//! The log across restarts, full files, crashes, tampering and disks that fail.

use std::path::Path;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use toolgate_admin_api::AuditVerdict;
use toolgate_protocol::audit::{HEAD, NAME, numbered};

use super::file::{Bounds, Files};
use super::*;

const BOUNDS: Bounds = Bounds { size: 400, keep: 4, keep_for: None };

fn rules(table: &str) -> AuditRules {
    let text = format!("version = 1\n[audit]\nmin_free = 0\n{table}\n");
    crate::config::from_text(&text).unwrap_or_else(|report| panic!("{}", report.render(false))).audit
}

fn start(folder: &Path) -> Audit {
    Audit::start(Some(folder), &rules(""))
}

fn record(action: &str) -> AuditRecord {
    AuditRecord { action: action.to_owned(), outcome: "done".to_owned(), ..AuditRecord::default() }
}

fn actions(records: &[AuditRecord]) -> Vec<&str> {
    records.iter().map(|record| record.action.as_str()).collect()
}

fn verified(folder: &Path) -> AuditVerdict {
    verify::verify(folder, &std::sync::Mutex::default()).expect("it can be read")
}

fn text(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_default()
}

/// Seals lines and commits each of them.
fn write(files: &mut Files, count: u32) {
    for _ in 0..count {
        files.seal(br#""kind":"call","at_ms":1,"outcome":"ok""#);
        files.commit().expect("written");
        files.turn(BOUNDS, SystemTime::now()).expect("turned");
    }
}

#[test]
fn numbers_go_on_after_a_restart_and_changes_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let audit = start(folder.path());
    for action in ["server.drain", "server.resume"] {
        audit.add(record(action));
    }
    assert_eq!(text(folder.path(), NAME).lines().count(), 3, "written before the change is answered, behind the start");
    assert_eq!(audit.newest(10).iter().map(|record| record.number).collect::<Vec<_>>(), [2, 3]);
    drop(audit);
    let audit = start(folder.path());
    audit.add(record("log.set"));
    let newest = audit.newest(10);
    assert_eq!(actions(&newest), ["server.drain", "server.resume", "log.set"]);
    // The first process has said that it stopped, the second that it started.
    assert_eq!(newest.iter().map(|record| record.number).collect::<Vec<_>>(), [2, 3, 6]);
    let verdict = audit.verify().unwrap();
    assert!(verdict.whole && verdict.last == 6 && verdict.unchained == 0, "{verdict:?}");
    let found = audit.search(&Query { kind: Some("change".into()), limit: 2, ..Query::default() }).unwrap().lines;
    assert_eq!(found.iter().map(|line| line.number).collect::<Vec<_>>(), [3, 6]);
    assert_eq!(found[1].more["action"], "log.set");
    let found = audit.search(&Query { after: Some(4), limit: 10, ..Query::default() }).unwrap().lines;
    assert_eq!(found.iter().map(|line| line.kind.as_str()).collect::<Vec<_>>(), ["start", "change"]);
}

#[test]
fn a_log_of_before_the_chain_goes_on_and_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let old = |number| AuditRecord { number, ..record("server.drain") };
    let mut lines: String = (1..=3).map(|number| serde_json::to_string(&old(number)).unwrap() + "\n").collect();
    // The last byte of what a crash left is the first of a character of two.
    lines.push_str("{\"number\":4,\"user\":\"");
    std::fs::write(folder.path().join(NAME), [lines.as_bytes(), b"\xc3"].concat()).unwrap();
    let audit = start(folder.path());
    audit.add(record("log.set"));
    let newest = audit.newest(10);
    assert_eq!(newest.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2, 3, 5]);
    let verdict = audit.verify().unwrap();
    assert!(verdict.whole && (verdict.first, verdict.last, verdict.unchained) == (1, 5, 4), "{verdict:?}");
    let found = audit.search(&Query { kind: Some("change".into()), limit: 10, ..Query::default() }).unwrap().lines;
    assert_eq!(found.len(), 4);
}

#[test]
fn a_full_file_gives_way_the_oldest_goes_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, _) = Files::open(folder.path()).unwrap();
    write(&mut files, 40);
    let names = (1..10).filter(|age| folder.path().join(numbered(*age)).exists()).count();
    assert_eq!(names, 3, "four files in all");
    let verdict = verified(folder.path());
    assert!(verdict.whole && verdict.last == 40 && verdict.first > 1 && verdict.files.len() == 4, "{verdict:?}");
    let head: serde_json::Value = serde_json::from_str(&text(folder.path(), HEAD)).unwrap();
    assert_eq!((&head["number"], &head["from"]), (&verdict.last.into(), &verdict.first.into()));
    drop(files);
    // One that is taken away by others is missed, whichever it is.
    for age in 1..=3 {
        let (path, aside) = (folder.path().join(numbered(age)), folder.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        let verdict = verified(folder.path());
        assert!(!verdict.whole && verdict.findings[0].damage == "missing", "{verdict:?}");
        std::fs::rename(&aside, &path).unwrap();
    }
    let (mut files, _) = Files::open(folder.path()).unwrap();
    write(&mut files, 1);
    assert_eq!(verified(folder.path()).last, 41);
}

#[test]
fn where_no_new_file_can_be_made_the_old_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, _) = Files::open(folder.path()).unwrap();
    let in_the_way = folder.path().join("audit.jsonl.new");
    std::fs::create_dir(&in_the_way).unwrap();
    write(&mut files, 10);
    assert_eq!(text(folder.path(), NAME).lines().count(), 10);
    std::fs::remove_dir(&in_the_way).unwrap();
    write(&mut files, 1);
    assert!(text(folder.path(), NAME).is_empty() && verified(folder.path()).whole);
}

#[test]
fn files_that_are_too_old_are_removed_and_each_is_of_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, _) = Files::open(folder.path()).unwrap();
    let bounds = Bounds { size: u64::MAX, keep: 100, keep_for: Some(Duration::from_secs(3 * 86_400)) };
    let mut removed = Vec::new();
    for day in 0..6_u64 {
        files.seal(br#""kind":"call""#);
        files.commit().unwrap();
        let now = SystemTime::now() + Duration::from_secs(day * 86_400 + 60);
        let file = std::fs::File::options().write(true).open(folder.path().join(NAME)).unwrap();
        file.set_modified(now).unwrap();
        removed.extend(files.turn(bounds, now).unwrap());
    }
    assert!(removed.iter().map(|removed| removed.files).sum::<u32>() >= 1, "{removed:?}");
    let verdict = verified(folder.path());
    assert!(verdict.whole && verdict.first == removed.last().unwrap().last + 1, "{verdict:?} {removed:?}");
}

#[test]
fn what_a_crash_left_is_cut_off_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, _) = Files::open(folder.path()).unwrap();
    write(&mut files, 1);
    files.seal(br#""kind":"call","at_ms":2"#);
    files.seal(br#""kind":"call","at_ms":3"#);
    files.write().unwrap();
    drop(files);
    let path = folder.path().join(NAME);
    let whole = std::fs::read(&path).unwrap();
    // What is whole is taken up although no commit had promised it.
    std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let verdict = verified(folder.path());
    assert!(verdict.whole && verdict.last == 2 && verdict.unsynced.is_some(), "{verdict:?}");
    let (mut files, found) = Files::open(folder.path()).unwrap();
    assert!(found.cut > 0 && !found.headless && !found.shortened, "{found:?}");
    write(&mut files, 1);
    let verdict = verified(folder.path());
    assert!(verdict.whole && verdict.last == 3 && verdict.unsynced.is_none(), "{verdict:?}");
}

#[test]
fn lines_that_were_cut_off_while_nobody_looked_stay_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, _) = Files::open(folder.path()).unwrap();
    write(&mut files, 3);
    drop(files);
    let path = folder.path().join(NAME);
    let kept = text(folder.path(), NAME).lines().next().unwrap().to_owned() + "\n";
    std::fs::write(&path, kept).unwrap();
    let (mut files, found) = Files::open(folder.path()).unwrap();
    assert!(found.shortened, "{found:?}");
    write(&mut files, 1);
    let verdict = verified(folder.path());
    assert_eq!(verdict.last, 4);
    let finding = &verdict.findings[0];
    assert_eq!((finding.number, finding.through, finding.damage.as_str()), (2, Some(3), "missing"));
}

#[test]
fn a_file_that_was_taken_away_is_missed_and_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, _) = Files::open(folder.path()).unwrap();
    files.seal(br#""kind":"call""#);
    files.commit().unwrap();
    std::fs::remove_file(folder.path().join(NAME)).unwrap();
    files.seal(br#""kind":"call""#);
    files.commit().unwrap();
    let verdict = verified(folder.path());
    assert_eq!(verdict.last, 2, "{verdict:?}");
    assert_eq!((verdict.findings[0].number, verdict.findings[0].damage.as_str()), (1, "missing"));
}

proptest! {
    /// The disk keeps the head of any earlier commit, also one of before the file was begun.
    #[test]
    fn a_head_that_lags_behind_costs_no_line(before in 1_u32..40, lag in 0_usize..7, after in 1_u32..6) {
        let folder = tempfile::tempdir().unwrap();
        let mut heads = Vec::new();
        let (mut files, _) = Files::open(folder.path()).unwrap();
        let bounds = Bounds { keep: 1000, ..BOUNDS };
        for _ in 0..before {
            files.seal(br#""kind":"call","at_ms":1,"outcome":"ok""#);
            files.commit().unwrap();
            heads.push(std::fs::read(folder.path().join(HEAD)).unwrap());
            files.turn(bounds, SystemTime::now()).unwrap();
        }
        drop(files);
        let kept = heads.iter().rev().nth(lag).unwrap_or(&heads[0]);
        std::fs::write(folder.path().join(HEAD), kept).unwrap();
        let (mut files, found) = Files::open(folder.path()).unwrap();
        prop_assert_eq!(found.cut, 0);
        for _ in 0..after {
            files.seal(br#""kind":"call","at_ms":1,"outcome":"ok""#);
            files.commit().unwrap();
            files.turn(bounds, SystemTime::now()).unwrap();
        }
        let verdict = verified(folder.path());
        prop_assert!(verdict.whole && verdict.last == u64::from(before + after), "{:?}", verdict);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_edit_of_the_files_is_found(lines in 3_u32..14, at in any::<prop::sample::Index>(), with in 32_u8..127) {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, _) = Files::open(folder.path()).unwrap();
        write(&mut files, lines);
        drop(files);
        let sound = verified(folder.path());
        prop_assert!(sound.whole, "{:?}", sound);
        let parts: Vec<(String, Vec<u8>)> = sound.files.iter()
            .map(|name| (name.clone(), std::fs::read(folder.path().join(name)).unwrap())).collect();
        let mut place = at.index(parts.iter().map(|(_, bytes)| bytes.len()).sum());
        let (mut number, mut divides) = (sound.first, false);
        for (name, bytes) in &parts {
            if place >= bytes.len() {
                place -= bytes.len();
                number += memchr::memchr_iter(b'\n', bytes).count() as u64;
                continue;
            }
            number += memchr::memchr_iter(b'\n', &bytes[..place]).count() as u64;
            prop_assume!(bytes[place] != with);
            divides = bytes[place] == b'\n';
            let mut changed = bytes.clone();
            changed[place] = with;
            std::fs::write(folder.path().join(name), changed).unwrap();
            break;
        }
        let verdict = verified(folder.path());
        prop_assert!(!verdict.whole);
        // What stood between two lines is either's.
        let found = verdict.findings[0].number;
        prop_assert!(found == number || (divides && found == number + 1), "{}: {:?}", number, verdict);
    }
}

#[test]
fn without_a_folder_it_is_remembered_and_where_it_cannot_be_written_that_is_told() {
    let audit = Audit::start(None, &rules(""));
    for _ in 0..=REMEMBERED {
        audit.add(record("server.drain"));
    }
    assert_eq!((audit.newest(usize::MAX).len(), audit.newest(1)[0].number), (REMEMBERED, REMEMBERED as u64 + 1));
    assert!(audit.trouble().is_none() && audit.ring().is_none() && audit.verify().is_err());
    let folder = tempfile::tempdir().unwrap();
    let missing = Audit::start(Some(&folder.path().join("missing")), &rules(""));
    missing.add(record("server.drain"));
    assert!(missing.trouble().is_some_and(|told| told.contains("journal")));
}

#[test]
fn a_file_that_could_not_be_opened_is_tried_again_and_what_came_meanwhile_comes_after_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let audit = start(&state);
    audit.add(record("server.drain"));
    drop(audit);
    let away = folder.path().join("away");
    std::fs::rename(&state, &away).unwrap();
    let audit = start(&state);
    audit.add(record("server.resume"));
    assert!(audit.trouble().is_some());
    std::fs::rename(&away, &state).unwrap();
    // The end tries once more.
    drop(audit);
    let audit = start(&state);
    audit.shared.flush();
    assert_eq!(actions(&audit.newest(10)), ["server.drain", "server.resume"]);
    assert!(audit.verify().unwrap().whole);
}
