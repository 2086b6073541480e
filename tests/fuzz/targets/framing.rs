//! The machine that frames HTTP/1 requests.
//! Must hold: the verdict does not depend on the cuts between reads; after a refusal everything is refused; a message
//! that a strict reader takes whole ends where that reader says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolgate_fuzz::Dice;
use toolgate_protocol::framing::{Bounds, Machine, Phase, Refusal};

const BOUNDS: Bounds = Bounds { head_bytes: 512, headers: 8, uri_bytes: 64, body_bytes: 64 };

/// Whole messages, the refusal, the phase, and how many bytes lie before the refused message.
type Verdict = (u64, Option<Refusal>, Phase, usize);

fn verdict<'c>(pieces: impl IntoIterator<Item = &'c [u8]>) -> Verdict {
    let mut machine = Machine::new(BOUNDS);
    let (mut fed, mut ended, mut messages) = (0, 0, 0);
    for piece in pieces {
        if let Err(refused) = machine.feed(piece) {
            assert!(refused.before <= piece.len());
            assert!(machine.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_err(), "nothing is taken after a refusal");
            let before = if machine.messages() > messages { fed + refused.before } else { ended };
            return (machine.messages(), Some(refused.refusal), machine.phase(), before);
        }
        fed += piece.len();
        if machine.messages() > messages {
            messages = machine.messages();
            ended = fed;
        }
    }
    (machine.messages(), None, machine.phase(), 0)
}

fuzz_target!(|input: &[u8]| {
    let whole = verdict([input]);
    let bytes = verdict(input.chunks(1));
    assert_eq!(bytes, whole, "byte by byte");
    let (messages, refusal, phase, _) = verdict(Dice::of(input).pieces(input));
    assert_eq!((messages, refusal, phase), (whole.0, whole.1, whole.2), "in pieces");

    // What stands before a refused message is taken by itself.
    if whole.1.is_some() && whole.0 > 0 {
        assert_eq!(verdict([&input[..whole.3]]), (whole.0, None, Phase::Idle, 0));
    }
    if whole.0 == 1 && whole.1.is_none() && whole.2 == Phase::Idle {
        others_agree(input);
    }
});

/// A single message that was taken, in the eyes of a reader that knows nothing of the machine.
fn others_agree(input: &[u8]) {
    let input = input.strip_prefix(b"\r\n").unwrap_or(input);
    let mut lines = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut lines);
    let head = match request.parse(input) {
        Ok(httparse::Status::Complete(head)) => head,
        other => panic!("taken, but not by others: {other:?}"),
    };
    let value = |name: &str| {
        request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    };
    let body = &input[head..];
    // A blank line after the message is taken too.
    let end = |length: usize| body.len() == length || body[length..] == *b"\r\n";
    match (value("content-length"), value("transfer-encoding")) {
        (Some(_), Some(_)) => panic!("two ways to tell the length"),
        (None, None) => assert!(end(0)),
        (Some(length), None) => {
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            assert!(end(length.expect("a number")));
        }
        (None, Some(coding)) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked"));
            assert!(end(chunked(body)));
        }
    }
}

/// Where a chunked body ends.
fn chunked(body: &[u8]) -> usize {
    let line = |at: usize| at + body[at..].windows(2).position(|pair| pair == b"\r\n").expect("a line");
    let mut at = 0;
    loop {
        let end = line(at);
        let digits: String =
            body[at..end].iter().take_while(|byte| byte.is_ascii_hexdigit()).map(|&byte| char::from(byte)).collect();
        let size = usize::from_str_radix(&digits, 16).expect("a size");
        at = end + 2;
        if size == 0 {
            break;
        }
        assert_eq!(&body[at + size..at + size + 2], b"\r\n");
        at += size + 2;
    }
    loop {
        let end = line(at);
        let is_last = end == at;
        at = end + 2;
        if is_last {
            return at;
        }
    }
}
