//! Bounds of requests, to the byte: what is exactly at a bound is served, one more is refused with its own status.

use serde_json::{Value, json};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::h2::{self, END_HEADERS, END_STREAM, Outcome, block, frame, kind};
use toolgate_tests::http::Connection;

const HEAD_BYTES: usize = 4096;
const HEADERS: usize = 20;
const URI_BYTES: usize = 1024;
const BODY_BYTES: usize = 64 * 1024;
const PATH: &str = "/mcp/fake";

async fn gate(server: &Http) -> Gate {
    let bounds = format!(
        "bounds = {{ head_bytes = {HEAD_BYTES}, headers = {HEADERS}, uri_bytes = {URI_BYTES}, body_bytes = {BODY_BYTES} }}"
    );
    Setup::default().server("fake", &server.endpoints()).listener(&bounds).start().await
}

/// A call of this many bytes.
fn body(length: usize) -> Vec<u8> {
    let text = |pad: usize| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {"pad": "x".repeat(pad)}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}}})
        .to_string()
    };
    text(length - text(0).len()).into_bytes()
}

/// What every call says besides host and length.
fn headers(gate: &Gate) -> Vec<(String, String)> {
    let key = format!("Bearer {}", gate.key());
    [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("authorization", &key),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// A head with this target and these further lines.
fn head(gate: &Gate, target: &str, further: &[(String, String)]) -> String {
    let mut head = format!("POST {target} HTTP/1.1\r\nhost: {}\r\n", gate.target().host);
    for (name, value) in headers(gate).iter().chain(further) {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head + "\r\n"
}

fn line(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Sends and reads one answer: its status, and its reason where it is an error.
async fn answer(connection: &mut Connection, request: &[u8]) -> (u16, Option<String>) {
    // The refusal may come before all is sent.
    connection.send(request).await.ok();
    let head = connection.head().await.expect("an answer");
    let body: Value = serde_json::from_slice(&connection.body(&head).await.expect("a body")).unwrap_or_default();
    (head.status, body["error"]["data"]["reason"].as_str().map(ToOwned::to_owned))
}

async fn exchange(gate: &Gate, request: &[u8]) -> (u16, Option<String>) {
    answer(&mut gate.target().connect().await.expect("a connection"), request).await
}

/// The same bytes, as one chunk, as chunks of this many bytes, or with a length.
fn framed(gate: &Gate, body: &[u8], chunk: Option<usize>) -> Vec<u8> {
    let Some(chunk) = chunk else {
        return [head(gate, PATH, &[line("content-length", &body.len().to_string())]).as_bytes(), body].concat();
    };
    let mut request = head(gate, PATH, &[line("transfer-encoding", "chunked")]).into_bytes();
    for piece in body.chunks(chunk) {
        request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        request.extend_from_slice(piece);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

#[tokio::test]
async fn http1_bounds_hold_to_the_byte() {
    let server = Http::start(Speaks::Modern).await;
    let gate = gate(&server).await;
    let small = body(500);
    let length = line("content-length", &small.len().to_string());
    let call = |target: &str, further: &[(String, String)]| [head(&gate, target, further).as_bytes(), &small].concat();
    let target =
        |bytes: usize| call(&format!("{PATH}?{}", "q".repeat(bytes - PATH.len() - 1)), std::slice::from_ref(&length));
    let count = |lines: usize| {
        // `host`, the headers of every call, the length.
        let further: Vec<_> =
            (0..lines - 8).map(|index| line(&format!("x-{index}"), "y")).chain([length.clone()]).collect();
        call(PATH, &further)
    };
    let head_of = |bytes: usize| {
        let bare = head(&gate, PATH, &[length.clone(), line("x", "")]).len();
        call(PATH, &[length.clone(), line("x", &"y".repeat(bytes - bare))])
    };
    let body_of = |bytes: usize, chunk: Option<usize>| framed(&gate, &body(bytes), chunk);
    let table = [
        ("target", target(URI_BYTES), target(URI_BYTES + 1), 414, "target-too-long"),
        ("headers", count(HEADERS), count(HEADERS + 1), 431, "too-many-headers"),
        ("head", head_of(HEAD_BYTES), head_of(HEAD_BYTES + 1), 431, "head-too-large"),
        ("body", body_of(BODY_BYTES, None), body_of(BODY_BYTES + 1, None), 413, "body-too-large"),
        (
            "chunk",
            body_of(BODY_BYTES, Some(BODY_BYTES)),
            body_of(BODY_BYTES + 1, Some(BODY_BYTES + 1)),
            413,
            "body-too-large",
        ),
        ("chunks", body_of(BODY_BYTES, Some(1000)), body_of(BODY_BYTES + 1, Some(1000)), 413, "body-too-large"),
        ("small chunks", body_of(BODY_BYTES, Some(7)), body_of(BODY_BYTES + 1, Some(7)), 413, "body-too-large"),
    ];
    for (what, at, beyond, status, reason) in table {
        assert_eq!(exchange(&gate, &at).await, (200, None), "{what} at its bound\n{}", gate.log());
        let reached = server.record.of("tools/call").len();
        assert_eq!(exchange(&gate, &beyond).await, (status, Some(reason.to_owned())), "{what} beyond its bound");
        assert_eq!(server.record.of("tools/call").len(), reached, "{what} beyond its bound reached the server");
    }
    // The bounds are those of each request, not of the connection.
    let mut connection = gate.target().connect().await.expect("a connection");
    for _ in 0..3 {
        assert_eq!(answer(&mut connection, &body_of(BODY_BYTES, Some(5000))).await, (200, None));
    }
}

/// Headers of a call over HTTP/2, pseudo-headers first.
fn h2_headers(gate: &Gate, target: &str, further: &[(String, String)]) -> Vec<(String, String)> {
    let pseudo = [
        line(":method", "POST"),
        line(":scheme", "https"),
        line(":authority", &gate.target().host),
        line(":path", target),
    ];
    [&pseudo[..], &headers(gate), further].concat()
}

/// The call as frames; the body in pieces that the smallest window takes.
fn frames(headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let pairs: Vec<_> = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let mut frames = frame(kind::HEADERS, END_HEADERS, 1, &block(&pairs));
    let mut pieces = body.chunks(16 * 1024).peekable();
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_STREAM } else { 0 };
        frames.extend(frame(kind::DATA, flags, 1, piece));
    }
    frames
}

#[tokio::test]
async fn http2_bounds_hold_to_the_byte() {
    let server = Http::start(Speaks::Modern).await;
    // A body that fits into the window of a stream needs no waiting for it.
    let gate = Setup::default()
        .server("fake", &server.endpoints())
        .listener(&format!(
            "bounds = {{ head_bytes = {HEAD_BYTES}, headers = {HEADERS}, uri_bytes = {URI_BYTES}, body_bytes = 32768 }}"
        ))
        .start()
        .await;
    let small = body(500);
    let target = |bytes: usize| {
        frames(&h2_headers(&gate, &format!("{PATH}?{}", "q".repeat(bytes - PATH.len() - 1)), &[]), &small)
    };
    let count = |lines: usize| {
        let further: Vec<_> = (0..lines - 6).map(|index| line(&format!("x-{index}"), "y")).collect();
        frames(&h2_headers(&gate, PATH, &further), &small)
    };
    // RFC 9113, section 6.5.2: names, values, and 32 bytes for each.
    let list_of = |bytes: usize| {
        let bare: usize =
            h2_headers(&gate, PATH, &[line("x", "")]).iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        frames(&h2_headers(&gate, PATH, &[line("x", &"y".repeat(bytes - bare))]), &small)
    };
    let body_of = |bytes: usize, declared: bool| {
        let further: Vec<_> = declared.then(|| line("content-length", &bytes.to_string())).into_iter().collect();
        frames(&h2_headers(&gate, PATH, &further), &body(bytes))
    };
    let table: Vec<(&str, Vec<u8>, Vec<u8>, u16)> = vec![
        ("target", target(URI_BYTES), target(URI_BYTES + 1), 414),
        ("headers", count(HEADERS), count(HEADERS + 1), 431),
        ("header list", list_of(HEAD_BYTES), list_of(HEAD_BYTES + 1), 431),
        ("body with a length", body_of(32_768, true), body_of(32_769, true), 413),
        ("body without a length", body_of(32_768, false), body_of(32_769, false), 413),
    ];
    for (what, at, beyond, status) in table {
        for (bytes, status) in [(at, 200), (beyond, status)] {
            let mut client = h2::Client::connect(&gate.h2_target()).await.expect("a connection");
            let reached = server.record.of("tools/call").len();
            client.send(&bytes).await.expect("sent");
            assert_eq!(client.outcome(1).await, Outcome::Status(status), "{what}\n{}", gate.log());
            let more = server.record.of("tools/call").len() - reached;
            assert_eq!(more, usize::from(status == 200), "{what}");
        }
    }
}

/// A call whose params are these members, besides `_meta`.
fn message(members: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{members},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

#[tokio::test]
async fn json_is_bounded_and_read_in_one_way_only() {
    let server = Http::start(Speaks::Modern).await;
    let gate = gate(&server).await;
    // The message, its params and its arguments are three levels.
    let deep = |levels: usize| {
        message(&format!(r#""name":"echo","arguments":{{"a":{}{}}}"#, "[".repeat(levels - 3), "]".repeat(levels - 3)))
    };
    let echo = r#""name":"echo","arguments":{}"#;
    let plain = message(echo);
    let invalid = Some("invalid-request");
    let table: Vec<(&str, String, Option<&str>, &str)> = vec![
        ("depth 64", deep(64), None, ""),
        ("depth 65", deep(65), Some("parse"), "more than 64"),
        ("depth 30000", deep(30_000), Some("parse"), "more than 64"),
        (
            "members of any case where the gate reads none",
            message(r#""name":"echo","arguments":{"Name":1,"METHOD":2}"#),
            None,
            "",
        ),
        ("a method twice", plain.replacen('{', r#"{"method":"tools/list","#, 1), invalid, "stands twice"),
        ("a name twice", message(&format!(r#"{echo},"name":"secret""#)), invalid, "stands twice"),
        ("a name twice, once escaped", message(&format!(r#"{echo},"n\u0061me":"secret""#)), invalid, "stands twice"),
        (
            "an argument twice",
            message(r#""name":"echo","arguments":{"path":"/a","path":"/b"}"#),
            invalid,
            "stands twice",
        ),
        (
            "an argument twice, deep down",
            message(r#""name":"echo","arguments":{"a":[{"b":{"c":1,"c":2}}]}"#),
            invalid,
            "stands twice",
        ),
        ("an id twice", plain.replacen('{', r#"{"id":2,"#, 1), invalid, "stands twice"),
        ("a name in another case", message(&format!(r#"{echo},"Name":"secret""#)), invalid, "case-sensitive"),
        ("a name with a long s", message(&format!("{echo},\"argument\u{17f}\":{{}}")), invalid, "case-sensitive"),
        ("a method in another case", plain.replacen('{', r#"{"METHOD":"tools/list","#, 1), invalid, "case-sensitive"),
        ("params in another case", plain.replacen('{', r#"{"Params":{},"#, 1), invalid, "case-sensitive"),
        ("_meta in another case", message(&format!(r#"{echo},"_Meta":{{}}"#)), invalid, "case-sensitive"),
        ("a second message", format!("{plain}{plain}"), Some("parse"), "exactly one JSON value"),
        ("a second message on a line of its own", format!("{plain}\n{plain}"), Some("parse"), "exactly one JSON value"),
        ("a batch", format!("[{plain}]"), invalid, "Batches"),
        ("a NUL behind the message", format!("{plain}\0"), Some("parse"), "exactly one JSON value"),
        ("an id of null", plain.replace(r#""id":1"#, r#""id":null"#), invalid, "must be a string or a number"),
        ("a mark of byte order", format!("\u{feff}{plain}"), Some("parse"), "not JSON"),
        (
            "a control character in a string",
            message("\"name\":\"echo\",\"arguments\":{\"a\":\"\u{1}\"}"),
            Some("parse"),
            "not JSON",
        ),
        (
            "half of a surrogate pair",
            message(r#""name":"ech\ud800","arguments":{}"#),
            Some("invalid-request"),
            "surrogate",
        ),
        ("a comma too many", message(r#""name":"echo","arguments":{"a":1,}"#), Some("parse"), "not JSON"),
        ("a comment", message(r#""name":"echo"/**/,"arguments":{}"#), Some("parse"), "not JSON"),
    ];
    for (what, body, refused, words) in &table {
        let request =
            [head(&gate, PATH, &[line("content-length", &body.len().to_string())]).as_bytes(), body.as_bytes()]
                .concat();
        let reached = server.record.of("tools/call").len();
        let mut connection = gate.target().connect().await.expect("a connection");
        connection.send(&request).await.ok();
        let head = connection.head().await.expect("an answer");
        let answer = connection.body(&head).await.expect("a body");
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let reason = answer["error"]["data"]["reason"].as_str();
        let status = if refused.is_some() { 400 } else { 200 };
        assert_eq!((head.status, reason), (status, *refused), "{what}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap_or_default().contains(words), "{what}: {answer}");
        let more = server.record.of("tools/call").len() - reached;
        assert_eq!(more, usize::from(refused.is_none()), "{what}");
    }
}
