use proptest::prelude::*;

use super::*;

const SMALL: Bounds = Bounds { events: 4, bytes: 100 };

fn filled(events: u64) -> Stream<u64> {
    let mut stream = Stream::new(SMALL);
    for number in 1..=events {
        assert_eq!(stream.append(number, 1).0, number);
    }
    stream
}

fn rest(stream: &mut Stream<u64>, reader: u64) -> Vec<u64> {
    std::iter::from_fn(|| match stream.next(reader) {
        Next::Event(event) => Some(event),
        _ => None,
    })
    .collect()
}

#[test]
fn a_reader_goes_on_after_the_event_that_it_names() {
    let mut stream = filled(4);
    for after in 0..=4 {
        let reader = stream.resume(after).unwrap();
        assert_eq!(rest(&mut stream, reader), (after + 1..=4).collect::<Vec<_>>());
        assert_eq!(stream.next(reader), Next::Wait);
    }
    let reader = stream.resume(4).unwrap();
    stream.end();
    assert_eq!(stream.next(reader), Next::Over);
}

#[test]
fn what_is_gone_or_was_never_there_is_told() {
    let mut stream = filled(6);
    assert_eq!(stream.resume(1), Err(Unresumable::Lost));
    assert_eq!(stream.resume(7), Err(Unresumable::Unknown));
    assert!(stream.resume(2).is_ok());
    let reader = stream.resume_with_gaps(0).unwrap();
    assert_eq!(rest(&mut stream, reader), [3, 4, 5, 6]);
    assert_eq!(stream.resume_with_gaps(7), Err(Unresumable::Unknown));
}

#[test]
fn a_later_reader_takes_the_stream_over() {
    let mut stream = filled(2);
    let first = stream.attach();
    assert_eq!(stream.next(first), Next::Event(1));
    let second = stream.attach();
    assert_eq!(stream.next(first), Next::Replaced);
    stream.detach(first);
    assert!(stream.is_read(), "an earlier reader's end is none of the later one's");
    assert_eq!(rest(&mut stream, second), [2]);
}

#[test]
fn what_the_reader_has_gives_way_before_what_it_has_not() {
    let mut stream = filled(4);
    let reader = stream.attach();
    assert!(!stream.has_room(1));
    assert_eq!(stream.next(reader), Next::Event(1));
    assert!(stream.has_room(1));
    assert_eq!(stream.append(5, 1), (5, vec![]));
    assert!(!stream.has_room(1));
    stream.detach(reader);
    assert!(stream.has_room(1), "nobody reads, so nobody is waited for");
    assert_eq!(stream.append(6, 1), (6, vec![2]));
}

#[test]
fn what_has_no_room_exceeds_the_bounds_or_takes_the_oldest_one_s_place() {
    for (in_place, expected) in [(false, vec![1, 2, 3, 4, 5]), (true, vec![2, 3, 4, 5])] {
        let mut stream = filled(4);
        let reader = stream.attach();
        let (_, lost) = if in_place { stream.append_in_place(5, 1) } else { stream.append(5, 1) };
        assert_eq!(lost.len(), 5 - expected.len());
        assert_eq!(rest(&mut stream, reader), expected);
        stream.append(6, 1);
        assert_eq!(stream.kept.len(), 4);
    }
}

#[test]
fn bytes_are_bounded_and_a_long_event_is_kept_alone() {
    let mut stream = Stream::new(SMALL);
    let reader = stream.attach();
    stream.append("a", 60);
    assert!(!stream.has_room(41));
    assert!(stream.has_room(40));
    assert_eq!(stream.next(reader), Next::Event("a"));
    assert!(stream.has_room(1000));
    stream.append("long", 1000);
    assert_eq!(stream.bytes(), 1000);
    assert!(!stream.has_room(1));
}

#[test]
fn shrinking_leaves_what_the_reader_is_about_to_get() {
    let mut stream = filled(4);
    let reader = stream.attach();
    assert_eq!(stream.next(reader), Next::Event(1));
    assert_eq!(stream.shrink(), [0_u64; 0]);
    assert_eq!(stream.bytes(), 3);
    assert_eq!(stream.unhanded().copied().collect::<Vec<_>>(), [2, 3, 4]);
    stream.detach(reader);
    assert_eq!(stream.shrink(), [2, 3, 4]);
    assert_eq!((stream.bytes(), stream.resume(3)), (0, Err(Unresumable::Lost)));
    assert!(stream.resume(4).is_ok(), "who has everything misses nothing");
}

/// What may happen to a stream and its client.
#[derive(Debug, Clone)]
enum Deed {
    Say(usize),
    Read(usize),
    /// The connection breaks; this many of the events that were handed over last did not arrive.
    Cut(usize),
    Resume,
    Shrink,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (1_usize..60).prop_map(Deed::Say),
        4 => (1_usize..6).prop_map(Deed::Read),
        2 => (0_usize..5).prop_map(Deed::Cut),
        3 => Just(Deed::Resume),
        1 => Just(Deed::Shrink),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// However a client is cut off, it has every event once and in order, or was told of a loss; the
    /// bounds hold but for one long event, and a loss is only told where there was one.
    #[test]
    fn nothing_is_lost_or_doubled_unnoticed(deeds in proptest::collection::vec(deed(), 1..120)) {
        let mut stream = Stream::new(SMALL);
        let mut said: Vec<u64> = Vec::new();
        let mut arrived: Vec<u64> = Vec::new();
        let mut reader = Some(stream.attach());
        for deed in deeds {
            match deed {
                Deed::Say(bytes) => {
                    let fits = stream.has_room(bytes);
                    prop_assert!(fits || reader.is_some());
                    if fits {
                        let unread = said.len() - usize::try_from(stream.handed()).unwrap();
                        let (number, lost) = stream.append(said.len() as u64 + 1, bytes);
                        said.push(number);
                        prop_assert!(lost.is_empty() || reader.is_none());
                        prop_assert!(lost.len() <= unread);
                    }
                }
                Deed::Read(times) => {
                    let Some(reader) = reader else { continue };
                    for _ in 0..times {
                        if let Next::Event(event) = stream.next(reader) {
                            arrived.push(event);
                        }
                    }
                }
                Deed::Cut(missing) => {
                    let Some(gone) = reader.take() else { continue };
                    stream.detach(gone);
                    arrived.truncate(arrived.len().saturating_sub(missing));
                }
                Deed::Resume => {
                    let after = arrived.last().copied().unwrap_or(0);
                    match stream.resume(after) {
                        Ok(number) => reader = Some(number),
                        Err(problem) => {
                            prop_assert_eq!(problem, Unresumable::Lost);
                            prop_assert!(stream.oldest() > after + 1);
                            return Ok(());
                        }
                    }
                }
                Deed::Shrink => drop(stream.shrink()),
            }
            prop_assert!(stream.kept.len() <= SMALL.events);
            prop_assert!(stream.bytes <= SMALL.bytes || stream.kept.len() == 1);
            prop_assert_eq!(stream.bytes, stream.kept.iter().map(|kept| kept.bytes).sum::<usize>());
            if let Some(current) = &stream.reader {
                prop_assert_eq!(current.unread, stream.unread_of(current).map(|kept| kept.bytes).sum::<usize>());
            }
            prop_assert_eq!(&arrived[..], &said[..arrived.len()]);
        }
        let after = arrived.last().copied().unwrap_or(0);
        if let Ok(reader) = stream.resume(after) {
            arrived.extend(rest(&mut stream, reader));
            prop_assert_eq!(arrived, said);
        }
    }
}
