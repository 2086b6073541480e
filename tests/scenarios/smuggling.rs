//! Requests that two readers could understand differently: refused, or one identical request behind the gate.
//!
//! Each shape carries a call and, where it can, a second one hidden in it. The server behind keeps every byte.

use serde_json::{Value, json};
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::h2::{self, END_HEADERS, END_STREAM, Outcome, block, frame, kind};
use toolgate_tests::recorder::{Recorder, Request};

/// What must become of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Answered with this status, and this reason where there is one; nothing reaches the server.
    Refused(u16, &'static str),
    /// Exactly one request reaches the server, with the call's body.
    Passed,
}
use Fate::{Passed, Refused};

async fn gate(recorder: &Recorder) -> Gate {
    let gate = Setup::default()
        .http("rec", &recorder.url)
        .listener("bounds = { head_timeout = \"1s\", body_timeout = \"1s\" }")
        .start()
        .await;
    // What the gate asks on its own account it asks once.
    let shape = format!("{}\r\n{}", Shapes::of(&gate).sized(""), call("echo"));
    assert_eq!(exchange(&gate, shape.as_bytes(), shape.len()).await.0, 200, "{}", gate.log());
    let _ = recorder.take();
    gate
}

fn call(tool: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}}})
    .to_string()
}

/// What shapes are made of.
struct Shapes {
    host: String,
    key: String,
    body: String,
}

impl Shapes {
    fn of(gate: &Gate) -> Self {
        Self { host: gate.target().host.clone(), key: gate.key(), body: call("echo") }
    }

    /// Header lines that every call has.
    fn lines(&self, tool: &str) -> String {
        let key = &self.key;
        format!(
            "Authorization: Bearer {key}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n"
        )
    }

    /// A head without its last line end; `extra` are whole lines.
    fn head(&self, line: &str, host: &str, extra: &str) -> String {
        format!("{line}\r\n{host}{}{extra}", self.lines("echo"))
    }

    fn host(&self) -> String {
        format!("Host: {}\r\n", self.host)
    }

    /// The same with the usual line and host.
    fn with(&self, extra: &str) -> String {
        self.head("POST /mcp/rec HTTP/1.1", &self.host(), extra)
    }

    /// The same, with the call's length.
    fn sized(&self, extra: &str) -> String {
        let length = self.body.len();
        self.with(&format!("Content-Length: {length}\r\n{extra}"))
    }

    /// A whole call with these header lines.
    fn call(&self, extra: &str) -> Vec<u8> {
        format!("{}\r\n{}", self.sized(extra), self.body).into_bytes()
    }

    /// The call, as the only request line and host say.
    fn line(&self, line: &str) -> Vec<u8> {
        let length = self.body.len();
        let head = self.head(line, &self.host(), &format!("Content-Length: {length}\r\n"));
        format!("{head}\r\n{}", self.body).into_bytes()
    }

    /// A call that must never arrive.
    fn hidden(&self) -> String {
        let body = call("hidden");
        let (host, lines) = (self.host(), self.lines("hidden"));
        format!("POST /mcp/rec HTTP/1.1\r\n{host}{lines}Content-Length: {}\r\n\r\n{body}", body.len())
    }

    /// A call whose body is said to be chunked by `coding`, as one chunk, with the hidden one behind it.
    fn coded(&self, coding: &str) -> Vec<u8> {
        let body = &self.body;
        format!("{}\r\n{:x}\r\n{body}\r\n0\r\n\r\n{}", self.with(coding), body.len(), self.hidden()).into_bytes()
    }

    /// A chunked call; `chunks` says how.
    fn chunked(&self, chunks: &str) -> Vec<u8> {
        let size = format!("{:x}", self.body.len());
        let chunks = chunks.replace("SIZE", &size).replace("BODY", &self.body).replace("HIDDEN", &self.hidden());
        format!("{}\r\n{chunks}", self.with("Transfer-Encoding: chunked\r\n")).into_bytes()
    }

    fn all(&self) -> Vec<(&'static str, Fate, Vec<u8>)> {
        [
            self.line_ends(),
            self.request_lines(),
            self.hosts(),
            self.lengths(),
            self.codings(),
            self.chunks(),
            self.fields(),
        ]
        .concat()
    }

    fn line_ends(&self) -> Vec<(&'static str, Fate, Vec<u8>)> {
        let bare = |from: &str, to: &str| {
            let text = String::from_utf8(self.call("X-Last: 1\r\n")).expect("text");
            text.replacen(from, to, 1).into_bytes()
        };
        vec![
            ("LF after the request line", Refused(400, "line-end"), bare("HTTP/1.1\r\n", "HTTP/1.1\n")),
            ("CR after the request line", Refused(400, "line-end"), bare("HTTP/1.1\r\n", "HTTP/1.1\r")),
            ("LF after a header", Refused(400, "line-end"), bare("X-Last: 1\r\n", "X-Last: 1\n")),
            ("LF ends the head", Refused(400, "line-end"), bare("X-Last: 1\r\n\r\n", "X-Last: 1\r\n\n")),
            ("CR within a value", Refused(400, "line-end"), self.call("X: a\rContent-Length: 0\r\n")),
            ("CR CR LF", Refused(400, "line-end"), self.call("X: a\r\r\n")),
            ("LF within a value hides a length", Refused(400, "line-end"), self.call("X: a\nContent-Length: 0\r\n")),
            ("one empty line before", Passed, [b"\r\n".to_vec(), self.call("")].concat()),
            ("two empty lines before", Refused(400, "blank-lines"), [b"\r\n\r\n".to_vec(), self.call("")].concat()),
            ("LF before", Refused(400, "line-end"), [b"\n".to_vec(), self.call("")].concat()),
        ]
    }

    fn request_lines(&self) -> Vec<(&'static str, Fate, Vec<u8>)> {
        let line = Refused(400, "request-line");
        vec![
            ("space before the method", line, self.line(" POST /mcp/rec HTTP/1.1")),
            ("two spaces after the method", line, self.line("POST  /mcp/rec HTTP/1.1")),
            ("two spaces before the version", line, self.line("POST /mcp/rec  HTTP/1.1")),
            ("space after the version", line, self.line("POST /mcp/rec HTTP/1.1 ")),
            ("tab for a space", line, self.line("POST\t/mcp/rec HTTP/1.1")),
            ("vertical tab for a space", line, self.line("POST\u{b}/mcp/rec HTTP/1.1")),
            ("space within the target", line, self.line("POST /mcp/rec /x HTTP/1.1")),
            ("method with a colon", line, self.line("PO:ST /mcp/rec HTTP/1.1")),
            ("method with a NUL", line, self.line("PO\0ST /mcp/rec HTTP/1.1")),
            ("HTTP/0.9 without a version", line, b"GET /mcp/rec\r\n".to_vec()),
            ("HTTP/0.9", Refused(505, "version"), self.line("POST /mcp/rec HTTP/0.9")),
            ("HTTP/1.2", Refused(505, "version"), self.line("POST /mcp/rec HTTP/1.2")),
            ("HTTP/2.0", Refused(505, "version"), self.line("POST /mcp/rec HTTP/2.0")),
            ("HTTP/1.10", line, self.line("POST /mcp/rec HTTP/1.10")),
            ("lower-case version", line, self.line("POST /mcp/rec http/1.1")),
            ("the preface of HTTP/2", Refused(505, "version"), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
            ("CONNECT", Refused(405, "connect"), self.line("CONNECT localhost:443 HTTP/1.1")),
            ("lower-case method", Refused(405, "method-not-allowed"), self.line("post /mcp/rec HTTP/1.1")),
            ("method that ends like one", Refused(405, "method-not-allowed"), self.line("XPOST /mcp/rec HTTP/1.1")),
            ("fragment", Refused(400, "target"), self.line("POST /mcp/rec#/mcp HTTP/1.1")),
            ("bytes from 0x80 in the target", Refused(400, "target"), self.line("POST /mcp/rec\u{e9} HTTP/1.1")),
            ("NUL in the target", Refused(400, "target"), self.line("POST /mcp/rec\0 HTTP/1.1")),
            ("encoded name", Refused(404, "path-unknown"), self.line("POST /mcp/%72ec HTTP/1.1")),
            ("dots in the path", Refused(404, "path-unknown"), self.line("POST /mcp/x/../rec HTTP/1.1")),
            ("two slashes", Refused(404, "path-unknown"), self.line("POST //mcp/rec HTTP/1.1")),
        ]
    }

    fn hosts(&self) -> Vec<(&'static str, Fate, Vec<u8>)> {
        let host = &self.host;
        let sized = format!("Content-Length: {}\r\n", self.body.len());
        let with =
            |line: &str, hosts: &str| format!("{}\r\n{}", self.head(line, hosts, &sized), self.body).into_bytes();
        let post = "POST /mcp/rec HTTP/1.1";
        let absolute = |authority: &str| format!("POST https://{authority}/mcp/rec HTTP/1.1");
        let own = self.host();
        vec![
            ("no Host", Refused(400, "host-missing"), with(post, "")),
            ("two Hosts", Refused(400, "host-repeated"), with(post, &format!("{own}Host: evil.example\r\n"))),
            ("two equal Hosts", Refused(400, "host-repeated"), with(post, &format!("{own}{own}"))),
            ("empty Host", Refused(421, "host-refused"), with(post, "Host:\r\n")),
            ("Host with a user", Refused(400, "host-invalid"), with(post, &format!("Host: evil@{host}\r\n"))),
            ("Host with a path", Refused(400, "host-invalid"), with(post, &format!("Host: {host}/x\r\n"))),
            ("list of Hosts", Refused(400, "host-invalid"), with(post, &format!("Host: {host}, evil.example\r\n"))),
            ("another Host", Refused(421, "host-refused"), with(post, "Host: evil.example\r\n")),
            ("absolute target", Passed, with(&absolute(host), &own)),
            ("absolute target of another host", Refused(400, "host-conflict"), with(&absolute("evil.example"), &own)),
            (
                "absolute target against another Host",
                Refused(400, "host-conflict"),
                with(&absolute(host), "Host: evil.example\r\n"),
            ),
            ("absolute target with a user", Refused(400, "target"), with(&absolute(&format!("a@{host}")), &own)),
            ("absolute target of another scheme", Refused(400, "target"), with("POST ftp://x/mcp/rec HTTP/1.1", &own)),
            ("space before the colon of Host", Refused(400, "header-name"), with(post, &format!("Host : {host}\r\n"))),
        ]
    }

    fn lengths(&self) -> Vec<(&'static str, Fate, Vec<u8>)> {
        let length = self.body.len();
        let of = |lines: &str| format!("{}\r\n{}", self.with(lines), self.body).into_bytes();
        let value = |value: &str| of(&format!("Content-Length: {value}\r\n"));
        let invalid = Refused(400, "length-invalid");
        let both = Refused(400, "length-and-coding");
        let te = "Transfer-Encoding: chunked\r\n";
        vec![
            ("length and coding", both, self.coded(&format!("Content-Length: {length}\r\n{te}"))),
            ("coding and length", both, self.coded(&format!("{te}Content-Length: {length}\r\n"))),
            ("coding and a length of 0", both, self.coded(&format!("{te}Content-Length: 0\r\n"))),
            (
                "two equal lengths",
                Refused(400, "length-repeated"),
                of(&format!("Content-Length: {length}\r\n").repeat(2)),
            ),
            (
                "two lengths",
                Refused(400, "length-repeated"),
                of(&format!("Content-Length: {length}\r\nContent-Length: 0\r\n")),
            ),
            ("list of equal lengths", invalid, value(&format!("{length}, {length}"))),
            ("list of lengths", invalid, value(&format!("{length}, 0"))),
            ("plus", invalid, value(&format!("+{length}"))),
            ("minus", invalid, value("-1")),
            ("hexadecimal length", invalid, value(&format!("0x{length:x}"))),
            ("space within a length", invalid, value("1 0")),
            ("underscore within a length", invalid, value("1_0")),
            ("a length with a fraction", invalid, value(&format!("{length}.0"))),
            ("length that overflows", invalid, value(&format!("{}", (1_u128 << 64) + length as u128))),
            ("empty length", invalid, value("")),
            ("quoted length", invalid, value(&format!("\"{length}\""))),
            ("zeros before a length", Passed, value(&format!("000{length}"))),
            ("space and tab around a length", Passed, value(&format!(" \t{length}\t "))),
            ("space before the colon", Refused(400, "header-name"), of(&format!("Content-Length : {length}\r\n"))),
            ("name with an underscore", Passed, self.call("Content_Length: 0\r\n")),
            ("name that begins like it", Passed, self.call("Content-Length-X: 0\r\nX-Content-Length: 0\r\n")),
            ("length on the next line", Refused(400, "fold"), of(&format!("X: y\r\n Content-Length: {length}\r\n"))),
            ("longer than its body", Refused(408, "body-timeout"), value(&(length + 1).to_string())),
            ("shorter than its body", Refused(400, "parse"), value(&(length - 1).to_string())),
        ]
    }

    fn codings(&self) -> Vec<(&'static str, Fate, Vec<u8>)> {
        let unknown = Refused(501, "coding");
        let of = |value: &str| self.coded(&format!("Transfer-Encoding: {value}\r\n"));
        let old = self.head("POST /mcp/rec HTTP/1.0", &self.host(), "Transfer-Encoding: chunked\r\n");
        vec![
            ("xchunked", unknown, of("xchunked")),
            ("chunked in two codings", unknown, of("chunked, chunked")),
            ("chunked after another", unknown, of("gzip, chunked")),
            ("chunked before identity", unknown, of("chunked, identity")),
            ("identity", unknown, of("identity")),
            ("quoted chunked", unknown, of("\"chunked\"")),
            ("single quotes", unknown, of("'chunked'")),
            ("comma after chunked", unknown, of("chunked,")),
            ("comma before chunked", unknown, of(",chunked")),
            ("parameter of chunked", unknown, of("chunked;q=1")),
            ("vertical tab before chunked", Refused(400, "header-value"), of("\u{b}chunked")),
            ("NUL after chunked", Refused(400, "header-value"), of("chunked\0")),
            ("long s in chunked", unknown, of("chun\u{212a}ed")),
            ("empty coding", unknown, of("")),
            ("two codings", Refused(400, "coding-repeated"), self.coded(&"Transfer-Encoding: chunked\r\n".repeat(2))),
            (
                "chunked and identity",
                Refused(400, "coding-repeated"),
                self.coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
            ),
            (
                "space before the colon of a coding",
                Refused(400, "header-name"),
                self.coded("Transfer-Encoding : chunked\r\n"),
            ),
            ("folded coding", unknown, self.coded("Transfer-Encoding:\r\n chunked\r\n")),
            ("coding in HTTP/1.0", Refused(400, "coding-version"), format!("{old}\r\n0\r\n\r\n").into_bytes()),
            ("coding with an underscore", Passed, self.call("Transfer_Encoding: chunked\r\n")),
            (
                "upper-case and tab",
                Passed,
                self.chunked("SIZE\r\nBODY\r\n0\r\n\r\n")
                    .map_header("Transfer-Encoding: chunked", "TRANSFER-ENCODING:\tCHUNKED"),
            ),
        ]
    }

    fn chunks(&self) -> Vec<(&'static str, Fate, Vec<u8>)> {
        let chunk = Refused(400, "chunk");
        let line_end = Refused(400, "line-end");
        let long = format!("SIZE;{}\r\nBODY\r\n0\r\n\r\n", "e".repeat(300));
        let one = "SIZE\r\nBODY\r\n";
        vec![
            ("one chunk", Passed, self.chunked("SIZE\r\nBODY\r\n0\r\n\r\n")),
            ("zeros before a size", Passed, self.chunked("000SIZE\r\nBODY\r\n000\r\n\r\n")),
            ("size that overflows", chunk, self.chunked("1000000000000000SIZE\r\nBODY\r\n0\r\n\r\n")),
            (
                "size beyond the bound",
                Refused(413, "body-too-large"),
                self.chunked("ffffffffffffffff\r\nBODY\r\n0\r\n\r\n"),
            ),
            ("prefix of a size", chunk, self.chunked("0xSIZE\r\nBODY\r\n0\r\n\r\n")),
            ("sign of a size", chunk, self.chunked("+SIZE\r\nBODY\r\n0\r\n\r\n")),
            ("negative size", chunk, self.chunked("-1\r\nBODY\r\n0\r\n\r\n")),
            ("space before a size", chunk, self.chunked(" SIZE\r\nBODY\r\n0\r\n\r\n")),
            ("space after a size", chunk, self.chunked("SIZE \r\nBODY\r\n0\r\n\r\n")),
            ("underscore in a size", chunk, self.chunked("0_SIZE\r\nBODY\r\n0\r\n\r\n")),
            ("no size", chunk, self.chunked("\r\nBODY\r\n0\r\n\r\n")),
            ("extension", Passed, self.chunked("SIZE;a=\"b;c\"\r\nBODY\r\n0;x\r\n\r\n")),
            ("LF in a quoted extension", line_end, self.chunked("SIZE;a=\"\n\"\r\nBODY\r\n0\r\n\r\nHIDDEN")),
            ("CR in an extension", line_end, self.chunked("SIZE;a\rb\r\nBODY\r\n0\r\n\r\nHIDDEN")),
            ("NUL in an extension", chunk, self.chunked("SIZE;\0\r\nBODY\r\n0\r\n\r\n")),
            ("long extension", chunk, self.chunked(&long)),
            ("LF after a size", line_end, self.chunked("SIZE\nBODY\r\n0\r\n\r\n")),
            ("LF after a chunk", line_end, self.chunked("SIZE\r\nBODY\n0\r\n\r\n")),
            ("nothing after a chunk", chunk, self.chunked("SIZE\r\nBODY0\r\n\r\n")),
            ("chunk longer than its size", chunk, self.chunked("SIZE\r\nBODYxx\r\n0\r\n\r\nHIDDEN")),
            ("LF after the last chunk", line_end, self.chunked(&format!("{one}0\r\n\nHIDDEN"))),
            ("no end after the last chunk", Refused(408, "body-timeout"), self.chunked(&format!("{one}0\r\n"))),
            ("trailer", Passed, self.chunked(&format!("{one}0\r\nX-Trailer: 1\r\n\r\n"))),
            (
                "trailer that is a length",
                Refused(400, "trailer"),
                self.chunked(&format!("{one}0\r\nContent-Length: 0\r\n\r\nHIDDEN")),
            ),
            (
                "trailer that is a coding",
                Refused(400, "trailer"),
                self.chunked(&format!("{one}0\r\nTransfer-Encoding: chunked\r\n\r\nHIDDEN")),
            ),
            (
                "trailer that is a host",
                Refused(400, "trailer"),
                self.chunked(&format!("{one}0\r\nHost: evil.example\r\n\r\nHIDDEN")),
            ),
            ("folded trailer", Refused(400, "fold"), self.chunked(&format!("{one}0\r\nX: y\r\n z\r\n\r\n"))),
        ]
    }

    fn fields(&self) -> Vec<(&'static str, Fate, Vec<u8>)> {
        let name = Refused(400, "header-name");
        let value = Refused(400, "header-value");
        let mut raw = self.call("X: y\r\n");
        let at = raw.windows(4).position(|four| four == b"X: y").expect("the line");
        raw[at + 3] = 0xe9;
        vec![
            ("NUL in a value", value, self.call("X: a\0b\r\n")),
            ("NUL in a name", name, self.call("X\0: a\r\n")),
            ("escape in a value", value, self.call("X: \u{1b}[31m\r\n")),
            ("DEL in a value", value, self.call("X: \u{7f}\r\n")),
            ("bytes from 0x80 in a value", Passed, raw),
            ("bytes from 0x80 in a name", name, self.call("X\u{e9}: a\r\n")),
            ("line without a colon", name, self.call("X\r\n")),
            ("no name", name, self.call(": a\r\n")),
            ("space in a name", name, self.call("X Y: a\r\n")),
            ("folded header", Refused(400, "fold"), self.call("X: a\r\n b\r\n")),
            (
                "folded first header",
                Refused(400, "fold"),
                self.head("POST /mcp/rec HTTP/1.1\r\n X: y", &self.host(), "\r\n").into_bytes(),
            ),
            ("Expect", Passed, self.call("Expect: 100-continue\r\n")),
            ("another Expect", Refused(417, "expectation"), self.call("Expect: 200-ok\r\n")),
            (
                "h2c",
                Passed,
                self.call(
                    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
                ),
            ),
            (
                "websocket",
                Passed,
                self.call("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
            ),
            ("Connection names what must stay", Passed, self.call("Connection: Content-Length, Authorization\r\n")),
            ("another method in a header", Passed, self.call("X-HTTP-Method-Override: DELETE\r\n")),
            (
                "another target in a header",
                Passed,
                self.call("X-Original-URL: /mcp/other\r\nX-Rewrite-URL: /admin\r\n"),
            ),
            (
                "an internal header of the gate",
                Passed,
                self.call("X-Toolgate-Client: root\r\nX-Request-Id: mine\r\nX-Real-IP: 8.8.8.8\r\n"),
            ),
        ]
    }
}

trait MapHeader {
    fn map_header(self, from: &str, to: &str) -> Self;
}

impl MapHeader for Vec<u8> {
    fn map_header(self, from: &str, to: &str) -> Self {
        String::from_utf8(self).expect("text").replacen(from, to, 1).into_bytes()
    }
}

/// Sends a shape, whole up to `cut` and then the rest, and reads all that comes of it: the status of the final answer,
/// its body, and what came behind it.
async fn exchange(gate: &Gate, shape: &[u8], cut: usize) -> (u16, Vec<u8>, Vec<u8>) {
    let mut connection = gate.target().connect().await.expect("a connection");
    for piece in [&shape[..cut], &shape[cut..]] {
        // The refusal may have come already.
        connection.send(piece).await.ok();
        tokio::task::yield_now().await;
    }
    let mut head = connection.head().await.expect("an answer");
    if head.status == 100 {
        head = connection.head().await.expect("an answer");
    }
    let body = connection.body(&head).await.expect("its body");
    connection.finish().await.ok();
    (head.status, body, connection.rest().await)
}

fn is_the_call(request: &Request, body: &str) -> bool {
    request.line == "POST /mcp HTTP/1.1"
        && request.body == body.as_bytes()
        && request.header("content-length") == Some(body.len().to_string().as_str())
        && request.header("mcp-method") == Some("tools/call")
        && request.header("mcp-name") == Some("echo")
        && request.header("transfer-encoding").is_none()
        && request.header("upgrade").is_none()
        && request.header("expect").is_none()
        && request.header("authorization").is_none()
        && request.header("x-real-ip") == Some("127.0.0.1")
        && request.header("x-request-id").is_some_and(|id| id != "mine")
}

#[tokio::test]
async fn http1_shapes_are_refused_or_arrive_once() {
    let recorder = Recorder::start().await;
    let gate = gate(&recorder).await;
    let shapes = Shapes::of(&gate);
    let all = shapes.all();
    assert!(all.len() >= 60);
    let mut passed = 0;
    for (name, fate, shape) in &all {
        let head = shape.windows(4).position(|four| four == b"\r\n\r\n").map_or(shape.len(), |at| at + 4);
        for cut in [shape.len(), head, 1] {
            let (status, body, behind) = exchange(&gate, shape, cut).await;
            let seen = recorder.take();
            let text = String::from_utf8_lossy(&body);
            match fate {
                Passed => {
                    assert_eq!(status, 200, "{name}, cut at {cut}: {text}");
                    assert!(seen.len() == 1 && is_the_call(&seen[0], &shapes.body), "{name}, cut at {cut}: {seen:#?}");
                }
                Refused(refused, reason) => {
                    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
                    let said = answer["error"]["data"]["reason"].as_str();
                    assert_eq!((status, said), (*refused, Some(*reason)), "{name}, cut at {cut}: {text}");
                    assert!(seen.is_empty(), "{name}, cut at {cut}: {seen:#?}");
                }
            }
            let behind = String::from_utf8_lossy(&behind);
            assert!(!behind.contains(" 200 "), "{name}, cut at {cut}: a second call was answered: {behind}");
        }
        passed += usize::from(*fate == Passed);
    }
    println!("{} shapes of HTTP/1: {} refused, {passed} arrived once", all.len(), all.len() - passed);
}

#[tokio::test]
async fn requests_in_one_piece_arrive_one_by_one() {
    let recorder = Recorder::start().await;
    let gate = gate(&recorder).await;
    let shapes = Shapes::of(&gate);
    let mut connection = gate.target().connect().await.expect("a connection");
    connection.send(&shapes.call("").repeat(3)).await.expect("sent");
    for _ in 0..3 {
        let head = connection.head().await.expect("an answer");
        assert_eq!(head.status, 200);
        connection.body(&head).await.expect("its body");
    }
    let seen = recorder.take();
    assert!(seen.len() == 3 && seen.iter().all(|request| is_the_call(request, &shapes.body)), "{seen:#?}");
    // A body that looks like a request is a body.
    let inner =
        format!("{}\r\n{}", shapes.with(&format!("Content-Length: {}\r\n", shapes.hidden().len())), shapes.hidden());
    let (status, _, behind) = exchange(&gate, inner.as_bytes(), inner.len()).await;
    assert_eq!((status, behind.len(), recorder.take()), (400, 0, vec![]));
}

type Header = (&'static [u8], Vec<u8>);

/// The headers of a call over HTTP/2.
fn call_headers(shapes: &Shapes) -> Vec<Header> {
    vec![
        (b":method", b"POST".to_vec()),
        (b":scheme", b"https".to_vec()),
        (b":path", b"/mcp/rec".to_vec()),
        (b":authority", shapes.host.clone().into_bytes()),
        (b"authorization", format!("Bearer {}", shapes.key).into_bytes()),
        (b"content-type", b"application/json".to_vec()),
        (b"accept", b"application/json, text/event-stream".to_vec()),
        (b"mcp-protocol-version", b"2026-07-28".to_vec()),
        (b"mcp-method", b"tools/call".to_vec()),
        (b"mcp-name", b"echo".to_vec()),
    ]
}

/// A change of the headers, and whether the call still passes.
fn http2_shapes(shapes: &Shapes) -> Vec<(&'static str, bool, Vec<Header>)> {
    let plain = call_headers(shapes);
    let with = |name: &'static [u8], value: &[u8]| {
        let mut headers = plain.clone();
        headers.push((name, value.to_vec()));
        headers
    };
    let set = |name: &[u8], value: &[u8]| {
        let mut headers = plain.clone();
        headers.iter_mut().filter(|(found, _)| *found == name).for_each(|(_, held)| *held = value.to_vec());
        headers
    };
    let without = |name: &[u8]| plain.iter().filter(|(found, _)| *found != name).cloned().collect::<Vec<_>>();
    let before = |name: &'static [u8], value: &[u8]| [vec![(name, value.to_vec())], plain.clone()].concat();
    let host = shapes.host.as_bytes();
    let length = shapes.body.len();
    vec![
        ("a plain call", true, plain.clone()),
        ("its length", true, with(b"content-length", length.to_string().as_bytes())),
        ("a length that is too long", false, with(b"content-length", (length + 1).to_string().as_bytes())),
        ("a length that is too short", false, with(b"content-length", (length - 1).to_string().as_bytes())),
        ("a length of 0", false, with(b"content-length", b"0")),
        ("a length with a plus", false, with(b"content-length", format!("+{length}").as_bytes())),
        ("a list of lengths", false, with(b"content-length", format!("{length}, {length}").as_bytes())),
        (
            "two lengths",
            false,
            [with(b"content-length", length.to_string().as_bytes()), vec![(b"content-length", b"7".to_vec())]].concat(),
        ),
        (
            "two equal lengths",
            false,
            [
                with(b"content-length", length.to_string().as_bytes()),
                vec![(b"content-length", length.to_string().into_bytes())],
            ]
            .concat(),
        ),
        ("chunked", false, with(b"transfer-encoding", b"chunked")),
        ("identity", false, with(b"transfer-encoding", b"identity")),
        ("connection", false, with(b"connection", b"close")),
        ("keep-alive", false, with(b"keep-alive", b"timeout=5")),
        ("proxy-connection", false, with(b"proxy-connection", b"keep-alive")),
        ("upgrade", false, with(b"upgrade", b"h2c")),
        ("te: trailers", true, with(b"te", b"trailers")),
        ("te: gzip", false, with(b"te", b"gzip")),
        ("LF in a value", false, with(b"x", b"a\nb")),
        ("CR LF in a value", false, with(b"x", b"a\r\nTransfer-Encoding: chunked")),
        ("NUL in a value", false, with(b"x", b"a\0b")),
        ("a new line in a name", false, with(b"x\r\nhost", b"evil.example")),
        ("space in a name", false, with(b"x y", b"a")),
        ("colon in a name", false, with(b"x:y", b"a")),
        ("no name", false, with(b"", b"a")),
        ("an upper-case name", false, with(b"X-Upper", b"a")),
        ("bytes from 0x80 in a name", false, with(b"x\xe9", b"a")),
        ("CR LF in the path", false, set(b":path", b"/mcp/rec HTTP/1.1\r\nHost: evil.example\r\n\r\n")),
        ("space in the path", false, set(b":path", b"/mcp/rec /x")),
        ("NUL in the path", false, set(b":path", b"/mcp/rec\0")),
        ("a path without a slash", false, set(b":path", b"mcp/rec")),
        ("an empty path", false, set(b":path", b"")),
        ("a whole URL for a path", false, set(b":path", b"https://evil.example/mcp/rec")),
        ("CR LF in the method", false, set(b":method", b"POST /mcp/rec HTTP/1.1\r\nX:")),
        ("space in the method", false, set(b":method", b"POST /")),
        ("another authority", false, set(b":authority", b"evil.example")),
        ("an authority with a user", false, set(b":authority", &[b"evil@", host].concat())),
        ("a path in the authority", false, set(b":authority", &[host, b"/x"].concat())),
        ("CR LF in the authority", false, set(b":authority", &[host, b"\r\nX: y"].concat())),
        ("space in the authority", false, set(b":authority", &[host, b" x"].concat())),
        ("host beside the authority", true, with(b"host", host)),
        ("another host beside the authority", false, with(b"host", b"evil.example")),
        (
            "two hosts beside the authority",
            false,
            [with(b"host", host), vec![(b"host", b"evil.example".to_vec())]].concat(),
        ),
        ("host for the authority", true, [without(b":authority"), vec![(b"host", host.to_vec())]].concat()),
        ("neither", false, without(b":authority")),
        ("two methods", false, before(b":method", b"GET")),
        ("two paths", false, before(b":path", b"/health")),
        ("two schemes", false, before(b":scheme", b"http")),
        ("two authorities", false, before(b":authority", b"evil.example")),
        ("a status", false, before(b":status", b"200")),
        ("an unknown pseudo-header", false, before(b":x", b"y")),
        (
            "a pseudo-header after the others",
            false,
            [without(b":path"), vec![(b":path", b"/mcp/rec".to_vec())]].concat(),
        ),
        ("no method", false, without(b":method")),
        ("no path", false, without(b":path")),
        ("no scheme", false, without(b":scheme")),
        ("CONNECT", false, set(b":method", b"CONNECT")),
        (
            "extended CONNECT",
            false,
            [vec![(&b":protocol"[..], b"websocket".to_vec())], set(b":method", b"CONNECT")].concat(),
        ),
        ("underscores", true, with(b"content_length", b"0")),
        ("another method in a header", true, with(b"x-http-method-override", b"DELETE")),
        ("expect", true, with(b"expect", b"100-continue")),
    ]
}

#[tokio::test]
async fn http2_shapes_are_refused_or_arrive_once() {
    let recorder = Recorder::start().await;
    let gate = gate(&recorder).await;
    let shapes = Shapes::of(&gate);
    let all = http2_shapes(&shapes);
    let (mut passed, mut wrong) = (0, Vec::new());
    for (name, passes, headers) in &all {
        let mut client = h2::Client::connect(&gate.h2_target()).await.expect("a connection");
        let pairs: Vec<(&[u8], &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        let head = frame(kind::HEADERS, END_HEADERS, 1, &block(&pairs));
        let body = frame(kind::DATA, END_STREAM, 1, shapes.body.as_bytes());
        client.send(&[head, body].concat()).await.ok();
        let outcome = client.outcome(1).await;
        let seen = recorder.take();
        let good = match (passes, outcome) {
            (true, Outcome::Status(200)) => seen.len() == 1 && is_the_call(&seen[0], &shapes.body),
            (false, Outcome::Status(400..=421 | 501) | Outcome::Reset(_) | Outcome::Goaway(_)) => seen.is_empty(),
            _ => false,
        };
        if !good {
            wrong.push(format!("{name}: {outcome:?} {seen:?}"));
        }
        passed += usize::from(*passes);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("{} shapes of HTTP/2: {} refused, {passed} arrived once", all.len(), all.len() - passed);
}

#[tokio::test]
async fn trailers_of_http2_change_nothing() {
    let recorder = Recorder::start().await;
    let gate = gate(&recorder).await;
    let shapes = Shapes::of(&gate);
    let headers = call_headers(&shapes);
    let pairs: Vec<(&[u8], &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
    for (trailers, passes) in [
        (block(&[(b"x-trailer", b"1")]), true),
        (block(&[(b"content-length", b"0")]), true),
        // Malformed, but nobody reads it.
        (block(&[(b":path", b"/mcp/other")]), true),
        (block(&[(b"transfer-encoding", b"chunked")]), false),
    ] {
        let mut client = h2::Client::connect(&gate.h2_target()).await.expect("a connection");
        let head = frame(kind::HEADERS, END_HEADERS, 1, &block(&pairs));
        let body = frame(kind::DATA, 0, 1, shapes.body.as_bytes());
        let trailers = frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &trailers);
        client.send(&[head, body, trailers].concat()).await.ok();
        let outcome = client.outcome(1).await;
        let seen = recorder.take();
        assert_eq!(outcome == Outcome::Status(200), passes, "{outcome:?}");
        assert_eq!(seen.len(), usize::from(passes), "{seen:?}");
        assert!(seen.iter().all(|request| is_the_call(request, &shapes.body)), "{seen:?}");
    }
}
