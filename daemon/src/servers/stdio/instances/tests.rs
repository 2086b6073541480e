use std::cell::Cell;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use super::*;
use crate::config::settings;
use crate::instance::notice::{self, Hello};
use crate::servers::stdio::link::{Arrival, Reply};
use crate::servers::stdio::wear::Renewed;

/// Who stands behind the socket: starts instances, each of which ends when it is told to.
struct Peer {
    started: Cell<usize>,
    begun: Notify,
    /// Each start is held back until there is a permit.
    go: Semaphore,
    /// Makes one instance end by itself.
    crash: Notify,
    /// Makes all end right after their start.
    crashing: Cell<bool>,
    /// How long one that was told to end takes for it.
    lingers: Cell<Duration>,
    ended: Cell<usize>,
}

impl Peer {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            started: Cell::new(0),
            begun: Notify::new(),
            go: Semaphore::new(0),
            crash: Notify::new(),
            crashing: Cell::new(false),
            lingers: Cell::default(),
            ended: Cell::new(0),
        })
    }

    fn let_go(&self, starts: usize) {
        self.go.add_permits(starts);
    }

    async fn accept(self: Rc<Self>, listener: UnixListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            self.started.set(self.started.get() + 1);
            tokio::task::spawn_local(Rc::clone(&self).serve(stream));
        }
    }

    async fn serve(self: Rc<Self>, mut stream: UnixStream) {
        self.begun.notify_one();
        self.go.acquire().await.unwrap().forget();
        let hello = notice::line(&Hello { server: "files".to_owned(), pid: 7, cgroup: None });
        stream.write_all(&hello).await.unwrap();
        let mut buffer = [0; 64];
        let echo = async {
            loop {
                match stream.read(&mut buffer).await.unwrap() {
                    0 => return sleep(self.lingers.get()).await,
                    read => stream.write_all(&buffer[..read]).await.unwrap(),
                }
            }
        };
        tokio::select! {
            () = echo, if !self.crashing.get() => {}
            () = self.crash.notified(), if !self.crashing.get() => {}
            else => {}
        }
        self.ended.set(self.ended.get() + 1);
    }
}

fn play<F: Future<Output = ()>>(max: usize, test: impl FnOnce(Arc<Instances>, Rc<Peer>) -> F) {
    play_with(max, 0, test);
}

fn play_with<F: Future<Output = ()>>(max: usize, spares: usize, test: impl FnOnce(Arc<Instances>, Rc<Peer>) -> F) {
    play_worn(max, spares, Wear::default(), test);
}

fn play_worn<F: Future<Output = ()>>(
    max: usize,
    spares: usize,
    wear: Wear,
    test: impl FnOnce(Arc<Instances>, Rc<Peer>) -> F,
) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("files.sock");
    let long = Duration::from_secs(60);
    let limits = settings::Instances { per: None, max, spares, idle: long, memory: None, tasks: None, cpu: None, wear };
    let stdio = Stdio {
        command: Vec::new(),
        environment: Vec::new(),
        directory: None,
        access: settings::Access::default(),
        instances: limits,
        line_bytes: 1024,
    };
    let queue = Queue { max_size: 10, timeout: long };
    let instances = Arc::new(Instances::new("files", socket.clone(), &stdio, &queue));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let peer = Peer::new();
        tokio::task::spawn_local(Rc::clone(&peer).accept(UnixListener::bind(&socket).unwrap()));
        timeout(Duration::from_secs(20), test(instances, peer)).await.expect("the test hangs");
    });
}

#[test]
fn callers_at_once_share_one_start() {
    play(5, |instances, peer| async move {
        let go = async {
            peer.begun.notified().await;
            peer.let_go(1);
        };
        let (one, two, ()) =
            tokio::join!(instances.shared("all", Serves::Everybody), instances.shared("all", Serves::Everybody), go);
        assert!(one.unwrap().is_same(&two.unwrap()));
        assert_eq!((peer.started.get(), instances.count()), (1, 1));
    });
}

#[test]
fn a_client_that_declares_something_else_each_time_takes_few_places() {
    play(20, |instances, peer| async move {
        peer.let_go(20);
        let declared = |number: usize| format!(r#"{{"roots":{{"n":{number}}}}}"#);
        let of =
            async |client: &str, number: usize| instances.shared_as_declared(client, declared(number).as_bytes()).await;
        // Some of them at once: those that are being started count as well.
        let first = tokio::join!(of("key:a", 0), of("key:a", 1), of("key:a", 2), of("key:a", 3));
        let first = first.0.and(first.1).and(first.2).and(first.3).unwrap();
        for number in 4..room::PER_CLIENT {
            of("key:a", number).await.unwrap();
        }
        assert_eq!(of("key:a", 8).await.unwrap_err().kind, Kind::NoRoom);
        assert!(of("key:a", 3).await.unwrap().is_same(&first), "what it declared before is there");
        for client in ["key:ab", "key:b"] {
            of(client, 0).await.unwrap();
        }
        assert_eq!(instances.count(), room::PER_CLIENT + 2, "others have their own");
        // One that idles gives way to its own client's next, and nobody else's does.
        while of("key:a", 8).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
        until(|| peer.ended.get() == 1).await;
        assert_eq!(instances.count(), room::PER_CLIENT + 2);
        for client in ["key:ab", "key:b"] {
            of(client, 0).await.unwrap();
        }
        assert_eq!(peer.started.get(), room::PER_CLIENT + 3);
    });
}

#[test]
fn an_instance_that_ends_makes_room_at_once() {
    play(1, |instances, peer| async move {
        peer.let_go(1);
        let first = instances.shared("one", Serves::Everybody).await.unwrap();
        let end = async {
            first.end();
            peer.begun.notified().await;
            peer.begun.notified().await;
            assert_eq!(peer.ended.get(), 1, "never two at once");
            peer.let_go(1);
        };
        let (second, ()) = tokio::join!(instances.shared("two", Serves::Everybody), end);
        assert!(!second.unwrap().is_ended());
    });
}

#[test]
fn a_crash_makes_room_but_not_for_another_at_once() {
    play(1, |instances, peer| async move {
        peer.let_go(1);
        instances.shared("one", Serves::Everybody).await.unwrap();
        let crash = async { peer.crash.notify_one() };
        let (second, ()) = tokio::join!(instances.shared("two", Serves::Everybody), crash);
        assert_eq!(second.unwrap_err().kind, Kind::ServerUnavailable);
        assert_eq!(peer.started.get(), 1);
    });
}

#[test]
fn a_server_that_is_retired_keeps_no_instance_that_was_being_started() {
    play(5, |instances, peer| async move {
        let retire = async {
            peer.begun.notified().await;
            instances.retire();
            peer.let_go(1);
        };
        let (started, ()) = tokio::join!(instances.shared("all", Serves::Everybody), retire);
        assert_eq!(started.unwrap_err().kind, Kind::ServerUnavailable);
        assert_eq!(instances.shared("all", Serves::Everybody).await.unwrap_err().kind, Kind::ServerUnavailable);
        assert_eq!((peer.started.get(), instances.count()), (1, 0));
    });
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_start_takes_a_spare_and_another_takes_its_place() {
    play_with(5, 2, |instances, peer| async move {
        instances.keep_spares();
        peer.let_go(2);
        until(|| instances.spares() == Some(2)).await;
        assert_eq!(instances.count(), 2);
        let taken = instances.dedicated(mpsc::channel(1).0).await.unwrap();
        assert!(!taken.is_ended());
        assert_eq!((peer.started.get(), instances.spares()), (2, Some(1)), "it did not wait for a start");
        peer.let_go(1);
        until(|| instances.spares() == Some(2)).await;
        assert_eq!(instances.count(), 3);
    });
}

#[test]
fn spares_keep_nobody_from_a_place_and_take_none_beyond_the_maximum() {
    play_with(3, 2, |instances, peer| async move {
        instances.keep_spares();
        peer.let_go(9);
        until(|| instances.spares() == Some(2)).await;
        let mut sessions = Vec::new();
        for _ in 0..3 {
            sessions.push(instances.dedicated(mpsc::channel(1).0).await.unwrap());
        }
        instances.keep_spares();
        until(|| instances.spares() == Some(0)).await;
        assert_eq!((peer.started.get(), instances.count()), (3, 3));
        sessions.pop().unwrap().end();
        // Its place is free once its connection has ended.
        until(|| {
            instances.keep_spares();
            instances.spares() == Some(1)
        })
        .await;
        assert_eq!(instances.count(), 3);
    });
}

#[test]
fn whoever_waits_for_a_place_gets_the_spare_that_took_it() {
    play_with(1, 1, |instances, peer| async move {
        instances.keep_spares();
        peer.begun.notified().await;
        let go = async { peer.let_go(1) };
        let (taken, ()) = tokio::join!(instances.shared("one", Serves::Everybody), go);
        assert!(!taken.unwrap().is_ended());
        assert_eq!((peer.started.get(), instances.spares()), (1, Some(0)));
    });
}

#[test]
fn spares_that_crash_are_not_started_in_a_loop() {
    play_with(5, 1, |instances, peer| async move {
        peer.let_go(100);
        peer.crashing.set(true);
        for _ in 0..1000 {
            instances.sweep();
            instances.keep_spares();
            tokio::task::yield_now().await;
        }
        assert!(peer.started.get() <= 2, "{} starts", peer.started.get());
        assert!(instances.trouble().is_some());
    });
}

#[test]
fn none_are_kept_once_they_were_ended() {
    play_with(5, 2, |instances, peer| async move {
        instances.keep_spares();
        peer.begun.notified().await;
        instances.end_spares();
        peer.let_go(2);
        until(|| peer.ended.get() == 1).await;
        instances.keep_spares();
        assert_eq!((peer.started.get(), instances.spares()), (1, None));
    });
}

#[test]
fn what_an_instance_says_reaches_whom_it_was_taken_for() {
    play_with(5, 1, |instances, peer| async move {
        instances.keep_spares();
        peer.let_go(1);
        until(|| instances.spares() == Some(1)).await;
        let (unasked, mut said) = mpsc::channel(1);
        let taken = instances.dedicated(unasked).await.unwrap();
        taken.send(bytes::Bytes::from_static(br#"{"jsonrpc":"2.0","method":"x"}"#)).await.unwrap();
        assert_eq!(said.recv().await.unwrap(), r#"{"jsonrpc":"2.0","method":"x"}"#, "what the peer echoes");
    });
}

#[test]
fn waiting_for_room_and_for_the_answer_share_one_time() {
    play(1, |instances, peer| async move {
        peer.let_go(1);
        let link = instances.shared("one", Serves::Everybody).await.unwrap();
        let wait = Duration::from_secs(10);
        let reply = link.request(1, bytes::Bytes::from_static(b"{}"), wait).await.unwrap();
        tokio::time::pause();
        let before = reply.left(wait);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(before.checked_sub(reply.left(wait)), Some(Duration::from_secs(4)));
        tokio::time::advance(wait).await;
        assert_eq!(reply.left(wait), Duration::ZERO);
    });
}

/// Longer than an instance has to idle before it gives way.
const LATER: Duration = Duration::from_millis(2500);

#[test]
fn an_instance_that_only_calls_share_gives_way_at_once_and_the_longest_idle_first() {
    play(2, |instances, peer| async move {
        peer.let_go(3);
        let one = instances.shared("one", Serves::Client).await.unwrap();
        let other = instances.shared("other", Serves::Client).await.unwrap();
        let begun = clock::millis();
        until(|| clock::millis() > begun + 5).await;
        one.send(bytes::Bytes::from_static(b"{}")).await.unwrap();
        instances.dedicated(mpsc::channel(1).0).await.unwrap();
        assert!(other.is_ended() && !one.is_ended());
        assert_eq!((instances.count(), peer.ended.get()), (2, 1));
    });
}

#[test]
fn what_somebody_would_miss_does_not_give_way() {
    play(3, |instances, peer| async move {
        peer.let_go(4);
        let calling = instances.shared("calling", Serves::Client).await.unwrap();
        let sessions = instances.shared_by_sessions("sessions").await.unwrap();
        let own = instances.dedicated(mpsc::channel(1).0).await.unwrap();
        let pending = calling.request(calling.mint(), bytes::Bytes::from_static(b"{}"), LATER).await.unwrap();
        let mut waits = std::pin::pin!(instances.dedicated(mpsc::channel(1).0));
        assert!(timeout(LATER, &mut waits).await.is_err(), "all of them are used or young");
        let heard = calling.news().subscribe();
        drop(pending);
        assert!(timeout(LATER, &mut waits).await.is_err(), "somebody listens");
        drop(heard);
        waits.await.unwrap();
        assert!(calling.is_ended() && !sessions.is_ended() && !own.is_ended());
    });
}

#[test]
fn no_more_give_way_than_wait() {
    play(2, |instances, peer| async move {
        peer.let_go(3);
        peer.lingers.set(LATER);
        let one = instances.shared("one", Serves::Client).await.unwrap();
        let other = instances.shared("other", Serves::Client).await.unwrap();
        instances.dedicated(mpsc::channel(1).0).await.unwrap();
        assert!(one.is_ended() != other.is_ended(), "one was enough");
    });
}

/// A request whose echo is its answer.
async fn answered(link: &Link, id: u64) {
    let message = bytes::Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    let mut reply = link.request(id, message, Duration::from_secs(9)).await.unwrap();
    assert!(matches!(reply.next().await, Arrival::Final(_)));
}

/// A request that is never answered.
async fn unanswered(link: &Link, id: u64) -> Reply {
    link.request(id, bytes::Bytes::from_static(b"[]"), Duration::from_secs(9)).await.unwrap()
}

const TWO_CALLS: Wear = Wear { calls: Some(2), age: None, memory: None };

#[test]
fn a_worn_instance_finishes_what_it_began_while_another_takes_what_is_new() {
    play_worn(5, 0, TWO_CALLS, |instances, peer| async move {
        peer.let_go(2);
        let first = instances.shared("all", Serves::Everybody).await.unwrap();
        answered(&first, 1).await;
        instances.sweep();
        assert!(first.is_open(), "one call is not two");
        answered(&first, 2).await;
        let pending = unanswered(&first, 3).await;
        instances.sweep();
        let second = instances.shared("all", Serves::Everybody).await.unwrap();
        assert!(!second.is_same(&first) && !first.is_ended() && !first.is_open());
        drop(pending);
        until(|| {
            instances.sweep();
            peer.ended.get() == 1
        })
        .await;
        assert!(second.is_open());
        assert_eq!((peer.started.get(), instances.count()), (2, 1));
    });
}

#[test]
fn calls_do_not_wear_out_the_instance_of_a_session() {
    play_worn(5, 0, TWO_CALLS, |instances, peer| async move {
        peer.let_go(1);
        let own = instances.dedicated(mpsc::channel(1).0).await.unwrap();
        answered(&own, 1).await;
        answered(&own, 2).await;
        instances.sweep();
        assert!(own.is_open());
        instances.renew(true);
        assert!(!own.is_open() && !own.is_ended(), "but its operator replaces it");
    });
}

#[test]
fn age_wears_out_spares_and_the_instances_of_sessions() {
    let wear = Wear { age: Some(Duration::ZERO), ..Wear::default() };
    play_worn(5, 1, wear, |instances, peer| async move {
        peer.let_go(9);
        instances.keep_spares();
        until(|| instances.spares() == Some(1)).await;
        let own = instances.dedicated(mpsc::channel(1).0).await.unwrap();
        until(|| {
            instances.sweep();
            !own.is_open() && peer.ended.get() >= 1
        })
        .await;
        assert!(instances.trouble().is_none(), "none of them has failed");
    });
}

#[test]
fn who_waits_for_the_only_place_gets_it_as_soon_as_its_holder_is_done() {
    play(1, |instances, peer| async move {
        peer.let_go(2);
        let first = instances.shared("all", Serves::Everybody).await.unwrap();
        let pending = unanswered(&first, 1).await;
        assert_eq!(instances.renew(true), Renewed { ended: 0, leaving: 1 });
        let finish = async {
            tokio::task::yield_now().await;
            assert_eq!(peer.ended.get(), 0, "what is in flight goes on");
            drop(pending);
        };
        let (second, ()) = tokio::join!(instances.shared("all", Serves::Everybody), finish);
        assert!(second.unwrap().is_open());
        assert_eq!((peer.started.get(), peer.ended.get()), (2, 1));
    });
}

#[test]
fn a_restart_ends_all_at_once_and_forgives_what_kept_ending() {
    play(5, |instances, peer| async move {
        peer.let_go(3);
        let one = instances.shared("one", Serves::Everybody).await.unwrap();
        peer.crash.notify_one();
        until(|| {
            instances.sweep();
            instances.trouble().is_some()
        })
        .await;
        assert!(one.is_ended());
        assert_eq!(instances.renew(false), Renewed::default());
        assert!(instances.trouble().is_none());
        instances.shared("one", Serves::Everybody).await.unwrap();
        let two = instances.dedicated(mpsc::channel(1).0).await.unwrap();
        assert_eq!(instances.renew(false), Renewed { ended: 2, leaving: 0 });
        assert!(two.is_ended());
    });
}
