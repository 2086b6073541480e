//! Real sockets of which one end is read by a thread.

use std::io::Read;
use std::net::TcpListener;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{spawn_local, yield_now};

use super::outbox::FEW;
use super::*;

/// A socket, and all that arrives at its other end, whose reader begins after a while.
fn pair(late: Duration) -> (std::net::TcpStream, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let socket = std::net::TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    socket.set_nonblocking(true).expect("a socket");
    let (mut other, _) = listener.accept().expect("the other end");
    let read = move || {
        std::thread::sleep(late);
        let mut all = Vec::new();
        other.read_to_end(&mut all).map(|_| all).unwrap_or_default()
    };
    (socket, spawn(read))
}

/// Runs on a core's runtime, with its outbox.
fn on_core<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).expect("a runtime");
    runtime.block_on(async {
        spawn_local(outbox::run());
        yield_now().await;
        work.await
    })
}

/// A wire of which the runtime knows that it takes bytes, as it does of each that was connected or read from.
async fn wire_of(socket: std::net::TcpStream) -> Wire {
    let wire = Wire::from_std(socket).expect("a wire");
    wire.reading.as_ref().writable().await.expect("room");
    wire
}

#[test]
fn what_is_written_leaves_at_the_end_of_the_turn_even_where_the_wire_is_gone() {
    let (socket, read) = pair(Duration::ZERO);
    on_core(async {
        let mut wire = wire_of(socket).await;
        wire.write_all(b"one ").await.expect("room");
        wire.write_all(b"two").await.expect("room");
        assert_eq!(wire.sending.waiting(), 7, "nothing has left yet");
        drop(wire);
        yield_now().await;
    });
    assert_eq!(read.join().expect("the reader"), b"one two");
}

#[test]
fn pieces_leave_at_once_after_a_turn_of_few_and_together_after_one_of_many() {
    let (socket, read) = pair(Duration::ZERO);
    on_core(async {
        let mut wire = wire_of(socket).await;
        let mut waits = Vec::new();
        for pieces in [1, 1, FEW, FEW + 1, FEW + 1, 1, 1] {
            for _ in 0..pieces {
                wire.write_all(b"piece ").await.expect("room");
            }
            waits.push(wire.sending.waiting() / 6);
            yield_now().await;
            assert_eq!(wire.sending.waiting(), 0, "at the end of the turn all has left");
        }
        // The first turn does not know what is to come.
        assert_eq!(waits, [1, 0, 0, 0, FEW + 1, 1, 0]);
        wire.shutdown().await.expect("an end");
    });
    assert_eq!(read.join().expect("the reader"), b"piece ".repeat(4 + 3 * FEW + 2));
}

#[test]
fn an_end_comes_behind_what_was_written() {
    let (socket, read) = pair(Duration::ZERO);
    on_core(async {
        let mut wire = wire_of(socket).await;
        wire.write_all(b"last words").await.expect("room");
        wire.shutdown().await.expect("an end");
        assert_eq!(read.join().expect("the reader"), b"last words");
    });
}

#[test]
fn a_socket_that_is_taken_off_has_sent_all() {
    let (socket, read) = pair(Duration::ZERO);
    on_core(async {
        let mut wire = wire_of(socket).await;
        wire.write_all(b"on this core").await.expect("room");
        let mut wire = wire_of(wire.into_std().expect("the socket")).await;
        wire.write_all(b", and on that").await.expect("room");
        wire.shutdown().await.expect("an end");
    });
    assert_eq!(read.join().expect("the reader"), b"on this core, and on that");
}

#[test]
fn a_peer_that_is_gone_has_been_sent_nothing_of_what_waited() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let socket = std::net::TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    socket.set_nonblocking(true).expect("a socket");
    on_core(async {
        let mut wire = wire_of(socket).await;
        for _ in 0..=FEW {
            wire.write_all(b"unread").await.expect("room");
        }
        yield_now().await;
        // What lies unread in a socket that is closed has the kernel reset the connection.
        drop(listener.accept().expect("the other end"));
        for _ in 0..1000 {
            if wire.sent_nothing() {
                break;
            }
            for _ in 0..=FEW {
                let _ = wire.write_all(b"more").await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(wire.sent_nothing());
        assert!(wire.write_all(b"no more").await.is_err());
    });
}

#[test]
fn a_piece_that_leaves_at_once_to_a_peer_that_is_gone_is_an_error_for_whoever_writes_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let socket = std::net::TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    socket.set_nonblocking(true).expect("a socket");
    on_core(async {
        let mut wire = wire_of(socket).await;
        // A turn of few pieces: those that follow leave at once.
        wire.write_all(b"unread").await.expect("room");
        yield_now().await;
        drop(listener.accept().expect("the other end"));
        let mut failed = false;
        for _ in 0..1000 {
            failed = wire.write_all(b"more").await.is_err();
            if failed {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(failed);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Short and long pieces, with turns between them, to a reader that comes late: all arrives, in order.
    #[test]
    fn all_that_is_written_arrives_in_order(pieces in prop::collection::vec((0..60_000_usize, any::<bool>()), 1..120)) {
        let (socket, read) = pair(Duration::from_millis(5));
        let all: Vec<u8> = (0..251).cycle().take(pieces.iter().map(|(length, _)| length).sum()).collect();
        on_core(async {
            let mut wire = wire_of(socket).await;
            let mut at = 0;
            for (length, yields) in &pieces {
                // Few are long.
                let length = if at % 3 == 0 { *length } else { *length / 100 };
                let end = (at + length).min(all.len());
                wire.write_all(&all[at..end]).await.expect("room");
                at = end;
                if *yields {
                    yield_now().await;
                }
            }
            wire.write_all(&all[at..]).await.expect("room");
            wire.flush().await.expect("room");
            wire.shutdown().await.expect("an end");
        });
        prop_assert!(read.join().expect("the reader") == all);
    }
}
