//! The state as a whole: what one process writes and the next one finds.

mod hangs;

use toolgate_protocol::revision::LATEST_LEGACY;

use super::storage::tests::{Disk, Mood};
use super::*;
use crate::config::secret::Secret;
use crate::config::settings::{Access, Instances, Wear};
use crate::message::Message;
use crate::sessions::{Bounds, Hosted, Kind, Session, Table};

fn stdio(change: impl FnOnce(&mut Stdio)) -> Stdio {
    let instances = Instances {
        per: None,
        max: 1,
        spares: 0,
        idle: Duration::from_secs(1),
        memory: None,
        tasks: None,
        cpu: None,
        wear: Wear::default(),
    };
    let mut stdio = Stdio {
        command: vec!["server".to_owned(), "/srv".to_owned()],
        environment: vec![("TOKEN".to_owned(), Secret::new("one".to_owned()))],
        directory: None,
        access: Access::default(),
        instances,
        line_bytes: 1,
    };
    change(&mut stdio);
    stdio
}

#[test]
fn instances_are_alike_where_the_same_processes_would_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let of = |change: fn(&mut Stdio)| State::open_in(folder.path(), true).unwrap().0.likeness(&stdio(change));
    let same = of(|_| {});
    assert_eq!(of(|stdio| stdio.instances.max = 9), same, "another process knows it by the same key");
    assert_eq!(of(|stdio| stdio.line_bytes = 9), same);
    for (place, changed) in [
        of(|stdio| stdio.command[1] = "/srv2".to_owned()),
        of(|stdio| stdio.command = vec!["server/srv".to_owned()]),
        of(|stdio| stdio.environment[0].1 = Secret::new("two".to_owned())),
        of(|stdio| stdio.environment.clear()),
        of(|stdio| stdio.directory = Some("/".into())),
        of(|stdio| stdio.access.network = true),
        of(|stdio| stdio.access.read = vec!["/srv".into()]),
        of(|stdio| stdio.access.write = vec!["/srv".into()]),
        of(|stdio| stdio.access.groups = vec!["media".to_owned()]),
        of(|stdio| stdio.instances.cpu = Some(1)),
        of(|stdio| stdio.instances.memory = Some(1)),
        of(|stdio| stdio.instances.tasks = Some(1)),
    ]
    .into_iter()
    .enumerate()
    {
        assert_ne!(changed, same, "{place}");
    }
}

#[test]
fn a_session_whose_client_said_too_much_is_not_kept_until_it_says_less() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open_in(folder.path(), false).unwrap();
    state.take_over();
    let key = record::Key::new(&state.folder.key("records"));
    let kept = || {
        state.flush();
        file::load(&state.folder.records(), &key).unwrap().payloads.len()
    };
    let table = Table::kept_by(Some(Arc::clone(&state)));
    let session = open(&table);
    assert_eq!(kept(), 1);
    let hosted = session.hosted().unwrap();
    hosted.set_log_level(vec![b'x'; 64 << 10].into());
    assert_eq!((kept(), state.trouble()), (0, None));
    hosted.set_log_level("debug".into());
    assert_eq!(kept(), 1);
    table.end(session.id);
    hosted.set_log_level("info".into());
    assert_eq!(kept(), 0);
}

/// An instance of which an orderly end left something.
const LEFT: &str = r#"{"number":1,"server":"files","likeness":"x","pid":9,"role":"spare","started":1,"ids":1,
    "left":{"unread":"{\"half","skipping":false,"unwritten":"{}"}}"#;

/// Sessions that a process finds which begins now.
fn found(folder: &std::path::Path) -> usize {
    State::open_in(folder, false).unwrap().1.entries.len()
}

#[test]
fn a_disk_that_is_full_at_a_start_costs_no_session() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (state, _) = State::open_in(folder.path(), false).unwrap();
        open(&Table::kept_by(Some(Arc::clone(&state))));
        state.take_over();
    }
    // In the place of a full disk: nothing can be made there.
    let new = folder.path().join("sessions/records.new");
    std::fs::create_dir(&new).unwrap();
    let mut first = Vec::new();
    for missed in 0..3 {
        let (state, left) = State::open_in(folder.path(), false).unwrap();
        let mut instance: entry::Instance = serde_json::from_str(LEFT).unwrap();
        let (words, cut) = state.left_of(&mut instance.clone());
        assert_eq!((words.is_some(), cut), (missed == 0, missed > 0), "what is left is dealt with once");
        instance.left = None;
        first.push((state.first_id(), state.first_event(), Keep::with(&state, instance).first_id()));
        let table = Table::kept_by(Some(Arc::clone(&state)));
        assert_eq!(left.entries.len(), 1, "what the last process left goes on");
        let record = Record::new(&state);
        record.write(left.entries[0].clone());
        open(&table);
        state.take_over();
        state.retry();
        state.flush();
        assert!(state.trouble().is_some());
    }
    let grows = |one: &(u64, u64, u64), next: &(u64, u64, u64)| one.0 < next.0 && one.1 < next.1 && one.2 < next.2;
    assert!(first.is_sorted_by(grows), "none of these starts shares an id with another: {first:?}");
    let (state, left) = State::open_in(folder.path(), false).unwrap();
    let table = Table::kept_by(Some(Arc::clone(&state)));
    let record = Record::new(&state);
    record.write(left.entries[0].clone());
    let (ended, other) = (open(&table), open(&Table::kept_by(Some(Arc::clone(&state)))));
    table.end(ended.id);
    state.take_over();
    std::fs::remove_dir(&new).unwrap();
    state.retry();
    state.flush();
    assert_eq!(state.trouble(), None);
    drop((table, record, other, ended, state));
    assert_eq!(found(folder.path()), 2);
}

#[test]
fn the_last_process_s_file_stays_until_all_of_it_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open_in(folder.path(), false).unwrap();
    open(&Table::kept_by(Some(Arc::clone(&state))));
    state.take_over();
    drop(state);
    let disk = Disk::default();
    let on = disk.clone();
    let (state, left) = State::open_on(folder.path(), false, Box::new(move |path| on.open(path))).unwrap();
    state.flush();
    disk.set(Mood::Full);
    let record = Record::new(&state);
    record.write(left.entries[0].clone());
    state.take_over();
    assert!(state.trouble().is_some());
    drop((record, state));
    assert_eq!(found(folder.path()), 1);
}

fn open(table: &Table) -> Arc<Session> {
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#;
    let hosted = Hosted::new(LATEST_LEGACY, Message::parse(initialize.into()).unwrap(), false);
    let bounds = Bounds { all: usize::MAX, per_client: usize::MAX };
    table.open(&"key:ann".into(), "", Kind::Hosted(Box::new(hosted)), bounds).unwrap().session
}

#[test]
fn a_session_that_two_cores_change_at_once_is_written_as_it_is_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open_in(folder.path(), false).unwrap();
    let table = Table::kept_by(Some(Arc::clone(&state)));
    let session = open(&table);
    let hosted = session.hosted().unwrap();
    let key = record::Key::new(&state.folder.key("records"));
    for round in 0..500 {
        std::thread::scope(|threads| {
            for thread in 0..2 {
                threads.spawn(move || hosted.set_log_level(format!("{round} {thread}").into()));
            }
        });
        state.flush();
        let loaded = file::load(&state.folder.new_records(), &key).unwrap();
        let Ok(Entry::Session(session)) = Entry::of_payload(&loaded.payloads[0]) else { panic!("a session") };
        let entry::Kind::Hosted(written) = session.kind else { panic!("a hosted one") };
        assert_eq!(written.log_level.unwrap().0, hosted.log_level().unwrap(), "{round}");
    }
}

#[test]
fn each_process_has_ids_and_events_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let next = || {
        let (state, _) = State::open_in(folder.path(), false).unwrap();
        state.take_over();
        (state.first_id(), state.first_event())
    };
    let (one, two) = (next(), next());
    assert!(two.0 > one.0 && two.1 > one.1);
    assert!(two.0 < 1 << 31, "some servers take no more than 31 bits");
}
