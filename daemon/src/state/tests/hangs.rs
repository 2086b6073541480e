//! A disk that does not answer, or answers that it is full, in any order of events.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use tokio::time::timeout;

use super::*;
use crate::state::storage::tests::{Disk, Mood};

/// A state on a disk, of which everything is found by the next process.
fn state_on(folder: &Path, disk: &Disk) -> Arc<State> {
    let on = disk.clone();
    let (state, _) = State::open_on(folder, true, Box::new(move |path| on.open(path))).unwrap();
    state.take_over();
    assert_eq!(state.trouble(), None);
    state
}

/// What a thing of this name says.
fn server(name: usize, likeness: usize) -> Entry {
    let (name, likeness) = (name.to_string(), likeness.to_string());
    Entry::Server(entry::Server { name, likeness, legacy: None, modern: None })
}

/// What the file says now, by name.
fn said(state: &State) -> BTreeMap<String, String> {
    let loaded = state.folder.load().unwrap();
    assert_eq!(loaded.damaged, 0);
    let server = |payload: &Vec<u8>| match Entry::of_payload(payload).unwrap() {
        Entry::Server(server) => (server.name, server.likeness),
        other => panic!("{other:?}"),
    };
    loaded.payloads.iter().map(server).collect()
}

#[tokio::test]
async fn while_the_disk_hangs_sessions_are_opened_and_kept_once_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let state = state_on(folder.path(), &disk);
    let table = Table::kept_by(Some(Arc::clone(&state)));
    open(&table).kept().await;
    disk.set(Mood::Hangs);
    let held = Record::new(&state);
    held.write(server(1, 1));
    assert!(!held.written().await);
    // By the writer's clock, which began a moment later.
    let troubled = async {
        while state.trouble().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), troubled).await.expect("trouble");
    // Whoever comes later knows that it is no use to wait.
    for _ in 0..100 {
        let session = open(&table);
        timeout(Duration::ZERO, session.kept()).await.expect("no wait");
    }
    assert_eq!(found_in_file(&state), 1);
    disk.set(Mood::Works);
    state.flush();
    assert_eq!(state.trouble(), None);
    assert!(held.written().await);
    assert_eq!(found_in_file(&state), 102);
}

fn found_in_file(state: &State) -> usize {
    state.folder.load().unwrap().payloads.len()
}

#[tokio::test]
async fn what_waits_is_the_newest_word_of_each_thing_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let state = state_on(folder.path(), &disk);
    let records: Vec<_> = (0..3).map(|_| Record::new(&state)).collect();
    disk.set(Mood::Hangs);
    for round in 0..1000 {
        for (name, record) in records.iter().enumerate() {
            record.write(server(name, round));
        }
        let passing = Record::new(&state);
        passing.write(server(9, round));
        passing.erase();
    }
    // One may be in the writer's hands.
    assert!(state.writer.queue.waiting() <= records.len() + 1, "{}", state.writer.queue.waiting());
    records[2].erase();
    disk.set(Mood::Works);
    state.flush();
    let newest = |name: usize| (name.to_string(), "999".to_owned());
    assert_eq!(said(&state), BTreeMap::from([newest(0), newest(1)]));
}

#[tokio::test]
async fn a_spare_that_is_taken_while_the_disk_hangs_is_found_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let state = state_on(folder.path(), &disk);
    let text = r#"{"number":7,"server":"files","likeness":"x","pid":9,"role":"spare","started":1,"ids":1}"#;
    let keep = |number| {
        let instance = entry::Instance { number, ..serde_json::from_str(text).unwrap() };
        Keep::with(&state, instance)
    };
    let (taken, other, full) = (keep(1), keep(2), keep(3));
    assert!(taken.written().await && other.written().await && full.written().await);
    taken.serves_for_sure().await;
    assert_eq!(found_in_file(&state), 3, "what is written is relied on");
    disk.set(Mood::Hangs);
    taken.serves(entry::Role::Dedicated);
    taken.serves_for_sure().await;
    other.may_be_cut(true);
    other.written().await;
    disk.set(Mood::Works);
    state.flush();
    assert_eq!(found_in_file(&state), 2, "what can be said again is kept");
    disk.set(Mood::Full);
    full.serves(entry::Role::Dedicated);
    full.serves_for_sure().await;
    disk.set(Mood::Works);
    state.retry();
    state.flush();
    assert_eq!((found_in_file(&state), state.trouble()), (1, None));
}

#[tokio::test]
async fn an_instance_that_uses_up_its_ids_while_the_disk_hangs_is_found_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let state = state_on(folder.path(), &disk);
    let text = r#"{"number":1,"server":"files","likeness":"x","pid":9,"role":"spare","started":1,"ids":1}"#;
    let keep = Keep::with(&state, serde_json::from_str(text).unwrap());
    assert!(keep.written().await);
    let first_of_the_next = match Entry::of_payload(&state.folder.load().unwrap().payloads[0]).unwrap() {
        Entry::Instance(instance) => instance.ids,
        other => panic!("{other:?}"),
    };
    disk.set(Mood::Hangs);
    let mut used = 0;
    while !keep.is_over() {
        used += 1;
        keep.uses(used).await;
    }
    // Others may be at their ids of this block by now.
    assert!((32_000..first_of_the_next - 16_000).contains(&used), "{used} of {first_of_the_next}");
    disk.set(Mood::Works);
    state.flush();
    assert_eq!(found_in_file(&state), 0);
}

#[test]
fn a_process_ends_though_its_disk_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let state = state_on(folder.path(), &disk);
    disk.set(Mood::Hangs);
    let table = Table::kept_by(Some(Arc::clone(&state)));
    open(&table);
    table.settle();
    assert!(!state.writer.queue.flush(Duration::from_millis(10)), "nobody waits for ever");
    drop((table, state));
    disk.set(Mood::Works);
}

/// What may happen.
#[derive(Debug, Clone)]
enum Event {
    Write(usize),
    Withhold(usize),
    Erase(usize),
    Retry,
    Disk(Mood),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..4_usize).prop_map(Event::Write),
        2 => (0..4_usize).prop_map(Event::Withhold),
        1 => (0..4_usize).prop_map(Event::Erase),
        1 => Just(Event::Retry),
        3 => prop_oneof![Just(Mood::Works), Just(Mood::Full), Just(Mood::Hangs)].prop_map(Event::Disk),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the disk did meanwhile: once it works, the file says of each thing what was said last, and no more.
    #[test]
    fn in_the_end_the_file_says_what_was_said_last(events in proptest::collection::vec(event(), 0..60)) {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let state = state_on(folder.path(), &disk);
        let records: Vec<_> = (0..4).map(|_| Record::new(&state)).collect();
        let (mut expected, mut over) = (BTreeMap::new(), [false; 4]);
        for (round, event) in events.into_iter().enumerate() {
            match event {
                Event::Write(name) => {
                    records[name].write(server(name, round));
                    if !over[name] {
                        expected.insert(name.to_string(), round.to_string());
                    }
                }
                Event::Withhold(name) => {
                    records[name].withhold();
                    expected.remove(&name.to_string());
                }
                Event::Erase(name) => {
                    records[name].erase();
                    over[name] = true;
                    expected.remove(&name.to_string());
                }
                Event::Retry => state.retry(),
                Event::Disk(mood) => disk.set(mood),
            }
        }
        disk.set(Mood::Works);
        // What failed a moment ago is not tried again by itself.
        state.flush();
        state.retry();
        state.flush();
        prop_assert_eq!(state.trouble(), None);
        prop_assert_eq!(said(&state), expected);
    }
}
