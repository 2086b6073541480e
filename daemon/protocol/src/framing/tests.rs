//! The table of shapes that confuse intermediaries, the bounds to the byte, and the property that
//! the verdict does not depend on how the bytes were cut.

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { head_bytes: 1024, headers: 8, uri_bytes: 100, body_bytes: 64 };

/// What came of some bytes: messages that arrived whole, and why the next was refused.
type Outcome = (u64, Option<Refusal>, Phase);

fn outcome(machine: &Machine, refusal: Option<Refusal>) -> Outcome {
    (machine.messages(), refusal, machine.phase())
}

fn feed_in(bounds: Bounds, pieces: &[&[u8]]) -> Outcome {
    let mut machine = Machine::new(bounds);
    for piece in pieces {
        if let Err(refused) = machine.feed(piece) {
            return outcome(&machine, Some(refused.refusal));
        }
    }
    outcome(&machine, None)
}

fn feed(input: &[u8]) -> Outcome {
    feed_in(BOUNDS, &[input])
}

/// Every way to cut once, and byte by byte.
fn assert_cuts_do_not_matter(input: &[u8]) {
    let whole = feed(input);
    for cut in 0..=input.len() {
        let (first, second) = input.split_at(cut);
        assert_eq!(feed_in(BOUNDS, &[first, second]), whole, "cut at {cut} of {:?}", input.escape_ascii().to_string());
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(feed_in(BOUNDS, &bytes), whole, "byte by byte: {:?}", input.escape_ascii().to_string());
}

#[test]
fn what_is_taken() {
    let taken: &[(&[u8], u64)] = &[
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
        (b"GET / HTTP/1.0\r\n\r\n", 1),
        (b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", 1),
        (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 1),
        (b"GET / HTTP/1.1\r\nhOsT: \t a:80 \t \r\n\r\n", 1),
        (b"GET / HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n", 1),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 1),
        (b"GET http://a/x HTTP/1.1\r\nHost: A\r\n\r\n", 1),
        (b"GET HTTPS://a?x HTTP/1.1\r\nHost: a\r\n\r\n", 1),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 1),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 1),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\nabc", 1),
        (b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", 1),
        (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\nabc", 1),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 1),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n00\r\nX: y\r\n\r\n", 1),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \xe4\xf6\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 1),
    ];
    for (input, messages) in taken {
        let shown = input.escape_ascii().to_string();
        assert_eq!(feed(input), (*messages, None, Phase::Idle), "{shown}");
        assert_cuts_do_not_matter(input);
    }
}

/// A request whose header lines are `lines`.
fn with(lines: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n").into_bytes()
}

/// A request with a chunked body.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut request = with("Transfer-Encoding: chunked");
    request.extend_from_slice(body);
    request
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_is_refused() {
    use Refusal as R;
    let get = |line: &str| format!("{line}\r\nHost: a\r\n\r\n").into_bytes();
    let refused: Vec<(Vec<u8>, Refusal)> = vec![
        // Line ends
        (b"GET / HTTP/1.1\nHost: a\n\n".to_vec(), R::LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n".to_vec(), R::LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n".to_vec(), R::LineEnd),
        (b"GET / HTTP/1.1\rHost: a\r\n\r\n".to_vec(), R::LineEnd),
        (b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n".to_vec(), R::LineEnd),
        (with("X: a\rTransfer-Encoding: chunked"), R::LineEnd),
        (with("X: a\nTransfer-Encoding: chunked"), R::LineEnd),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), R::LineEnd),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), R::BlankLines),
        // Request lines
        (get("GET /"), R::RequestLine),
        (get("GET"), R::RequestLine),
        (get(" GET / HTTP/1.1"), R::RequestLine),
        (get("GET  / HTTP/1.1"), R::RequestLine),
        (get("GET /  HTTP/1.1"), R::RequestLine),
        (get("GET / HTTP/1.1 "), R::RequestLine),
        (get("GET / x HTTP/1.1"), R::RequestLine),
        (get("GET\t/ HTTP/1.1"), R::RequestLine),
        (get("GE(T / HTTP/1.1"), R::RequestLine),
        (get("GET / http/1.1"), R::RequestLine),
        (get("GET / HTTP/1.10"), R::RequestLine),
        (get("GET / HTTP/11"), R::RequestLine),
        (get("GET / HTTP/0.9"), R::Version),
        (get("GET / HTTP/1.2"), R::Version),
        (get("GET / HTTP/3.0"), R::Version),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), R::Version),
        (get("CONNECT a:443 HTTP/1.1"), R::Connect),
        (get("GET a:443 HTTP/1.1"), R::Target),
        (get("GET * HTTP/1.1"), R::Target),
        (get("GET /#a HTTP/1.1"), R::Target),
        (get("GET /\u{7f} HTTP/1.1"), R::Target),
        (get("GET /\0 HTTP/1.1"), R::Target),
        (get("GET /\u{e4} HTTP/1.1"), R::Target),
        (get("GET ftp://a/ HTTP/1.1"), R::Target),
        (get("GET http:///x HTTP/1.1"), R::Target),
        (get("GET http://b@a/ HTTP/1.1"), R::Target),
        // Hosts
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), R::HostMissing),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_vec(), R::HostRepeated),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n".to_vec(), R::HostRepeated),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_vec(), R::HostInvalid),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".to_vec(), R::HostInvalid),
        (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".to_vec(), R::HostInvalid),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_vec(), R::HostInvalid),
        (get("GET http://b/ HTTP/1.1"), R::HostConflict),
        (get("GET http://a:81/ HTTP/1.1"), R::HostConflict),
        // Header lines
        (with("X : a"), R::HeaderName),
        (with("Transfer-Encoding : chunked"), R::HeaderName),
        (with("Content-Length\t: 5"), R::HeaderName),
        (with(": a"), R::HeaderName),
        (with("X"), R::HeaderName),
        (with("X\0: a"), R::HeaderName),
        (with("\u{b}Transfer-Encoding: chunked"), R::HeaderName),
        (with("X Y: a"), R::HeaderName),
        (with("X: a\0b"), R::HeaderValue),
        (with("X: a\u{1}"), R::HeaderValue),
        (with("X: a\u{7f}"), R::HeaderValue),
        (with("Transfer-Encoding: \u{b}chunked"), R::HeaderValue),
        (with("Transfer-Encoding: chunked\u{c}"), R::HeaderValue),
        (with("X: a\r\n b"), R::Fold),
        (with("X: a\r\n\tb"), R::Fold),
        (with("Transfer-Encoding:\r\n chunked"), R::Coding),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_vec(), R::Fold),
        (with("Expect: 200-ok"), R::Expectation),
        // Lengths
        (with("Content-Length: 5\r\nContent-Length: 6"), R::LengthRepeated),
        (with("Content-Length: 5\r\nContent-Length: 5"), R::LengthRepeated),
        (with("Content-Length: 5, 5"), R::LengthInvalid),
        (with("Content-Length: 5, 6"), R::LengthInvalid),
        (with("Content-Length:"), R::LengthInvalid),
        (with("Content-Length: +5"), R::LengthInvalid),
        (with("Content-Length: -5"), R::LengthInvalid),
        (with("Content-Length: 0x5"), R::LengthInvalid),
        (with("Content-Length: 5 5"), R::LengthInvalid),
        (with("Content-Length: 5.0"), R::LengthInvalid),
        (with("Content-Length: 1_0"), R::LengthInvalid),
        (with("Content-Length: \u{ff15}"), R::LengthInvalid),
        (with("Content-Length: 18446744073709551621"), R::LengthInvalid),
        (with("Content-Length: 65"), R::BodyTooLarge),
        // Codings
        (with("Content-Length: 5\r\nTransfer-Encoding: chunked"), R::LengthAndCoding),
        (with("Transfer-Encoding: chunked\r\nContent-Length: 5"), R::LengthAndCoding),
        (with("tRANSFER-eNCODING: chunked\r\ncontent-length: 0"), R::LengthAndCoding),
        (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), R::CodingRepeated),
        (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"), R::CodingRepeated),
        (with("Transfer-Encoding: identity"), R::Coding),
        (with("Transfer-Encoding: gzip, chunked"), R::Coding),
        (with("Transfer-Encoding: chunked, chunked"), R::Coding),
        (with("Transfer-Encoding: chunked, identity"), R::Coding),
        (with("Transfer-Encoding: xchunked"), R::Coding),
        (with("Transfer-Encoding: chunkedx"), R::Coding),
        (with("Transfer-Encoding: chunked;x"), R::Coding),
        (with("Transfer-Encoding: \"chunked\""), R::Coding),
        (with("Transfer-Encoding:"), R::Coding),
        (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), R::CodingVersion),
        // Chunks
        (chunked(b"\r\n"), R::Chunk),
        (chunked(b"x\r\n"), R::Chunk),
        (chunked(b"0x3\r\nabc\r\n"), R::Chunk),
        (chunked(b"+3\r\nabc\r\n"), R::Chunk),
        (chunked(b"-1\r\n"), R::Chunk),
        (chunked(b" 3\r\nabc\r\n"), R::Chunk),
        (chunked(b"3 \r\nabc\r\n"), R::Chunk),
        (chunked(b"3 ;a\r\nabc\r\n"), R::Chunk),
        (chunked(b"3\nabc\r\n"), R::LineEnd),
        (chunked(b"3;a\nabc\r\n"), R::LineEnd),
        (chunked(b"3;a\rb\r\nabc\r\n"), R::LineEnd),
        (chunked(b"3;\0\r\nabc\r\n"), R::Chunk),
        (chunked(b"3\r\nabcd\r\n"), R::Chunk),
        (chunked(b"3\r\nabc\n0\r\n\r\n"), R::LineEnd),
        (chunked(b"3\r\nabc0\r\n\r\n"), R::Chunk),
        (chunked(b"3\r\nabc\r\r\n0\r\n\r\n"), R::Chunk),
        (chunked(b"00000000000000003\r\nabc\r\n"), R::Chunk),
        (chunked(b"ffffffffffffffff\r\n"), R::BodyTooLarge),
        (chunked(b"10000000000000000\r\n"), R::Chunk),
        (chunked(&[b"3;", &[b'a'; 300][..]].concat()), R::Chunk),
        (chunked(b"41\r\n"), R::BodyTooLarge),
        (chunked(b"0\r\nContent-Length: 5\r\n\r\n"), R::Trailer),
        (chunked(b"0\r\nHost: b\r\n\r\n"), R::Trailer),
        (chunked(b"0\r\nX : y\r\n\r\n"), R::HeaderName),
        (chunked(b"0\r\nX: y\r\n z\r\n\r\n"), R::Fold),
        (chunked(b"0\r\n\n"), R::LineEnd),
        (chunked(&[b"0\r\n".to_vec(), b"X: y\r\n".repeat(33)].concat()), R::TrailersTooLarge),
        (chunked(&[b"0\r\nX: ".to_vec(), b"y".repeat(9000)].concat()), R::TrailersTooLarge),
    ];
    assert!(refused.len() >= 60);
    for (input, refusal) in &refused {
        let shown = input.escape_ascii().to_string();
        let (messages, found, _) = feed(input);
        assert_eq!((messages, found), (0, Some(*refusal)), "{shown}");
        if input.len() < 2000 {
            assert_cuts_do_not_matter(input);
        }
    }
}

#[test]
fn chunk_extensions_are_bounded_over_the_whole_body() {
    let bounds = Bounds { body_bytes: 1 << 20, ..BOUNDS };
    let chunk = [b"1;".to_vec(), b"e".repeat(200), b"\r\nx\r\n".to_vec()].concat();
    let count = |chunks: usize| feed_in(bounds, &[&chunked(&chunk.repeat(chunks))]).1;
    assert_eq!(count(20), None);
    assert_eq!(count(21), Some(Refusal::ChunkExtensions));
}

#[test]
fn bounds_hold_to_the_byte() {
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 1)).into_bytes();
    assert_eq!(feed(&target(100)).1, None);
    assert_eq!(feed(&target(101)).1, Some(Refusal::TargetTooLong));
    assert_eq!(feed(&target(5000)).1, Some(Refusal::TargetTooLong));

    let headers = |count: usize| with(&vec!["X: y"; count - 1].join("\r\n"));
    assert_eq!(feed(&headers(8)).1, None);
    assert_eq!(feed(&headers(9)).1, Some(Refusal::TooManyHeaders));

    let head = |length: usize| {
        let around = with("X: ").len();
        with(&format!("X: {}", "y".repeat(length - around)))
    };
    assert_eq!(head(1024).len(), 1024);
    assert_eq!(feed(&head(1024)).1, None);
    assert_eq!(feed(&head(1025)).1, Some(Refusal::HeadTooLarge));
    assert_cuts_do_not_matter(&head(1025));

    let body = |length: usize| [with(&format!("Content-Length: {length}")), b"z".repeat(length)].concat();
    assert_eq!(feed(&body(64)), (1, None, Phase::Idle));
    assert_eq!(feed(&body(65)).1, Some(Refusal::BodyTooLarge));

    assert_eq!(feed(&chunked(&[b"40\r\n".to_vec(), b"z".repeat(64), b"\r\n0\r\n\r\n".to_vec()].concat())).0, 1);
    assert_eq!(feed(&chunked(b"1\r\nz\r\n40\r\n")).1, Some(Refusal::BodyTooLarge));
}

#[test]
fn phases_follow_the_bytes() {
    let mut machine = Machine::new(BOUNDS);
    let mut phase_after = |bytes: &[u8]| {
        machine.feed(bytes).expect("well-formed");
        machine.phase()
    };
    assert_eq!(phase_after(b""), Phase::Idle);
    assert_eq!(phase_after(b"\r\n"), Phase::Idle);
    assert_eq!(phase_after(b"P"), Phase::Head);
    assert_eq!(phase_after(b"OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"), Phase::Head);
    assert_eq!(phase_after(b"\r\n"), Phase::Body);
    assert_eq!(phase_after(b"x"), Phase::Body);
    assert_eq!(phase_after(b"x"), Phase::Idle);
}

#[test]
fn a_refusal_says_what_stood_before_it_and_whether_its_message_had_begun() {
    let good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut machine = Machine::new(BOUNDS);
    let refused = machine.feed(&[&good[..], b"GET / HTTP/1.1\n"].concat()).expect_err("bare LF");
    assert_eq!(refused, Refused { refusal: Refusal::LineEnd, before: good.len(), begun: false });
    assert_eq!(machine.feed(good).expect_err("nothing after a refusal").refusal, Refusal::LineEnd);

    let mut machine = Machine::new(BOUNDS);
    machine.feed(&chunked(b"3\r\n")).expect("begun");
    let refused = machine.feed(b"abcdef").expect_err("too long a chunk");
    assert_eq!(refused, Refused { refusal: Refusal::Chunk, before: 0, begun: true });

    let mut machine = Machine::new(BOUNDS);
    let refused = machine.feed(&chunked(b"y")).and_then(|()| machine.feed(b"\r\n")).expect_err("no size");
    assert!(refused.begun);

    // The body of a first message ends here; the refused one is another.
    let mut machine = Machine::new(BOUNDS);
    machine.feed(&chunked(b"")).expect("begun");
    let refused = machine.feed(b"0\r\n\r\nGET /\r\n").expect_err("no version");
    assert_eq!(refused, Refused { refusal: Refusal::RequestLine, before: 5, begun: false });
}

#[test]
fn refusals_are_client_or_protocol_errors_with_words_of_their_own() {
    let mut codes = std::collections::HashSet::new();
    for refusal in Refusal::ALL {
        assert!(matches!(refusal.status(), 400..=431 | 501 | 505), "{refusal:?}");
        assert!(refusal.sentence().ends_with('.'), "{refusal:?}");
        assert!(!refusal.sentence().contains(['"', '\\']), "{refusal:?} must fit into JSON as it is");
        assert!(codes.insert(refusal.code()), "{refusal:?}");
    }
}

/// Pieces from which requests, and what looks like them, are put together.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => Just(b"POST / HTTP/1.1\r\nHost: a\r\n".to_vec()),
        4 => Just(b"Content-Length: 3\r\n\r\nabc".to_vec()),
        4 => Just(b"Transfer-Encoding: chunked\r\n\r\n".to_vec()),
        4 => Just(b"3\r\nabc\r\n".to_vec()),
        4 => Just(b"0\r\n\r\n".to_vec()),
        3 => Just(b"\r\n".to_vec()),
        1 => Just(b"\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        2 => proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b':'), Just(b'0'), any::<u8>()], 0..6),
    ]
}

proptest! {
    #[test]
    fn the_verdict_does_not_depend_on_the_cuts(
        pieces in proptest::collection::vec(piece(), 0..12),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
    ) {
        let input = pieces.concat();
        let whole = feed(&input);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|range| &input[range[0]..range[1]]).collect();
        prop_assert_eq!(feed_in(BOUNDS, &parts), whole);
    }

    #[test]
    fn no_bytes_make_it_panic_and_what_it_holds_is_bounded(input in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let mut machine = Machine::new(BOUNDS);
        for piece in input.chunks(7) {
            if machine.feed(piece).is_err() {
                break;
            }
            prop_assert!(machine.line.capacity() <= 16 * 1024);
        }
    }
}
