//! Floods end, honest clients do not notice, and the cuts of the bytes do not matter.

use std::cell::Cell;

use proptest::prelude::*;

use super::*;

const NOW: Duration = Duration::ZERO;

fn frame(kind: u8, flags: u8, stream: u32, payload: usize) -> Vec<u8> {
    let length = u32::try_from(payload).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.resize(HEADER + payload, 0xff);
    frame
}

fn request(stream: u32) -> Vec<u8> {
    [frame(1, END_HEADERS, stream, 40), frame(0, 1, stream, 247)].concat()
}

fn begun() -> Frames {
    let mut frames = Frames::default();
    frames.feed(PREFACE, || NOW).expect("the preface");
    frames
}

/// How many of these frames are taken.
fn taken(frames: &mut Frames, flood: &[u8]) -> usize {
    (0..100_000).find(|_| frames.feed(flood, || NOW).is_err()).expect("it ends")
}

#[test]
fn every_flood_ends_within_a_thousand_frames() {
    let table = [
        (frame(0, 0, 1, 0), Kind::Data, 1000),
        (frame(0, 0, 1, 15), Kind::Data, 1000),
        (frame(0, PADDED, 1, 271), Kind::Data, 1000),
        (frame(2, 0, 1, 5), Kind::Priority, 1000),
        (frame(3, 0, 1, 4), Kind::Reset, 200),
        (frame(4, 0, 0, 6), Kind::Settings, 100),
        (frame(5, 0, 1, 4), Kind::Push, 1000),
        (frame(6, 0, 0, 8), Kind::Ping, 500),
        (frame(7, 0, 0, 8), Kind::Goaway, 1000),
        (frame(8, 0, 0, 4), Kind::WindowUpdate, 1000),
        (frame(9, 0, 1, 10), Kind::Continuation, 250),
        (frame(0x10, 0, 0, 10), Kind::Unknown, 1000),
        (frame(0xff, 0, 0, 0), Kind::Unknown, 1000),
    ];
    for (flood, kind, most) in table {
        let mut frames = begun();
        assert_eq!(taken(&mut frames, &flood), most, "{kind:?}");
        assert_eq!(frames.feed(&request(1), || NOW), Err(Breach::Flood(kind)), "and nothing after it");
        assert_eq!(frames.count(kind), u32::try_from(most).expect("few") + 1);
    }
}

#[test]
fn requests_that_are_given_up_at_once_end_as_well() {
    let pair = [frame(1, END_HEADERS, 1, 40), frame(3, 0, 1, 4)].concat();
    assert_eq!(taken(&mut begun(), &pair), 332);
}

#[test]
fn pings_do_not_pay_for_pings_by_their_answers() {
    let mut frames = begun();
    let flood = frame(6, 0, 0, 8);
    let pings = (0..100_000).find(|_| {
        frames.answered(17);
        frames.feed(&flood, || NOW).is_err()
    });
    assert!(pings.is_some_and(|pings| pings < 1000), "{pings:?}");
}

#[test]
fn a_flood_after_a_long_answer_ends_too() {
    let mut frames = begun();
    frames.answered(1 << 30);
    assert!(taken(&mut frames, &frame(8, 0, 0, 4)) <= 2024);
}

/// Frames of a client that makes calls as fast as it can: none of them may ever be refused.
#[test]
fn honest_clients_never_meet_the_budget() {
    let mut streams = (1..).step_by(2);
    let mut turn = |each: &dyn Fn(u32) -> Vec<u8>, answer: usize| {
        let mut frames = begun();
        for stream in streams.by_ref().take(50_000) {
            frames.feed(&request(stream), || NOW).expect("a request");
            frames.answered(answer);
            frames.feed(&each(stream), || NOW).expect("what belongs to it");
        }
    };
    // The answer's bytes are acknowledged twice, for the stream and for the connection.
    turn(&|stream| [frame(8, 0, stream, 4), frame(8, 0, 0, 4)].concat(), 60);
    // Every request is given a priority, in a frame of either kind.
    turn(&|stream| frame(2, 0, stream, 5), 60);
    turn(&|stream| [frame(0x10, 0, 0, 8), frame(8, 0, stream, 4)].concat(), 60);
    // The round trip is measured at each answer.
    turn(&|_| frame(6, 0, 0, 8), 300);
    // A body comes in small pieces, and its end is a frame of its own.
    turn(&|stream| [frame(0, 0, stream, 16), frame(0, 0, stream, 16), frame(0, 1, stream, 0)].concat(), 60);
}

#[test]
fn time_gives_points_back() {
    let mut frames = begun();
    let clock = Cell::new(NOW);
    let ping = frame(6, 0, 0, 8);
    // 40 a second for an hour.
    for _ in 0..40 * 3600 {
        clock.set(clock.get() + Duration::from_millis(25));
        frames.feed(&ping, || clock.get()).expect("a ping");
    }
    // Never more than the budget, however long it was quiet.
    clock.set(clock.get() + Duration::from_secs(86_400));
    let pings = (0..2000).find(|_| frames.feed(&ping, || clock.get()).is_err());
    assert_eq!(pings, Some(500));
}

#[test]
fn the_clock_is_not_asked_where_nothing_has_a_price() {
    let mut frames = begun();
    for stream in (1..2001).step_by(2) {
        frames.feed(&request(stream), || unreachable!("a request has no price")).expect("a request");
    }
    assert_eq!(frames.last_stream(), 1999);
}

#[test]
fn what_is_no_http2_is_refused_at_the_byte() {
    assert_eq!(Frames::default().feed(b"GET / HTTP/1.1\r\n", || NOW), Err(Breach::Preface));
    assert_eq!(Frames::default().feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\t", || NOW), Err(Breach::Preface));
    assert_eq!(begun().feed(&frame(0, 0, 1, 16_384), || NOW), Ok(()));
    assert_eq!(begun().feed(&frame(0, 0, 1, 16_385)[..HEADER], || NOW), Err(Breach::FrameTooLong));
}

#[test]
fn goaway_says_why_and_up_to_which_stream() {
    let goaway = Breach::Flood(Kind::Ping).goaway(0x0102_0305);
    assert_eq!(goaway, [0, 0, 8, 7, 0, 0, 0, 0, 0, 1, 2, 3, 5, 0, 0, 0, 0xb]);
    for breach in [Breach::Preface, Breach::FrameTooLong, Breach::Flood(Kind::Unknown)] {
        assert!(breach.to_string().starts_with("the client "));
    }
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, number);
    }
}

proptest! {
    #[test]
    fn the_verdict_does_not_depend_on_the_cuts(
        pieces in proptest::collection::vec((0_u8..12, any::<u8>(), 0_usize..300), 0..200),
        junk in proptest::collection::vec(any::<u8>(), 0..40),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
    ) {
        let mut input = PREFACE.to_vec();
        for (kind, flags, length) in pieces {
            input.extend(frame(kind, flags, 1, length));
        }
        input.extend(junk);
        let outcome = |parts: &[&[u8]]| {
            let mut frames = Frames::default();
            let verdict = parts.iter().try_for_each(|part| frames.feed(part, || NOW));
            (verdict, frames.counts, frames.points)
        };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|range| &input[range[0]..range[1]]).collect();
        prop_assert_eq!(outcome(&parts), outcome(&[&input]));
    }
}
