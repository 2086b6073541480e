use std::future::Future;
use std::pin::pin;

use super::*;

const BOUNDS: Bounds = Bounds { events: 2, bytes: 1000 };

fn line() -> Arc<Line> {
    Arc::new(Line::new(5, BOUNDS, Arc::default()))
}

fn now(reading: &mut Reading) -> Option<String> {
    let mut context = Context::from_waker(Waker::noop());
    match reading.poll_next(&mut context) {
        Poll::Ready(event) => Some(String::from_utf8(event?.text.to_vec()).unwrap()),
        Poll::Pending => None,
    }
}

fn is_done(future: std::pin::Pin<&mut impl Future>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn events_have_the_line_s_ids_and_a_place_before_the_first() {
    let line = line();
    let mut reading = line.read();
    assert!(!line.lock().told);
    assert_eq!(reading.place(), "id: 5.0\nevent: message\ndata: \n\n");
    line.say(b"{\r\n}");
    assert_eq!(now(&mut reading).unwrap(), "id: 5.1\nevent: message\ndata: {  }\n\n");
    assert_eq!(line.aside(b"{}"), "id: 5.1\nevent: message\ndata: {}\n\n");
}

#[test]
fn who_speaks_waits_for_a_slow_reader_until_it_reads_or_leaves() {
    let line = line();
    let mut reading = line.read();
    for _ in 0..2 {
        line.say(b"x");
    }
    assert!(line.try_say(b"x").is_err());
    let mut said = pin!(line.say_in_turn(b"y"));
    assert!(!is_done(said.as_mut()));
    assert!(now(&mut reading).is_some());
    assert!(is_done(said.as_mut()));
    let mut said = pin!(line.say_in_turn(b"z"));
    assert!(!is_done(said.as_mut()));
    drop(reading);
    assert!(is_done(said.as_mut()));
    assert!(line.is_within_reach(), "its client knows of an event to come back to");
}

#[test]
fn a_client_that_was_told_of_nothing_is_out_of_reach_once_it_leaves() {
    let line = line();
    let reading = line.read();
    line.say(b"x");
    assert!(line.is_within_reach());
    drop(reading);
    assert!(!line.is_within_reach());
    assert_eq!(line.shrink(), ["x"]);
}

#[test]
fn a_client_that_sees_no_ids_is_out_of_reach_once_it_leaves() {
    let line = line();
    line.hide_ids();
    let mut reading = line.read();
    line.say(b"x");
    let mut left = pin!(line.out_of_reach());
    assert!(!is_done(left.as_mut()));
    assert!(now(&mut reading).is_some() && line.is_within_reach());
    assert!(!is_done(left.as_mut()));
    drop(reading);
    assert!(!line.is_within_reach() && is_done(left.as_mut()));
}

#[test]
fn what_is_kept_is_counted() {
    let tally = Arc::<Tally>::default();
    let lines = [1, 2].map(|number| Line::new(number, BOUNDS, Arc::clone(&tally)));
    for line in &lines {
        line.say(&[b'x'; 100]);
    }
    assert_eq!(tally.here(), 2 * (100 + OVERHEAD));
    lines[0].say_in_place(&[b'x'; 2000]);
    assert_eq!(tally.here(), 2100 + 2 * OVERHEAD);
    lines[0].shrink();
    assert_eq!(tally.here(), 100 + OVERHEAD);
    drop(lines);
    assert_eq!(tally.here(), 0);
}
