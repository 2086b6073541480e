//! What the next process finds of an instance, and what it loses nothing of.

use std::io::Read;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::servers::stdio::connection::{Connection, Incoming};
use crate::servers::stdio::link::{Begun, Link, Serves};

fn instance() -> entry::Instance {
    let text = r#"{"number":7,"server":"files","likeness":"x","pid":9,"role":"spare","started":1,"ids":1}"#;
    serde_json::from_str(text).unwrap()
}

/// Has both halves of its connection at work, on the local set that this is called on.
fn begin(stream: std::os::unix::net::UnixStream, keep: &Arc<Keep>) -> Link {
    let connection = Connection::again(stream, 1 << 20, Some(&Left::default())).unwrap();
    let (reader, writer) = connection.begin(Some(keep), Bytes::new());
    let reader = Incoming::Instance(reader);
    let begun = Begun { pid: 1, group: None, reader, writer, keep: Some(Arc::clone(keep)) };
    Link::start(begun, Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
}

/// What the next process finds of it after this one did something.
fn found_after(work: impl FnOnce(&Arc<State>, &Keep)) -> Vec<entry::Instance> {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open_in(folder.path(), true).unwrap();
    work(&state, &Keep::with(&state, instance()));
    state.take_over();
    drop(state);
    let (_, left) = State::open_in(folder.path(), true).unwrap();
    let instance = |entry| match entry {
        Entry::Instance(instance) => Some(instance),
        Entry::Session(_) | Entry::Server(_) => None,
    };
    left.entries.into_iter().filter_map(instance).collect()
}

/// Runs on a core of its own.
fn ready<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn no_process_uses_an_id_that_an_earlier_one_used() {
    let ids = |taken: u64| {
        let found = found_after(|_, keep| {
            ready(async {
                for id in 1..=taken {
                    keep.uses(id).await;
                }
            });
        });
        assert!(found[0].ids > taken);
        found[0].ids
    };
    assert_eq!(ids(0), ids(BLOCK - 1));
    assert!(ids(BLOCK) > ids(BLOCK - 1));
    // Of the blocks that follow some may be taken before that is written.
    assert!(ids(0) >= 2 * BLOCK && ids(BLOCK) >= 3 * BLOCK);
}

#[test]
fn what_waits_for_an_answer_is_known_until_it_has_one() {
    let found = found_after(|_, keep| {
        assert!(!keep.waits());
        for number in 0..ASKED + 2 {
            keep.asks(number.to_string().as_bytes());
        }
        keep.answered(b"2");
        keep.answered(b"nothing");
    });
    let asked: Vec<_> = found[0].asked.iter().map(|id| id.0.clone()).collect();
    assert_eq!((asked.len(), &asked[0][..]), (ASKED - 1, &b"3"[..]));
}

#[tokio::test]
async fn only_what_somebody_is_handed_waits_for_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open_in(folder.path(), true).unwrap();
    let keep = Keep::with(&state, instance());
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let talk = async {
        let link = begin(ours, &keep);
        let (unasked, mut said) = mpsc::channel(2);
        assert!(link.serve(Serves::Session(unasked)));
        let mut server = BufReader::new(tokio::net::UnixStream::from_std(theirs).unwrap());
        for id in ["x".repeat(MAX_ID), "a".to_owned(), "b".to_owned(), "c".to_owned()] {
            let request = format!("{{\"jsonrpc\":\"2.0\",\"id\":\"{id}\",\"method\":\"roots/list\"}}\n");
            server.write_all(request.as_bytes()).await.unwrap();
        }
        let mut refused = String::new();
        server.read_line(&mut refused).await.unwrap();
        assert!(refused.contains("xxx"), "{refused}");
        refused.clear();
        server.read_line(&mut refused).await.unwrap();
        assert!(refused.contains("\"c\""), "{refused}");
        assert_eq!(keep.asked(), [&b"\"a\""[..], b"\"b\""]);
        assert!(said.recv().await.is_some());
    };
    tokio::task::LocalSet::new().run_until(talk).await;
}

#[tokio::test]
async fn an_orderly_end_loses_nothing_that_was_accepted_and_a_crash_answers_what_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open_in(folder.path(), true).unwrap();
    let keep = Keep::with(&state, instance());
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    keep.asks(b"\"a\"");
    let mut sent = vec![Bytes::from(format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{}\"}}", "x".repeat(1 << 20)))];
    let small = |number| format!("{{\"jsonrpc\":\"2.0\",\"method\":\"x{number}\"}}");
    sent.extend((0..200).map(|number| Bytes::from(small(number))));
    sent.push(Bytes::from_static(br#"{"jsonrpc":"2.0","id":"a","result":{}}"#));
    let local = tokio::task::LocalSet::new();
    let link = local
        .run_until(async {
            let link = begin(ours, &keep);
            for message in &sent {
                link.send(message.clone()).await.unwrap();
                tokio::task::yield_now().await;
            }
            link
        })
        .await;
    assert_eq!(keep.asked(), [&b"\"a\""[..]], "the answer is not written: a later process gives one");
    drop(local);
    keep.settle();
    assert!(!keep.waits(), "the answer is among what is left");
    drop(link);
    let mut arrived = Vec::new();
    theirs.read_to_end(&mut arrived).unwrap();
    arrived.extend_from_slice(&keep.lock().entry.left.as_ref().unwrap().unwritten.0);
    let expected: Vec<u8> = sent.iter().flat_map(|message| [&message[..], b"\n"]).flatten().copied().collect();
    assert!(arrived == expected, "{} of {} bytes", arrived.len(), expected.len());
}

#[test]
fn an_introduction_that_would_make_each_write_long_is_not_kept() {
    let of = |bytes: usize| Introduction::Own { revision: "x".to_owned(), answer: vec![b'a'; bytes][..].into() };
    let found = found_after(|_, keep| keep.introduced(of(INTRODUCTION - 1)));
    assert!(found[0].introduction.is_some());
    let found = found_after(|_, keep| {
        keep.introduced(of(1));
        keep.introduced(of(INTRODUCTION));
    });
    assert!(found[0].introduction.is_none());
}

#[test]
fn what_is_left_is_told_by_an_orderly_end_only() {
    let crash = found_after(|_, keep| {
        keep.may_be_cut(true);
        keep.leave_unread(b"{\"un", false);
    });
    assert!(crash[0].cut && crash[0].left.is_none());
    let orderly = found_after(|_, keep| {
        keep.may_be_cut(true);
        keep.leave_unread(b"{\"un", false);
        keep.leave_unwritten(b"read\"}\n");
        keep.settle();
    });
    let left = Left { unread: b"{\"un"[..].into(), skipping: false, unwritten: b"read\"}\n"[..].into() };
    assert_eq!((orderly[0].cut, orderly[0].left.as_ref()), (false, Some(&left)));
}

#[test]
fn an_instance_that_ended_is_not_found() {
    assert!(found_after(|_, keep| keep.end()).is_empty());
    let again = found_after(|_, keep| {
        keep.end();
        keep.serves(Role::Dedicated);
    });
    assert!(again.is_empty(), "whoever changes it later does not bring it back");
}
