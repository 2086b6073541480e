//! The record across restarts, full files and disks that fail.

use super::file::Lines;
use super::*;

fn record(action: &str) -> AuditRecord {
    AuditRecord { action: action.to_owned(), outcome: "done".to_owned(), ..AuditRecord::default() }
}

fn numbers(records: &[AuditRecord]) -> Vec<u64> {
    records.iter().map(|record| record.number).collect()
}

#[test]
fn numbers_go_on_after_a_restart_and_a_torn_line_costs_itself_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let audit = Audit::start(Some(folder.path()));
    for action in ["server.drain", "server.resume"] {
        audit.add(record(action));
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 2, "written before the change is answered");
    drop(audit);
    let mut torn = std::fs::read(&file).unwrap();
    // The last byte is the first of a character of two.
    torn.extend(b"{\"number\":3,\"user\":\"\xc3");
    std::fs::write(&file, torn).unwrap();
    let audit = Audit::start(Some(folder.path()));
    audit.add(record("log.set"));
    assert_eq!(numbers(&audit.newest(10)), [1, 2, 3]);
    assert_eq!(numbers(&audit.newest(1)), [3]);
    let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
    let last: AuditRecord = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((last.number, last.action.as_str()), (3, "log.set"));
}

#[test]
fn a_full_file_gives_way_and_the_oldest_goes() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = Lines::open_of(folder.path(), 200).unwrap();
    for number in 1..=40 {
        let mut line = serde_json::to_vec(&AuditRecord { number, ..record("server.drain") }).unwrap();
        line.push(b'\n');
        lines.append(&line).unwrap();
    }
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 10);
    assert_eq!(numbers(&lines.newest(2).unwrap()), [39, 40]);
    let in_the_way = folder.path().join("audit.jsonl.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let oldest = text("audit.jsonl.9");
    for _ in 0..5 {
        lines.append(&[b"{}".repeat(99), b"\n".to_vec()].concat()).unwrap();
    }
    assert_eq!((text("audit.jsonl.9"), text("audit.jsonl").ends_with("{}\n")), (oldest, true), "the old one goes on");
    assert_eq!(text("audit.jsonl").lines().count(), 6);
    std::fs::remove_dir(&in_the_way).unwrap();
    assert!(folder.path().join("audit.jsonl.9").exists() && !folder.path().join("audit.jsonl.10").exists());
}

#[test]
fn without_a_folder_it_is_remembered_and_where_it_cannot_be_written_that_is_told() {
    let audit = Audit::start(None);
    for _ in 0..=REMEMBERED {
        audit.add(record("server.drain"));
    }
    assert_eq!((audit.newest(usize::MAX).len(), audit.newest(1)[0].number), (REMEMBERED, REMEMBERED as u64 + 1));
    assert!(audit.trouble().is_none());
    let folder = tempfile::tempdir().unwrap();
    let missing = Audit::start(Some(&folder.path().join("missing")));
    missing.add(record("server.drain"));
    assert!(missing.trouble().is_some_and(|told| told.contains("journal")));
}

#[test]
fn a_file_that_could_not_be_opened_is_tried_again_and_what_came_meanwhile_comes_after_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let audit = Audit::start(Some(&state));
    audit.add(record("server.drain"));
    drop(audit);
    let away = folder.path().join("away");
    std::fs::rename(&state, &away).unwrap();
    let audit = Audit::start(Some(&state));
    assert!(audit.trouble().is_some());
    audit.add(record("server.resume"));
    std::fs::rename(&away, &state).unwrap();
    // The end tries once more.
    drop(audit);
    let audit = Audit::start(Some(&state));
    let actions: Vec<_> = audit.newest(10).into_iter().map(|record| (record.number, record.action)).collect();
    assert_eq!(actions, [(1, "server.drain".to_owned()), (2, "server.resume".to_owned())]);
}

#[test]
fn refused_changes_are_a_line_for_each_user_in_ten_seconds_with_their_count() {
    let (mut refusals, start) = (Refusals(BTreeMap::new()), Instant::now());
    let mut tell = |uid, seconds| refusals.tell(uid, start + Duration::from_secs(seconds));
    assert_eq!((tell(1, 0), tell(1, 1), tell(1, 9), tell(2, 9)), (Some(0), None, None, Some(0)));
    assert_eq!((tell(1, 10), tell(1, 19), tell(2, 30)), (Some(2), None, Some(0)));
    assert_eq!(tell(1, 40), Some(1));
}

#[test]
fn a_reason_may_be_as_long_as_is_kept() {
    let says = |length| says_too_much(format!("{{\"reason\":\"{}\"}}", "é".repeat(length)).as_bytes());
    assert!(!says(MOST_REASON) && says(MOST_REASON + 1) && !says_too_much(b"[]"));
}
