use proptest::prelude::*;

use super::*;

/// All events of a stream that arrives in these chunks.
fn read<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Vec<Event> {
    let mut parser = Parser::new(1 << 20);
    let mut events = Vec::new();
    for mut chunk in chunks {
        while let Some(event) = parser.push(&mut chunk).expect("no event is too long") {
            events.push(event);
        }
    }
    events
}

fn event(id: Option<&str>, kind: Option<&str>, data: &str) -> Event {
    Event {
        id: id.map(Into::into),
        event: kind.map(Into::into),
        data: Bytes::copy_from_slice(data.as_bytes()),
        retry: None,
    }
}

#[test]
fn fields_are_read_as_whatwg_defines() {
    let stream = b"\xef\xbb\xbfdata: one\n\n: comment\nid: 7\nevent: tick\ndata:two\ndata\ndata:  three\n\n\
        event: nothing\n\nid: a\0b\ndata: x\nevent:\n\nretry: 250\nid:\n\nretry: 1x\nunknown: 1\ndata:\n\nid: 9\ndata: cut";
    let mut retry = event(Some(""), None, "");
    retry.retry = Some(250);
    assert_eq!(
        read([&stream[..]]),
        [
            event(None, None, "one"),
            event(Some("7"), Some("tick"), "two\n\n three"),
            event(None, None, "x"),
            retry,
            event(None, None, "")
        ]
    );
}

#[test]
fn every_line_end_ends_a_line() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = ["data: a", "data: b", "", "data: c", "", ""].join(end);
        assert_eq!(read([stream.as_bytes()]), [event(None, None, "a\nb"), event(None, None, "c")], "{end:?}");
    }
}

#[test]
fn an_event_is_given_as_soon_as_its_last_line_end_arrives() {
    let mut parser = Parser::new(100);
    let mut chunk = &b"data: a\r\n\r"[..];
    assert_eq!(parser.push(&mut chunk), Ok(Some(event(None, None, "a"))));
    let mut chunk = &b"\ndata: b\n\n"[..];
    assert_eq!(parser.push(&mut chunk), Ok(Some(event(None, None, "b"))));
}

#[test]
fn it_is_known_whether_an_event_has_begun() {
    for (stream, between) in [
        ("", true),
        (": alive\n\n", true),
        (": alive\n", true),
        (": ali", false),
        ("data: a\n\n", true),
        ("data: a\n", false),
        ("id: 1\n", false),
        ("event: x\n", false),
        ("da", false),
    ] {
        let mut parser = Parser::new(100);
        let mut chunk = stream.as_bytes();
        while parser.push(&mut chunk).expect("it is short").is_some() {}
        assert_eq!(parser.is_between_events(), between, "{stream:?}");
    }
}

#[test]
fn a_stream_split_anywhere_gives_the_same_events() {
    let stream =
        b"\xef\xbb\xbfid: 1\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nevent: x\rdata: y\r\r: c\n\ndata: z\n\nretry: 5\n\n"
            .as_slice();
    let whole = read([stream]);
    assert_eq!(whole.len(), 4);
    for cut in 0..=stream.len() {
        for second in cut..=stream.len() {
            assert_eq!(read([&stream[..cut], &stream[cut..second], &stream[second..]]), whole, "{cut} {second}");
        }
    }
    assert_eq!(read(stream.chunks(1)), whole);
}

#[test]
fn an_event_that_is_too_long_fails_alone() {
    let long = "x".repeat(41);
    let fits = "y".repeat(40);
    for stream in [
        format!("data: {long}\n\ndata: {fits}\n\n"),
        format!("data: {long}\ndata: more\nid: 1\n\ndata: {fits}\n\n"),
        format!("data: {0}\ndata: {0}\n\ndata: {fits}\n\n", &long[..30]),
        format!("data: {long}\r\n\r\ndata: {fits}\r\n\r\n"),
        format!(": {long}{long}\n\ndata: {fits}\n\n"),
    ] {
        for size in 1..stream.len() {
            let mut parser = Parser::new(40);
            let (mut events, mut faults) = (Vec::new(), 0);
            for mut chunk in stream.as_bytes().chunks(size) {
                loop {
                    match parser.push(&mut chunk) {
                        Ok(Some(event)) => events.push(event),
                        Ok(None) => break,
                        Err(error) => {
                            assert_eq!(error, EventTooLong { limit: 40 });
                            faults += 1;
                        }
                    }
                }
            }
            assert_eq!(events, [event(None, None, &fits)], "{stream:?} by {size}");
            assert_eq!(faults, 1, "{stream:?} by {size}");
        }
    }
}

#[test]
fn a_byte_order_mark_counts_at_the_start_alone_even_when_the_first_event_was_skipped() {
    let mut parser = Parser::new(10);
    let mut stream = "data: 01234567890\n\n\u{feff}data: x\ndata: y\n\n".as_bytes();
    assert_eq!(parser.push(&mut stream), Err(EventTooLong { limit: 10 }));
    assert_eq!(parser.push(&mut stream), Ok(Some(event(None, None, "y"))));
}

#[test]
fn a_type_is_always_written() {
    let mut out = Vec::new();
    write_event(&mut out, None, None, b"{}");
    write_retry(&mut out, Some("s.1"), 500);
    write_comment(&mut out, "alive");
    assert_eq!(out, b"event: message\ndata: {}\n\nid: s.1\nretry: 500\ndata: \n\n: alive\n\n");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        id in prop::option::of(".{0,8}"),
        kind in prop::option::of(".{1,8}"),
        data in "(.|\r|\n){0,40}",
        size in 1_usize..50,
    ) {
        let mut out = Vec::new();
        write_comment(&mut out, &data);
        write_event(&mut out, id.as_deref(), kind.as_deref(), data.as_bytes());
        let clean = |text: &str| text.replace(['\r', '\n', '\0'], "");
        let lines = data.replace("\r\n", "\n").replace('\r', "\n");
        let kind = clean(kind.as_deref().unwrap_or("message"));
        let wanted = event(id.as_deref().map(clean).as_deref(), Some(kind.as_str()).filter(|kind| !kind.is_empty()), &lines);
        prop_assert_eq!(read(out.chunks(size)), [wanted]);
    }

    #[test]
    fn any_stream_in_any_pieces_gives_the_same_events(stream in "(data|id|event|retry|:| |\r|\n|\r\n|x|1|\0|\u{feff}){0,40}", size in 1_usize..9) {
        prop_assert_eq!(read(stream.as_bytes().chunks(size)), read([stream.as_bytes()]));
    }
}
