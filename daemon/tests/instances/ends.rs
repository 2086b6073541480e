//! Every way in which one instance ends.

use bytes::Bytes;
use rustix::process::Signal;
use toolgated::instance::notice::{Cause, Exit};
use toolgated::servers::stdio::connection::{Line, OpenCause, Reader, Writer};

use super::census::{descriptors, eventually, kill};
use super::keeper::{Keeper, run};

/// Answers every line with itself.
pub(crate) const ECHO: &[&str] = &["cat"];
/// Echoes, and goes on after the end of its input.
pub(crate) const DEAF: &[&str] = &["sh", "-c", "trap '' TERM HUP INT; cat; while :; do sleep 600; done"];
/// Echoes, and leaves processes in sessions of their own, without parent.
pub(crate) const FORKING: &[&str] = &[
    "sh",
    "-c",
    "setsid sh -c 'trap \"\" TERM HUP; (setsid sleep 600 &) ; sleep 600' </dev/null >/dev/null 2>&1 & exec cat",
];

/// Sends a line and waits for it, so that the command surely runs.
pub(crate) async fn echo(reader: &mut Reader, writer: &Writer) {
    let line = Bytes::from_static(b"{\"id\":1}");
    writer.send(line.clone()).await.unwrap();
    assert_eq!(reader.next().await, Some(Line::Message(line)));
}

pub(crate) async fn exit_of(reader: &mut Reader) -> Exit {
    loop {
        match reader.next().await {
            Some(Line::Exited(exit)) => return exit,
            Some(_) => {}
            None => panic!("the connection ended without an exit"),
        }
    }
}

#[test]
fn the_end_of_input_ends_it() {
    let keeper = Keeper::start(&[("echo", ECHO)]);
    run(async {
        let (hello, mut reader, writer) = keeper.open("echo").await.unwrap();
        assert_eq!(hello.server, "echo");
        echo(&mut reader, &writer).await;
        writer.end();
        let exit = exit_of(&mut reader).await;
        assert_eq!(exit, Exit { cause: Cause::Hangup, status: Some(0), ..Exit::default() });
    });
    keeper.eventually_nothing_is_left();
    keeper.stop();
}

#[test]
fn who_ignores_the_end_of_input_is_killed() {
    let keeper = Keeper::start(&[("deaf", DEAF)]);
    run(async {
        let (_, mut reader, writer) = keeper.open("deaf").await.unwrap();
        echo(&mut reader, &writer).await;
        writer.end();
        let exit = exit_of(&mut reader).await;
        assert_eq!((exit.cause, exit.signal), (Cause::Hangup, Some(9)));
    });
    keeper.eventually_nothing_is_left();
}

#[test]
fn descendants_in_other_sessions_end_with_it() {
    let keeper = Keeper::start(&[("forking", FORKING)]);
    run(async {
        let (_, mut reader, writer) = keeper.open("forking").await.unwrap();
        echo(&mut reader, &writer).await;
        eventually("the command has forked", || keeper.left().len() >= 4);
        writer.end();
        assert_eq!(exit_of(&mut reader).await.status, Some(0));
    });
    keeper.eventually_nothing_is_left();
}

#[test]
fn a_killed_wrapper_leaves_nothing_and_harms_no_other() {
    let keeper = Keeper::start(&[("forking", FORKING), ("echo", ECHO)]);
    run(async {
        let (hello, mut reader, writer) = keeper.open("forking").await.unwrap();
        let (_, mut other, other_writer) = keeper.open("echo").await.unwrap();
        echo(&mut reader, &writer).await;
        echo(&mut other, &other_writer).await;
        eventually("the command has forked", || keeper.left().len() >= 6);
        kill(hello.pid, Signal::KILL);
        while reader.next().await.is_some() {}
        eventually("a wrapper and its command are left", || keeper.left().len() == 2);
        echo(&mut other, &other_writer).await;
    });
    keeper.eventually_nothing_is_left();
}

#[test]
fn a_crash_is_told_with_its_last_words() {
    let crash: &[&str] =
        &["sh", "-c", "read line; for i in $(seq 60); do echo \"line $i\" >&2; done; printf unfinished; kill -SEGV $$"];
    let keeper = Keeper::start(&[("crash", crash)]);
    run(async {
        let (_, mut reader, writer) = keeper.open("crash").await.unwrap();
        writer.send(Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(reader.next().await, Some(Line::Message(Bytes::from_static(b"unfinished"))));
        let exit = exit_of(&mut reader).await;
        assert_eq!((exit.cause, exit.signal), (Cause::Exited, Some(11)));
        assert_eq!(exit.stderr.len(), 50);
        assert_eq!(exit.stderr.last().map(String::as_str), Some("line 60"));
    });
    eventually("its lines are in the log", || keeper.log().contains("crash: line 60"));
}

#[test]
fn a_program_that_does_not_exist_says_so() {
    let keeper = Keeper::start(&[("absent", &["/nonexistent/program"])]);
    run(async {
        let (_, mut reader, _writer) = keeper.open("absent").await.unwrap();
        let exit = exit_of(&mut reader).await;
        assert_eq!(exit.cause, Cause::Failed);
        assert!(exit.error.unwrap().contains("/nonexistent/program"));
    });
    keeper.eventually_nothing_is_left();
}

#[test]
fn stopping_the_keeper_ends_every_instance() {
    let keeper = Keeper::start(&[("deaf", DEAF), ("forking", FORKING)]);
    run(async {
        let (_, mut deaf, deaf_writer) = keeper.open("deaf").await.unwrap();
        let (_, mut forking, forking_writer) = keeper.open("forking").await.unwrap();
        echo(&mut deaf, &deaf_writer).await;
        echo(&mut forking, &forking_writer).await;
        keeper.signal(Signal::TERM);
        assert_eq!(exit_of(&mut forking).await.cause, Cause::Stopped);
        assert_eq!(exit_of(&mut deaf).await.cause, Cause::Stopped);
    });
    let socket = keeper.socket("deaf");
    keeper.stop();
    assert!(!socket.exists());
}

#[test]
fn killing_the_keeper_ends_every_instance() {
    let mut keeper = Keeper::start(&[("deaf", DEAF)]);
    run(async {
        let (_, mut reader, writer) = keeper.open("deaf").await.unwrap();
        echo(&mut reader, &writer).await;
        keeper.signal(Signal::KILL);
        keeper.process.wait().unwrap();
        assert_eq!(exit_of(&mut reader).await.cause, Cause::Stopped);
    });
    keeper.eventually_nothing_is_left();
}

#[test]
fn beyond_the_maximum_a_connection_is_closed_at_once() {
    let keeper = Keeper::start(&[("one", ECHO)]);
    run(async {
        // One, and two that find out what the server offers.
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(keeper.open("one").await.unwrap());
        }
        let refused = keeper.open("one").await.unwrap_err();
        assert!(matches!(refused.cause, OpenCause::Full), "{refused}");
        drop(open);
    });
    keeper.eventually_nothing_is_left();
    run(async {
        let (_, mut reader, writer) = keeper.open("one").await.unwrap();
        echo(&mut reader, &writer).await;
    });
}

#[test]
fn a_reload_adds_and_removes_sockets_and_leaves_instances_alone() {
    let keeper = Keeper::start(&[("echo", ECHO), ("old", ECHO)]);
    run(async {
        let (_, mut reader, writer) = keeper.open("old").await.unwrap();
        echo(&mut reader, &writer).await;
        keeper.reload(&[("echo", ECHO), ("new", ECHO)]);
        eventually("the new socket exists", || keeper.socket("new").exists());
        assert!(!keeper.socket("old").exists());
        echo(&mut reader, &writer).await;
        let (_, mut new, new_writer) = keeper.open("new").await.unwrap();
        echo(&mut new, &new_writer).await;
    });
}

#[test]
fn a_reload_that_cannot_be_used_changes_nothing() {
    let keeper = Keeper::start(&[("echo", ECHO)]);
    keeper.reload(&[("Not A Name", ECHO)]);
    eventually("the refusal is in the log", || keeper.log().contains("nothing was changed"));
    run(async {
        let (_, mut reader, writer) = keeper.open("echo").await.unwrap();
        echo(&mut reader, &writer).await;
    });
}

#[test]
fn an_instance_costs_the_keeper_no_descriptor() {
    let keeper = Keeper::start(&[("echo", ECHO)]);
    let before = descriptors(keeper.pid());
    run(async {
        let (_, mut reader, writer) = keeper.open("echo").await.unwrap();
        echo(&mut reader, &writer).await;
        eventually("the accepted connection was passed on", || descriptors(keeper.pid()) == before);
    });
    keeper.eventually_nothing_is_left();
    assert_eq!(descriptors(keeper.pid()), before);
}
