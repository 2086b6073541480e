//! A great many sessions, every kind of end, and a count of what is left.
//!
//! 200 by default; `TOOLGATE_SESSIONS=1000` is the number that the project promises.

use std::rc::Rc;

use rustix::process::Signal;
use tokio::sync::Semaphore;

use super::census::{descriptors, kill};
use super::ends::{DEAF, ECHO, FORKING, echo};
use super::keeper::{Keeper, run};

/// Sessions open at once.
const AT_ONCE: usize = 32;

#[test]
fn many_sessions_leave_no_process_and_no_descriptor() {
    let sessions: usize =
        std::env::var("TOOLGATE_SESSIONS").map_or(200, |text| text.parse().expect("TOOLGATE_SESSIONS is a number"));
    let keeper = Keeper::start(&[("echo", ECHO), ("deaf", DEAF), ("forking", FORKING)]);
    let before = descriptors(keeper.pid());
    let keeper = Rc::new(keeper);
    let at_once = Rc::new(Semaphore::new(AT_ONCE));
    for batch in 0..sessions.div_ceil(100) {
        let batch = batch * 100..sessions.min((batch + 1) * 100);
        run(async {
            let tasks: Vec<_> = batch
                .map(|number| tokio::task::spawn_local(session(number, Rc::clone(&keeper), Rc::clone(&at_once))))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
    keeper.eventually_nothing_is_left();
    assert_eq!(descriptors(keeper.pid()), before);
    Rc::into_inner(keeper).unwrap().stop();
}

/// Opened, used, and dropped or killed.
async fn session(number: usize, keeper: Rc<Keeper>, at_once: Rc<Semaphore>) {
    let _permit = at_once.acquire().await.unwrap();
    let name = ["echo", "forking", "deaf"][number % 3];
    let (hello, mut reader, writer) = keeper.open(name).await.unwrap();
    if !number.is_multiple_of(5) {
        echo(&mut reader, &writer).await;
    }
    if number.is_multiple_of(4) {
        kill(hello.pid, Signal::KILL);
    }
    if number.is_multiple_of(2) {
        writer.end();
        while reader.next().await.is_some() {}
    }
}
