//! The demo server as a program: over stdio and over HTTP.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toolgated"));
    command
        .arg("demo-server")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A server over HTTP, killed when dropped.
struct Http {
    process: Child,
    address: String,
}

impl Http {
    fn start() -> Self {
        let mut process = start(&["--http", "127.0.0.1:0"]);
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("listening on http://").unwrap().strip_suffix("/mcp").unwrap().to_owned();
        Self { process, address }
    }

    /// Sends a request and returns the whole answer: status, head in lower case, body.
    fn send(&self, method: &str, headers: &[(&str, &str)], body: &str) -> (u16, String, String) {
        let mut stream = self.open(method, headers, body);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
    }

    fn open(&self, method: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let mut text = format!("{method} /mcp HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            write!(text, "Host: {}\r\n", self.address).unwrap();
        }
        for (name, value) in headers {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
        stream
    }

    fn initialize(&self) -> String {
        let (status, head, _) =
            self.send("POST", &[], &request(1, "initialize", &json!({ "protocolVersion": "2025-11-25" })));
        assert_eq!(status, 200);
        head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap().to_owned()
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn request(id: u32, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

fn modern(method: &str, mut params: Value) -> String {
    params["_meta"] = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}, "progressToken": 7 });
    request(5, method, &params)
}

#[test]
fn over_stdio_answers_come_as_they_are_done_and_the_end_of_input_ends_it() {
    let mut server = start(&["--stdio"]);
    let mut input = server.stdin.take().unwrap();
    let slow = json!({ "name": "slow", "arguments": { "seconds": 600 } });
    let lines = [
        "not json".to_owned(),
        request(1, "initialize", &json!({ "protocolVersion": "2025-06-18" })),
        request(2, "tools/call", &slow),
        request(3, "ping", &json!({})),
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 2 } }).to_string(),
        request(4, "tools/call", &json!({ "name": "echo", "arguments": { "text": "a\nb" } })),
    ];
    input.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    let mut output = BufReader::new(server.stdout.take().unwrap()).lines();
    let answers: Vec<Value> = (0..4).map(|_| serde_json::from_str(&output.next().unwrap().unwrap()).unwrap()).collect();
    assert_eq!(
        answers.iter().map(|answer| &answer["id"]).collect::<Vec<_>>(),
        [&Value::Null, &json!(1), &json!(3), &json!(4)]
    );
    assert_eq!(answers[3]["result"]["content"][0]["text"], "a\nb");
    drop(input);
    assert!(output.next().is_none());
    assert!(server.wait().unwrap().success());
}

#[test]
fn a_legacy_session_begins_serves_and_ends() {
    let server = Http::start();
    let id = server.initialize();
    let session = [("Mcp-Session-Id", id.as_str())];
    let list = request(2, "tools/list", &json!({}));
    assert_eq!(server.send("POST", &session, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).0, 202);
    let (status, head, body) = server.send("POST", &session, &list);
    assert!(status == 200 && head.contains("content-type: application/json") && body.contains("\"slow\""), "{body}");
    assert_eq!(server.send("POST", &[], &list).0, 400);
    assert_eq!(server.send("POST", &[("Mcp-Session-Id", "other")], &list).0, 404);
    assert_eq!(server.send("DELETE", &session, "").0, 204);
    assert_eq!(server.send("POST", &session, &list).0, 404);
}

#[test]
fn progress_comes_as_events_before_the_answer() {
    let server = Http::start();
    let call = modern("tools/call", json!({ "name": "slow", "arguments": { "seconds": 0, "steps": 2 } }));
    let headers = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "slow")];
    let (status, head, body) = server.send("POST", &headers, &call);
    assert!(status == 200 && head.contains("text/event-stream"), "{head}");
    let events: Vec<usize> = ["\"progress\":1", "\"progress\":2", "\"resultType\":\"complete\""]
        .iter()
        .map(|part| body.find(part).expect(part))
        .collect();
    assert!(events.is_sorted(), "{body}");
}

#[test]
fn headers_of_the_modern_era_must_agree_with_the_body() {
    let server = Http::start();
    let list = modern("tools/list", json!({}));
    let version = ("MCP-Protocol-Version", "2026-07-28");
    assert_eq!(server.send("POST", &[version, ("Mcp-Method", "tools/list")], &list).0, 200);
    for headers in [&[version][..], &[version, ("Mcp-Method", "tools/call")], &[("Mcp-Method", "tools/list")]] {
        let (status, _, body) = server.send("POST", headers, &list);
        assert!(status == 400 && body.contains("-32020"), "{headers:?}: {body}");
    }
    let (status, _, body) =
        server.send("POST", &[version, ("Mcp-Method", "tools/list")], &request(1, "tools/list", &json!({})));
    assert!(status == 400 && body.contains("-32602"), "{body}");
    let (status, _, body) = server.send("POST", &[version, ("Mcp-Method", "ping")], &modern("ping", json!({})));
    assert!(status == 404 && body.contains("-32601"), "{body}");
}

#[test]
fn a_web_page_elsewhere_is_refused() {
    let server = Http::start();
    let discover = modern("server/discover", json!({}));
    let modern = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "server/discover")];
    assert_eq!(server.send("POST", &modern, &discover).0, 200);
    for bad in [("Origin", "https://evil.example"), ("Host", "evil.example")] {
        assert_eq!(server.send("POST", &[&modern[..], &[bad]].concat(), &discover).0, 403, "{bad:?}");
    }
    assert_eq!(server.send("POST", &[&modern[..], &[("Origin", "http://localhost:3000")]].concat(), &discover).0, 200);
}

#[test]
fn a_get_stream_stays_open_until_the_session_is_deleted() {
    let server = Http::start();
    let id = server.initialize();
    let session = [("Mcp-Session-Id", id.as_str()), ("Accept", "text/event-stream")];
    let mut stream = server.open("GET", &session, "");
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    server.send("DELETE", &session, "");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(server.send("GET", &[], "").0, 405);
}
