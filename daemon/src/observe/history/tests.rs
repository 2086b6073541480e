//! The file as one process leaves it and the next finds it.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use toolgate_protocol::history::layout;

use super::file::{RingFile, Row};
use super::*;

fn row(tick: u64, names: impl IntoIterator<Item = String>) -> Row {
    let value = u16::try_from(tick % 1_000).unwrap().into();
    Row { tick, values: names.into_iter().map(|name| (name, value)).collect() }
}

fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("calls:s{number}"))
}

fn keep(store: &Mutex<Store>, row: &Row) {
    row.values.iter().for_each(|(name, value)| assert!(lock(store).put(name, row.tick, *value)));
}

fn at(store: &Mutex<Store>, name: &str, tick: u64) -> Option<f32> {
    lock(store).get(name)?.at(tick)
}

#[test]
fn the_next_process_finds_what_this_one_wrote_and_a_torn_slot_is_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let store = Mutex::default();
    let first = row(100_000, names(3));
    keep(&store, &first);
    let mut file = RingFile::create(&path, &first, &store).unwrap();
    for tick in 100_001..100_020 {
        assert!(file.write(&row(tick, names(3))).unwrap());
    }
    drop(file);
    let torn = OpenOptions::new().write(true).open(&path).unwrap();
    torn.write_all_at(&[0xff; 9], layout::position(512, 100_007) + 20).unwrap();
    let again = Mutex::default();
    let mut file = RingFile::load(&path, 100_030, &again).unwrap().unwrap();
    assert_eq!(at(&again, "calls:s2", 100_006), Some(6.0));
    assert_eq!(at(&again, "calls:s2", 100_007), None, "torn");
    assert_eq!(at(&again, "calls:s0", 100_019), Some(19.0));
    // Names keep their numbers, and it goes on.
    assert!(file.write(&row(100_021, names(4))).unwrap());
    let third = Mutex::default();
    RingFile::load(&path, 100_030, &third).unwrap().unwrap();
    assert_eq!((at(&third, "calls:s3", 100_021), at(&third, "calls:s3", 100_019)), (Some(21.0), None));
    assert_eq!(at(&third, "calls:s1", 100_000), Some(0.0));
}

#[test]
fn what_is_older_than_a_day_is_not_taken_for_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let store = Mutex::default();
    let first = row(100_000, names(1));
    keep(&store, &first);
    drop(RingFile::create(&path, &first, &store).unwrap());
    let later = Mutex::default();
    RingFile::load(&path, 100_000 + toolgate_protocol::history::DAY, &later).unwrap().unwrap();
    assert_eq!(lock(&later).names().count(), 0);
}

#[test]
fn a_row_that_does_not_fit_has_the_file_made_anew_with_all_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let store = Mutex::default();
    let few = row(100_000, names(3));
    keep(&store, &few);
    let mut file = RingFile::create(&path, &few, &store).unwrap();
    let many = row(100_001, names(200));
    keep(&store, &many);
    assert!(!file.write(&many).unwrap());
    drop(file);
    drop(RingFile::create(&path, &many, &store).unwrap());
    let again = Mutex::default();
    RingFile::load(&path, 100_001, &again).unwrap().unwrap();
    assert_eq!((at(&again, "calls:s1", 100_000), at(&again, "calls:s199", 100_001)), (Some(0.0), Some(1.0)));
}

#[test]
fn a_file_that_cannot_be_read_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    for text in [&b"precious"[..], &layout::head(512)] {
        std::fs::write(&path, text).unwrap();
        assert!(RingFile::load(&path, 1, &Mutex::default()).unwrap().is_none());
        assert_eq!(std::fs::read(folder.path().join("history.unreadable")).unwrap(), text);
        assert!(!path.exists());
    }
}

#[test]
fn an_answer_has_each_series_once_and_no_more_than_there_is_room_for() {
    let history = History::default();
    keep(&history.0, &row(100_000, names(400)));
    let all: Vec<String> = (0..1_000).map(|_| "calls:*".to_owned()).collect();
    let store = lock(&history.0);
    let wanted = wanted(&store, &all);
    assert_eq!((wanted.len(), wanted[0]), (SERIES, "calls:s0"));
    assert!(wanted.is_sorted_by(|one, other| one < other));
    // A buffer that grew with what was asked for had room for 400,000.
    assert!(wanted.capacity() <= 2 * SERIES, "{}", wanted.capacity());
    let few = ["calls:s7", "calls:s7*", "calls:s7"].map(str::to_owned);
    let wanted = super::wanted(&store, &few);
    assert_eq!((wanted.len(), &wanted[..3]), (11, &["calls:s7", "calls:s70", "calls:s71"][..]));
}
