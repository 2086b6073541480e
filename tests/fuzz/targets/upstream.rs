//! The parsers of upstream servers' answers, which belong to the daemon alone: their files are compiled in here.
//! Must hold: the cuts between reads do not matter; what is kept of a head is what an independent reader finds; a body
//! is the same whether it is decoded as it arrives or when all of it is there.
#![no_main]

#[allow(dead_code, clippy::all, clippy::pedantic, reason = "the daemon's own checks look at it")]
#[path = "../../../daemon/src/servers/http/chunked.rs"]
mod chunked;
#[allow(dead_code, clippy::all, clippy::pedantic, reason = "the daemon's own checks look at it")]
#[path = "../../../daemon/src/servers/http/head.rs"]
mod head;

use bytes::{Bytes, BytesMut};
use chunked::{Chunked, Step};
use head::{EndOfHead, Framing, Head};
use libfuzzer_sys::fuzz_target;
use toolgate_fuzz::Dice;

fuzz_target!(|input: &[u8]| {
    let mut dice = Dice::of(input);
    let end = EndOfHead::default().find(input);
    assert_eq!(found(input, (1..=input.len()).collect()), end, "byte by byte");
    assert_eq!(found(input, ends(&dice.pieces(input))), end, "in pieces");
    decodes(input, &mut dice);
    let Ok(Some(end)) = end else { return };
    let Ok(head) = head::parse(Bytes::copy_from_slice(&input[..end])) else { return };
    keeps_what_is_there(&input[..end], &head);
    if head.framing == Framing::Chunked {
        decodes(&input[end..], &mut dice);
    }
});

fn ends(pieces: &[&[u8]]) -> Vec<usize> {
    pieces
        .iter()
        .scan(0, |at, piece| {
            *at += piece.len();
            Some(*at)
        })
        .collect()
}

/// The end of the head, looked for whenever the input has grown to one of `lengths`.
fn found(input: &[u8], lengths: Vec<usize>) -> Result<Option<usize>, &'static str> {
    let mut end = EndOfHead::default();
    for length in lengths {
        match end.find(&input[..length]) {
            Ok(None) => {}
            found => return found,
        }
    }
    Ok(None)
}

fn keeps_what_is_there(text: &[u8], head: &Head) {
    let mut lines = [httparse::EMPTY_HEADER; 256];
    let mut response = httparse::Response::new(&mut lines);
    assert!(response.parse(text).is_ok_and(|status| status.is_complete()));
    assert_eq!(response.code, Some(head.status));
    for (name, value) in head.headers.iter() {
        assert!(response.headers.iter().any(|header| header.name.as_bytes() == name && header.value == value));
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        for single in ["connection", "keep-alive", "transfer-encoding", "content-length", "te", "trailer", "upgrade"] {
            assert!(!name.eq_ignore_ascii_case(single.as_bytes()), "{single} is of the connection alone");
        }
        assert!(std::str::from_utf8(name).is_ok_and(|name| head.headers.get(name).is_some()));
    }
}

/// The body, and what follows it once it has ended.
type Decoded = Result<(Vec<u8>, Option<Vec<u8>>), &'static str>;

fn decoded<'c>(pieces: impl IntoIterator<Item = &'c [u8]>) -> Decoded {
    let (mut chunked, mut input, mut body, mut ended) = (Chunked::new(), BytesMut::new(), Vec::new(), false);
    for piece in pieces {
        input.extend_from_slice(piece);
        while !ended {
            match chunked.step(&mut input)? {
                Step::Data(data) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(&data);
                    ended = chunked.take_end(&mut input);
                }
                Step::More => break,
                Step::End => ended = true,
            }
        }
    }
    Ok((body, ended.then(|| input.to_vec())))
}

fn decodes(input: &[u8], dice: &mut Dice) {
    let whole = decoded([input]);
    assert_eq!(decoded(input.chunks(1)), whole, "byte by byte");
    assert_eq!(decoded(dice.pieces(input)), whole, "in pieces");
    let mut rest = BytesMut::from(input);
    match (Chunked::new().whole(&mut rest), whole) {
        (Ok(None), _) => assert_eq!(rest, input),
        (Ok(Some(body)), Ok((theirs, Some(left)))) => assert!(*body == *theirs && rest == left),
        (Err(ours), Err(theirs)) => assert_eq!(ours, theirs),
        (ours, theirs) => panic!("at once {ours:?}, step by step {theirs:?}"),
    }
}
