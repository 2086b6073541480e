//! The bridge between a client's pipes and a gate that plays its part by script.

mod common;

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Answer, DEADLINE, Request, serve, toolgate};
use serde_json::{Value, json};

/// A gate: its address and what it was asked, in order.
struct Gate {
    url: String,
    seen: Receiver<Request>,
}

impl Gate {
    fn start(handler: impl Fn(&Request, &mut Answer<'_>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let url = format!("http://{}/mcp", listener.local_addr().expect("address"));
        let (see, seen) = channel();
        let handler = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (handler, see) = (Arc::clone(&handler), see.clone());
                std::thread::spawn(move || connection(stream, handler.as_ref(), &see));
            }
        });
        Self { url, seen }
    }

    /// The next request of this method.
    fn next(&self, method: &str) -> Request {
        loop {
            let request = self.seen.recv_timeout(DEADLINE).expect(method);
            if request.method == method {
                return request;
            }
        }
    }
}

fn connection(stream: TcpStream, handler: &dyn Fn(&Request, &mut Answer<'_>), see: &Sender<Request>) {
    stream.set_nodelay(true).expect("nodelay");
    let reader = stream.try_clone().expect("clones");
    serve(reader, stream, |request, answer| {
        let _ = see.send(request.clone());
        handler(request, answer);
    });
}

/// The bridge as a client holds it.
struct Bridge {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Bridge {
    fn start(url: &str) -> Self {
        Self::with(toolgate().args(["bridge", url]).env("TOOLGATE_KEY", "tg_id_secret"))
    }

    fn with(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
        let output = BufReader::new(child.stdout.take().expect("stdout"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).take_while(|line| send.send(line.clone()).is_ok()).count()
        });
        Self { input: child.stdin.take(), child, lines }
    }

    fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("open");
        input.write_all(format!("{line}\n").as_bytes()).expect("writes");
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line")
    }

    fn hear(&self) -> Value {
        serde_json::from_str(&self.line()).expect("JSON")
    }

    /// Closes standard input; the exit status.
    fn end(&mut self) -> Option<i32> {
        drop(self.input.take());
        self.child.wait().expect("ends").code()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const INITIALIZE_RESULT: &str = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"g","version":"1"}}}"#;

/// A legacy gate without a stream: `calls` answers what is no part of the handshake.
fn legacy(request: &Request, answer: &mut Answer<'_>, calls: impl Fn(&Request, &mut Answer<'_>)) {
    let body = request.json();
    match (request.method.as_str(), body["method"].as_str()) {
        ("POST", Some("initialize")) => {
            answer.json(&[("mcp-session-id", "s-1")], INITIALIZE_RESULT);
        }
        ("POST", Some("notifications/initialized")) => answer.send("202 Accepted", &[], b""),
        ("GET", _) if request.header("last-event-id").is_none() => {
            answer.send("405 Method Not Allowed", &[], b"");
        }
        ("DELETE", _) => answer.send("200 OK", &[], b""),
        _ => calls(request, answer),
    }
}

fn handshake(bridge: &mut Bridge) {
    bridge.say(INITIALIZE);
    assert_eq!(bridge.hear()["result"]["protocolVersion"], "2025-06-18");
    bridge.say(INITIALIZED);
}

fn call(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"t","arguments":{{}}}}}}"#)
}

#[test]
fn a_legacy_session_from_its_first_line_to_its_delete() {
    let gate = Gate::start(|request, answer| {
        legacy(request, answer, |_, answer| {
            answer.json(&[], r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        });
    });
    let mut bridge = Bridge::start(&gate.url);
    handshake(&mut bridge);
    let first = gate.next("POST");
    assert_eq!(common::text(&first.body), INITIALIZE);
    assert_eq!(first.header("authorization"), Some("Bearer tg_id_secret"));
    assert_eq!(first.header("accept"), Some("application/json, text/event-stream"));
    assert_eq!(first.header("mcp-session-id"), None);
    assert_eq!(gate.next("POST").header("mcp-session-id"), Some("s-1"));
    bridge.say(&call("1"));
    assert_eq!(bridge.hear()["id"], 1);
    let posted = gate.next("POST");
    assert_eq!(posted.header("mcp-session-id"), Some("s-1"));
    assert_eq!(posted.header("mcp-protocol-version"), Some("2025-06-18"));
    assert_eq!(posted.header("mcp-method"), None);
    assert_eq!(bridge.end(), Some(0));
    let deleted = gate.next("DELETE");
    assert_eq!(deleted.header("mcp-session-id"), Some("s-1"));
    assert_eq!(deleted.header("authorization"), Some("Bearer tg_id_secret"));
}

#[test]
fn messages_are_bytes_in_both_directions() {
    const ODD: &str = r#"{"id":1,  "jsonrpc":"2.0","method":"x\/y","params":{"n":123456789012345678901234567890,"f":1.0,"e":1E2,"u":"\u00e9é","z":{}},"extra":[ ]}"#;
    const PRETTY: &str =
        "{\r\n  \"jsonrpc\": \"2.0\",\n  \"id\": 1,\n  \"result\": {\"big\": 1e400, \"b\": 1.0, \"a\": \"\\n\"}\n}\n";
    let gate = Gate::start(|request, answer| {
        legacy(request, answer, |_, answer| answer.json(&[], PRETTY));
    });
    let mut bridge = Bridge::start(&gate.url);
    handshake(&mut bridge);
    bridge.say(ODD);
    assert_eq!(bridge.line(), PRETTY.replace(['\r', '\n'], " "));
    let (_, _, odd) = (gate.next("POST"), gate.next("POST"), gate.next("POST"));
    assert_eq!(common::text(&odd.body), ODD);
}

#[test]
fn an_event_stream_becomes_lines_in_order() {
    let gate = Gate::start(|request, answer| {
        legacy(request, answer, |_, answer| {
            answer.events();
            answer.piece("id: 1\ndata:\n\n: comment\n\n");
            answer.piece("event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\ndata: ");
            answer.piece("\"params\":{}}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"a\\u0062\",\"result\":{}}\n\n");
            answer.end();
        });
    });
    let mut bridge = Bridge::start(&gate.url);
    handshake(&mut bridge);
    bridge.say(&call("\"ab\""));
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","method":"notifications/progress", "params":{}}"#);
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":"a\u0062","result":{}}"#);
    assert_eq!(bridge.end(), Some(0));
}

#[test]
fn the_sessions_own_stream_is_opened_and_answers_go_back() {
    let gate = Gate::start(|request, answer| {
        if request.method == "GET" {
            answer.events();
            answer.piece("data: {\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":\"ping\"}\n\n");
            // Open until the bridge goes away.
            while answer.piece(": still here\n\n") {
                std::thread::sleep(Duration::from_millis(5));
            }
            return;
        }
        legacy(request, answer, |_, answer| {
            answer.send("202 Accepted", &[], b"");
        });
    });
    let mut bridge = Bridge::start(&gate.url);
    handshake(&mut bridge);
    assert_eq!(bridge.hear()["method"], "ping");
    assert_eq!(gate.next("GET").header("mcp-session-id"), Some("s-1"));
    let pong = r#"{"jsonrpc":"2.0","id":"s","result":{}}"#;
    bridge.say(pong);
    assert_eq!(common::text(&gate.next("POST").body), pong);
    assert_eq!(bridge.end(), Some(0));
}

#[test]
fn a_broken_stream_is_resumed_and_not_sent_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let gate = Gate::start(move |request, answer| {
        legacy(request, answer, |request, answer| {
            answer.events();
            if request.method == "POST" {
                counted.fetch_add(1, Ordering::SeqCst);
                answer.piece("id: e-1\nretry: 1\ndata:\n\n");
            } else {
                assert_eq!(request.header("last-event-id"), Some("e-1"));
                answer.piece("id: e-2\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n");
            }
            answer.end();
        });
    });
    let mut bridge = Bridge::start(&gate.url);
    handshake(&mut bridge);
    bridge.say(&call("1"));
    assert_eq!(bridge.hear(), json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_stream_that_cannot_be_resumed_is_an_error_and_not_a_second_call() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let gate = Gate::start(move |request, answer| {
        legacy(request, answer, |_, answer| {
            counted.fetch_add(1, Ordering::SeqCst);
            answer.events();
            answer.end();
        });
    });
    let mut bridge = Bridge::start(&gate.url);
    handshake(&mut bridge);
    bridge.say(&call("1"));
    let said = bridge.hear();
    assert_eq!((&said["id"], &said["error"]["code"]), (&json!(1), &json!(-31502)));
    assert!(said["error"]["message"].as_str().expect("text").contains("check before you repeat"), "{said}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn an_ended_session_is_said_clearly_and_initialize_begins_another() {
    let gate = Gate::start(|request, answer| {
        legacy(request, answer, |_, answer| {
            answer.send("404 Not Found", &[], b"gone");
        });
    });
    let mut bridge = Bridge::start(&gate.url);
    handshake(&mut bridge);
    bridge.say(&call("9"));
    let said = bridge.hear();
    assert_eq!((&said["id"], &said["error"]["code"]), (&json!(9), &json!(-31404)));
    let message = said["error"]["message"].as_str().expect("text");
    assert!(message.contains("has ended") && message.contains("Restart"), "{message}");
    handshake(&mut bridge);
    let again = std::iter::repeat_with(|| gate.next("POST")).filter(|request| request.json()["id"] == 0).nth(1);
    assert_eq!(again.expect("a second initialize").header("mcp-session-id"), None);
}

#[test]
fn a_refusal_keeps_its_words_and_gets_the_id() {
    let gate = Gate::start(|request, answer| {
        legacy(request, answer, |request, answer| match request.json()["id"].as_u64() {
            Some(1) => answer.send(
                "429 Too Many Requests",
                &[("content-type", "application/json")],
                br#"{"jsonrpc":"2.0","error":{"code":-31429,"message":"Wait 2 s."}}"#,
            ),
            Some(2) => answer.send("401 Unauthorized", &[], b""),
            _ => answer.json(&[], r#"{"jsonrpc":"2.0","id":3,"result":{}}"#),
        });
    });
    let mut bridge = Bridge::start(&gate.url);
    handshake(&mut bridge);
    bridge.say(&call("1"));
    assert_eq!(bridge.line(), r#"{"jsonrpc":"2.0","id":1,"error":{"code":-31429,"message":"Wait 2 s."}}"#);
    bridge.say(&call("2"));
    assert_eq!(bridge.hear()["error"]["code"], -31401);
    bridge.say(&call("3"));
    assert_eq!(bridge.hear()["id"], 3);
}

#[test]
fn what_is_no_message_is_answered_and_not_sent() {
    let gate = Gate::start(|request, answer| {
        legacy(request, answer, |_, answer| {
            answer.send("500 Oops", &[], b"");
        });
    });
    let mut bridge = Bridge::start(&gate.url);
    bridge.say("{nonsense");
    assert_eq!(bridge.hear()["error"]["code"], -32700);
    bridge.say(r#"{"id":5,"method":"ping"}"#);
    let said = bridge.hear();
    assert_eq!((&said["id"], &said["error"]["code"]), (&json!(5), &json!(-32600)));
    assert_eq!(bridge.end(), Some(0));
    assert!(gate.seen.try_recv().is_err());
}

#[test]
fn a_gate_that_is_not_there_is_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}/mcp", listener.local_addr().expect("address"));
    drop(listener);
    let mut bridge = Bridge::start(&url);
    bridge.say(INITIALIZE);
    let said = bridge.hear();
    assert_eq!((&said["id"], &said["error"]["code"]), (&json!(0), &json!(-31502)));
    assert!(said["error"]["message"].as_str().expect("text").contains(&url), "{said}");
}

#[test]
fn a_connection_that_breaks_after_the_request_leaves_the_outcome_open() {
    let gate = Gate::start(|_, answer| answer.hang_up());
    let mut bridge = Bridge::start(&gate.url);
    bridge.say(&call("1"));
    let said = bridge.hear();
    assert_eq!((&said["id"], &said["error"]["code"]), (&json!(1), &json!(-31502)));
    assert!(said["error"]["message"].as_str().expect("text").contains("check before you repeat"), "{said}");
    gate.next("POST");
    assert!(gate.seen.try_recv().is_err(), "it was sent once");
}

#[test]
fn a_gate_that_closes_after_each_answer_costs_connections_only() {
    let gate = Gate::start(|request, answer| {
        let id = request.json()["id"].clone();
        answer.json(&[("connection", "close")], &json!({ "jsonrpc": "2.0", "id": id, "result": {} }).to_string());
    });
    let mut bridge = Bridge::start(&gate.url);
    for id in 0..20 {
        bridge.say(&call(&id.to_string()));
        assert_eq!(bridge.hear()["id"], id);
    }
}

fn modern(id: u32, method: &str, params: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

#[test]
fn a_modern_message_is_mirrored_into_headers() {
    let gate = Gate::start(|request, answer| {
        let id = request.json()["id"].clone();
        let schema =
            json!({ "type": "object", "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } });
        let tools = json!([{ "name": "größe", "inputSchema": schema }]);
        let result = json!({ "resultType": "complete", "tools": tools });
        answer.json(&[], &json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string());
    });
    let mut bridge = Bridge::start(&gate.url);
    bridge.say(&modern(1, "tools/list", ""));
    assert_eq!(bridge.hear()["id"], 1);
    let list = gate.next("POST");
    assert_eq!(list.header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(list.header("mcp-method"), Some("tools/list"));
    assert_eq!(list.header("mcp-name"), None);
    bridge.say(&modern(2, "tools/call", r#""name":"größe","arguments":{"region":"eu"},"#));
    assert_eq!(bridge.hear()["id"], 2);
    let called = gate.next("POST");
    assert_eq!(called.header("mcp-method"), Some("tools/call"));
    assert_eq!(called.header("mcp-name"), Some("=?base64?Z3LDtsOfZQ==?="));
    assert_eq!(called.header("mcp-param-region"), Some("eu"));
    assert_eq!(called.header("mcp-session-id"), None);
    assert_eq!(bridge.end(), Some(0));
    assert!(gate.seen.try_iter().all(|request| request.method == "POST"));
}

#[test]
fn cancelling_a_modern_call_closes_its_answer() {
    let (gone, closes) = channel();
    let gone = Mutex::new(gone);
    let gate = Gate::start(move |_, answer| {
        answer.events();
        while answer.piece(": waiting\n\n") {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = gone.lock().expect("lock").send(());
    });
    let mut bridge = Bridge::start(&gate.url);
    bridge.say(&modern(1, "tools/call", r#""name":"t","#));
    gate.next("POST");
    bridge.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    closes.recv_timeout(DEADLINE).expect("the answer is closed");
    assert!(gate.seen.try_recv().is_err(), "nothing else was sent");
    assert!(bridge.lines.try_recv().is_err(), "a cancelled request has no answer");
}

#[test]
fn cancelling_a_legacy_call_is_a_message() {
    let gate = Gate::start(|request, answer| {
        legacy(request, answer, |request, answer| {
            if request.json()["method"] == "notifications/cancelled" {
                return answer.send("202 Accepted", &[], b"");
            }
            answer.events();
            while answer.piece(": waiting\n\n") {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
    });
    let mut bridge = Bridge::start(&gate.url);
    handshake(&mut bridge);
    bridge.say(&call("1"));
    let until_call = std::iter::repeat_with(|| gate.next("POST")).find(|request| request.json()["id"] == 1);
    assert!(until_call.is_some());
    bridge.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    assert_eq!(gate.next("POST").json()["method"], "notifications/cancelled");
}

/// A gate behind TLS, with a certificate for `localhost` of its own.
fn tls_gate() -> (String, tempfile::NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let ca = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(ca.path(), made.cert.pem()).expect("writes");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a configuration");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
            std::thread::spawn(move || {
                let stream = rustls::StreamOwned::new(connection, stream);
                let stream = Rc::new(RefCell::new(stream));
                serve(Half(Rc::clone(&stream)), Half(stream), |_, answer| {
                    answer.json(&[], INITIALIZE_RESULT);
                });
            });
        }
    });
    (format!("https://localhost:{port}/mcp"), ca)
}

/// Reader or writer of one stream; they take turns.
struct Half<S>(Rc<RefCell<S>>);

impl<S: Read> Read for Half<S> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl<S: Write> Write for Half<S> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

#[test]
fn a_private_authority_is_believed_only_where_it_is_named() {
    let (url, ca) = tls_gate();
    let mut named = Bridge::with(toolgate().args(["bridge", &url, "--ca"]).arg(ca.path()));
    named.say(INITIALIZE);
    assert_eq!(named.hear()["result"]["protocolVersion"], "2025-06-18");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let wrong = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(wrong.path(), other.cert.pem()).expect("writes");
    let mut mistrusting = Bridge::with(toolgate().args(["bridge", &url, "--ca"]).arg(wrong.path()));
    mistrusting.say(INITIALIZE);
    let said = mistrusting.hear();
    assert_eq!(said["error"]["code"], -31502);
    assert!(said["error"]["message"].as_str().expect("text").contains("certificate"), "{said}");
}

#[test]
fn a_signal_ends_the_session_too() {
    let gate = Gate::start(|request, answer| {
        legacy(request, answer, |_, answer| {
            answer.send("202 Accepted", &[], b"");
        });
    });
    let mut bridge = Bridge::start(&gate.url);
    handshake(&mut bridge);
    let pid = bridge.child.id().to_string();
    assert!(Command::new("kill").arg(pid).status().expect("kill").success());
    assert_eq!(gate.next("DELETE").header("mcp-session-id"), Some("s-1"));
    assert_eq!(bridge.child.wait().expect("ends").code(), Some(0));
}

#[test]
fn a_client_that_reads_nothing_does_not_keep_the_bridge() {
    let gate = Gate::start(|_, answer| {
        let text = "x".repeat(1 << 20);
        answer.json(&[], &format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"text":"{text}"}}}}"#));
    });
    let mut child =
        toolgate().args(["bridge", &gate.url]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let mut input = child.stdin.take().expect("stdin");
    input.write_all(format!("{}\n", call("1")).as_bytes()).expect("writes");
    gate.next("POST");
    drop(input);
    let until = Instant::now() + DEADLINE;
    while child.try_wait().expect("waits").is_none() {
        assert!(Instant::now() < until, "the bridge stays");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_key_may_come_from_a_file_and_plain_http_from_afar_is_refused() {
    let gate = Gate::start(|_, answer| answer.json(&[], INITIALIZE_RESULT));
    let file = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(file.path(), "tg_file_key\n").expect("writes");
    let mut bridge = Bridge::with(toolgate().args(["bridge", &gate.url, "--key-file"]).arg(file.path()));
    bridge.say(INITIALIZE);
    bridge.hear();
    assert_eq!(gate.next("POST").header("authorization"), Some("Bearer tg_file_key"));
    let (code, _, err) = common::run(toolgate().args(["bridge", "http://192.0.2.1/mcp"]));
    assert_eq!(code, 2);
    assert!(err.contains("not encrypted"), "{err}");
}
