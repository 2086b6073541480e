//! Random logs with random edits: each is found, by number.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Not SHA-256, but good enough to tell lines of a test apart.
fn hash(line: &[u8]) -> Hash {
    let mut hash = Hash::default();
    for lane in 0..4_u64 {
        let mut state = 0xcbf2_9ce4_8422_2325 ^ lane.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in line {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        let at = usize::try_from(lane).expect("small") * 8;
        hash[at..at + 8].copy_from_slice(&state.to_le_bytes());
    }
    hash
}

/// A log of lines with these members, and its head.
fn log(first: Link, bodies: &[String]) -> (Vec<Vec<u8>>, Head) {
    let mut link = first;
    let lines = bodies.iter().map(|body| {
        let mut sealed = Vec::new();
        let members = format!(r#""kind":"call","x":{}"#, crate::json::encode_str(body));
        link.seal(&mut sealed, |out| out.extend_from_slice(members.as_bytes()));
        link = link.next(hash(&sealed));
        sealed
    });
    let lines = lines.collect();
    (lines, Head { link, from: if first.number == 0 { 0 } else { first.number + 1 }, length: 0 })
}

/// Reads files, each of lines, in pieces of this size.
fn verify(files: &[&[Vec<u8>]], head: Option<Head>, piece: usize) -> Verdict {
    let mut verifier = Verifier::new(hash, head);
    for lines in files {
        verifier.file();
        let text: Vec<u8> = lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
        text.chunks(piece).for_each(|piece| verifier.feed(piece));
    }
    verifier.finish()
}

fn first(lines: &[Vec<u8>], head: Head) -> Option<u64> {
    let verdict = verify(&[lines], Some(head), 64);
    verdict.findings.first().map(|finding| finding.number)
}

fn bodies() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(".{0,12}", 3..24)
}

fn number_of(at: usize) -> u64 {
    u64::try_from(at).expect("small") + 1
}

proptest! {
    #[test]
    fn a_log_is_whole_however_it_is_cut_into_files_and_pieces(
        bodies in bodies(), cut in any::<Index>(), piece in 1_usize..200, start in 0_u64..1000,
    ) {
        let before = if start == 0 { Link::default() } else { Link { number: start, hash: hash(b"gone") } };
        let (lines, head) = log(before, &bodies);
        let (one, other) = lines.split_at(cut.index(lines.len() + 1));
        let verdict = verify(&[one, other], Some(head), piece);
        prop_assert!(verdict.is_whole(), "{verdict:?}");
        prop_assert_eq!((verdict.first, verdict.last), (start + 1, head.link));
        prop_assert_eq!((verdict.lines, verdict.unsynced), (number_of(lines.len()) - 1, None));
    }

    #[test]
    fn a_changed_byte_is_found_at_its_line(bodies in bodies(), at in any::<Index>(), byte in any::<Index>(), with in 32_u8..127) {
        let (mut lines, head) = log(Link::default(), &bodies);
        let at = at.index(lines.len());
        let byte = byte.index(lines[at].len());
        prop_assume!(lines[at][byte] != with);
        lines[at][byte] = with;
        prop_assert_eq!(first(&lines, head), Some(number_of(at)), "{:?}", String::from_utf8_lossy(&lines[at]));
    }

    #[test]
    fn a_dropped_line_is_found(bodies in bodies(), at in any::<Index>()) {
        let (mut lines, head) = log(Link::default(), &bodies);
        let at = at.index(lines.len());
        lines.remove(at);
        prop_assert_eq!(first(&lines, head), Some(number_of(at)));
    }

    #[test]
    fn a_cut_tail_is_found_by_the_head(bodies in bodies(), keep in any::<Index>()) {
        let (lines, head) = log(Link::default(), &bodies);
        let keep = keep.index(lines.len());
        let verdict = verify(&[&lines[..keep]], Some(head), 64);
        let missing = Damage::Missing(head.link.number);
        prop_assert_eq!(verdict.findings, [Finding { file: 0, number: number_of(keep), damage: missing }]);
        // Bytes instead of lines.
        let text = [&lines[..keep].concat(), &lines[keep][..lines[keep].len() / 2]].concat();
        let mut verifier = Verifier::new(hash, Some(head));
        verifier.file();
        verifier.feed(&text);
        prop_assert!(!verifier.finish().is_whole());
    }

    #[test]
    fn lines_that_changed_places_are_found(bodies in bodies(), one in any::<Index>(), other in any::<Index>()) {
        let (mut lines, head) = log(Link::default(), &bodies);
        let (one, other) = (one.index(lines.len()), other.index(lines.len()));
        prop_assume!(one != other);
        lines.swap(one, other);
        prop_assert_eq!(first(&lines, head), Some(number_of(one.min(other))));
    }

    #[test]
    fn a_line_that_was_put_in_is_found(bodies in bodies(), at in any::<Index>(), what in 0_u8..4, number in 1_u64..60) {
        let (mut lines, head) = log(Link::default(), &bodies);
        let at = at.index(lines.len());
        let before = if at == 0 { Link::default() } else { Link { number: number_of(at) - 1, hash: hash(&lines[at - 1]) } };
        let line = match what {
            0 => b"{}".to_vec(),
            1 => lines[at].clone(),
            2 => Vec::new(),
            _ => {
                // Linked well, or with a number of its own.
                let mut forged = Vec::new();
                let link = if number > 30 { before } else { Link { number: number + 30, ..before } };
                link.seal(&mut forged, |out| out.extend_from_slice(br#""kind":"forged""#));
                forged
            }
        };
        lines.insert(at, line);
        let found = first(&lines, head).expect("it is found");
        // A second one of a line is told at the second.
        prop_assert_eq!(found, number_of(at));
    }

    #[test]
    fn what_a_crash_left_behind_the_head_is_no_tampering(bodies in bodies(), torn in any::<Index>(), synced in any::<Index>()) {
        let (lines, whole) = log(Link::default(), &bodies);
        let text: Vec<u8> = lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
        // Some lines were promised, some more are there, the last of them in part.
        let synced = synced.index(lines.len()) + 1;
        let promised: usize = lines[..synced].iter().map(|line| line.len() + 1).sum();
        let length = promised + torn.index(text.len() - promised + 1);
        let link = Link { number: number_of(synced) - 1, hash: hash(&lines[synced - 1]) };
        let mut verifier = Verifier::new(hash, Some(Head { link, ..Head::default() }));
        verifier.file();
        verifier.feed(&text[..length]);
        let verdict = verifier.finish();
        prop_assert!(verdict.is_whole(), "{verdict:?}");
        prop_assert!(verdict.last.number >= link.number && verdict.last.number <= whole.link.number);
        let torn = !text[..length].ends_with(b"\n");
        prop_assert_eq!(verdict.unsynced.is_some(), torn);
    }

    #[test]
    fn no_bytes_make_it_panic(files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..3), from in any::<u64>(), number in any::<u64>()) {
        let head = Head { link: Link { number, ..Link::default() }, from, length: number };
        for head in [None, Some(head)] {
            let mut verifier = Verifier::new(hash, head);
            for bytes in &files {
                verifier.file();
                verifier.feed(bytes);
            }
            let _ = verifier.finish();
        }
        prop_assert_eq!(Head::read(head.to_line().as_bytes()), Some(head));
    }
}

#[test]
fn files_that_were_taken_away_are_known_and_others_are_missed() {
    let (lines, head) = log(Link { number: 7, hash: hash(b"gone") }, &["a".into(), "b".into(), "c".into()]);
    assert!(verify(&[&lines], Some(head), 9).is_whole());
    let verdict = verify(&[&lines[1..]], Some(head), 9);
    assert_eq!(verdict.findings, [Finding { file: 0, number: 8, damage: Damage::Missing(8) }]);
    let verdict = verify(&[], Some(head), 9);
    assert_eq!(verdict.findings, [Finding { file: 0, number: 8, damage: Damage::Missing(10) }]);
    assert!(verify(&[&lines[1..2]], None, 9).is_whole(), "a part alone says nothing of the rest");
}

#[test]
fn lines_of_before_the_chain_stay_and_are_bound_by_what_follows() {
    let old =
        [br#"{"number":1,"at_ms":5}"#.to_vec(), br#"{"number":2,"us"#.to_vec(), br#"{"number":2,"at_ms":6}"#.to_vec()];
    let (lines, mut head) = log(Link { number: 2, hash: hash(&old[2]) }, &["a".into(), "b".into()]);
    head.from = 0;
    let all = [old.to_vec(), lines].concat();
    let verdict = verify(&[&all], Some(head), 5);
    assert!(verdict.is_whole() && verdict.unchained == 3, "{verdict:?}");
    let mut changed = all.clone();
    changed[2] = br#"{"number":2,"at_ms":7}"#.to_vec();
    assert_eq!(first(&changed, head), Some(2), "the last of them is bound by the chain");
    let mut late = all;
    late.push(br#"{"number":9,"at_ms":5}"#.to_vec());
    late.push(b"{}".to_vec());
    let ends = Head { link: Link { number: 5, ..head.link }, ..head };
    assert_eq!(first(&late, ends), Some(9), "and none comes later");
}

#[test]
fn a_line_is_an_object_that_begins_with_its_link() {
    let mut line = Vec::new();
    Link { number: 41, hash: [0xab; 32] }.seal(&mut line, |out| out.extend_from_slice(br#""kind":"start""#));
    let text = String::from_utf8(line.clone()).expect("UTF-8");
    assert_eq!(text, format!(r#"{{"number":42,"prev":"{}","kind":"start"}}"#, "ab".repeat(32)));
    assert_eq!(Joint::read(&line), Some(Joint { number: 42, prev: Some([0xab; 32]) }));
    for wrong in
        ["", "{", r#"{"number":}"#, r#"{"number":042,"at_ms":1}"#, r#"{"number":1,"prev":"ab"}"#, r#" {"number":1}"#]
    {
        assert_eq!(Joint::read(wrong.as_bytes()), None, "{wrong}");
    }
    let shouted = text.replace("ab", "AB");
    assert_eq!(Joint::read(shouted.as_bytes()), None, "as it is written, or not at all");
}

#[test]
fn files_are_read_from_the_oldest_on() {
    let names =
        ["audit.jsonl.2", "other", "audit.jsonl", "audit.jsonl.new", "audit.jsonl.10", "audit.head", "audit.jsonl.01"];
    assert_eq!(in_order(names.into_iter()), ["audit.jsonl.10", "audit.jsonl.2", "audit.jsonl"]);
}
