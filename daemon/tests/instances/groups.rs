//! With a delegated control group: what no other means can end.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::census::{eventually, kill};
use super::ends::{FORKING, echo};
use super::keeper::{Keeper, run};

/// Forks children that end at once and live on in their own children, faster than anyone looks.
const RUNNER: &[&str] =
    &["sh", "-c", "f='sh -c \"$0\" \"$0\" &'; setsid sh -c \"$f\" \"$f\" </dev/null >/dev/null 2>&1 & exec cat"];

/// A group that is removed with the test.
struct Delegated(PathBuf);

impl Delegated {
    /// `None`, and said so, where this machine lets nobody make groups.
    fn make(name: &str) -> Option<Self> {
        for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
            let path = Path::new(root).join(format!("test-{name}-{}", std::process::id()));
            if Path::new(root).join("cgroup.procs").exists() && fs::create_dir(&path).is_ok() {
                if path.join("cgroup.kill").exists() {
                    return Some(Self(path));
                }
                let _ = fs::remove_dir(&path);
            }
        }
        eprintln!("skipped: no control group of version 2 can be made here");
        None
    }

    /// A command that joins the group and becomes its arguments.
    fn prefix(&self) -> [String; 4] {
        [
            "sh".into(),
            "-c".into(),
            "echo 0 > \"$0/cgroup.procs\" && exec \"$@\"".into(),
            self.0.to_str().unwrap().into(),
        ]
    }

    fn groups(&self) -> usize {
        fs::read_dir(&self.0).unwrap().filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir())).count()
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        eventually("the group of the test is gone", || {
            for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
                let _ = fs::remove_dir(entry.path());
            }
            fs::remove_dir(&self.0).is_ok()
        });
    }
}

#[test]
fn a_killed_wrapper_leaves_nothing_and_its_group_is_removed() {
    let Some(delegated) = Delegated::make("wrapper") else { return };
    let prefix = delegated.prefix();
    let keeper = Keeper::start_by(&prefix.each_ref().map(String::as_str), &[("forking", FORKING)]);
    assert!(keeper.log().contains("control groups below"), "{}", keeper.log());
    run(async {
        let (hello, mut reader, writer) = keeper.open("forking").await.unwrap();
        echo(&mut reader, &writer).await;
        assert_eq!(delegated.groups(), 1);
        kill(hello.pid, Signal::KILL);
        while reader.next().await.is_some() {}
    });
    keeper.eventually_nothing_is_left();
    eventually("its group is removed", || delegated.groups() == 0);
    keeper.stop();
}

#[test]
fn a_chain_that_forks_faster_than_it_is_killed_ends_too() {
    let Some(delegated) = Delegated::make("chain") else { return };
    let prefix = delegated.prefix();
    let keeper = Keeper::start_by(&prefix.each_ref().map(String::as_str), &[("runner", RUNNER)]);
    run(async {
        let (hello, mut reader, writer) = keeper.open("runner").await.unwrap();
        echo(&mut reader, &writer).await;
        kill(hello.pid, Signal::KILL);
        while reader.next().await.is_some() {}
    });
    keeper.eventually_nothing_is_left();
    eventually("its group is removed", || delegated.groups() == 0);
}

#[test]
fn what_was_left_when_all_were_killed_is_ended_by_the_next_keeper() {
    let Some(delegated) = Delegated::make("next") else { return };
    let prefix = delegated.prefix();
    let prefix = prefix.each_ref().map(String::as_str);
    let mut keeper = Keeper::start_by(&prefix, &[("forking", FORKING)]);
    run(async {
        let (hello, mut reader, writer) = keeper.open("forking").await.unwrap();
        echo(&mut reader, &writer).await;
        eventually("the command has forked", || keeper.left().len() >= 4);
        // Stopped first, so that the one cannot see the other end.
        kill(hello.pid, Signal::STOP);
        kill(keeper.pid(), Signal::KILL);
        kill(hello.pid, Signal::KILL);
        keeper.process.wait().unwrap();
    });
    assert!(!keeper.left().is_empty(), "there must be something to end");
    keeper.start_again_by(&prefix);
    keeper.eventually_nothing_is_left();
    eventually("their group is removed", || delegated.groups() == 0);
}
