//! A stand-in MCP server that costs next to nothing, so that a benchmark measures what is before it.
//!
//! The binary `standin` and scenarios start it, over HTTP or stdio. It speaks both eras (at `/legacy` and `/modern`
//! one only), keeps connections, and answers `tools/call` with 296 bytes; tools `fail`, `slow` and `stream` do what they say,
//! and `wait-50` takes 50 ms, or whatever number it ends with.

use std::io::{self, BufRead, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of the answer to `tools/call` with an id of one digit.
pub const ANSWER_BYTES: usize = 296;
/// How long the tool `slow` takes.
pub const SLOW: Duration = Duration::from_millis(500);

/// Calls that this process's stand-ins wait with, and the most at once so far.
static WAITING: (AtomicUsize, AtomicUsize) = (AtomicUsize::new(0), AtomicUsize::new(0));

/// The most calls of `slow` and `wait-…` at once, of all stand-ins of this process.
#[must_use]
pub fn busiest() -> usize {
    WAITING.1.load(Ordering::Relaxed)
}

async fn wait(time: Duration) {
    WAITING.1.fetch_max(WAITING.0.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
    tokio::time::sleep(time).await;
    WAITING.0.fetch_sub(1, Ordering::Relaxed);
}

/// Serves until the listener fails.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        // A client that goes away in the middle is its own business.
        tokio::spawn(async move { serve_connection(socket).await.ok() });
    }
}

/// Answers each line of `input` by one of `output`, until the input ends.
pub fn serve_lines(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    for line in input.lines() {
        let line = line?;
        let call: Call<'_> = serde_json::from_str(&line)?;
        if let Some(id) = call.id {
            writeln!(output, "{}", message(id, &call).unwrap_or_else(|| not_found(id)))?;
            output.flush()?;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    name: Option<&'a str>,
}

async fn serve_connection(mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut held, mut out) = (Vec::with_capacity(4096), Vec::with_capacity(1024));
    while let Some(request) = read_request(&mut socket, &mut held).await? {
        out.clear();
        match request.method {
            Method::Get => return hold_stream(&mut socket).await,
            Method::Delete => write_answer(&mut out, "200 OK", "", b""),
            Method::Post => {
                let body = &held[request.body.clone()];
                let Ok(call) = serde_json::from_slice::<Call>(body) else {
                    socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
                    return Ok(());
                };
                if call.method == "subscriptions/listen" {
                    return hold_stream(&mut socket).await;
                }
                let name = call.params.as_ref().and_then(|params| params.name).unwrap_or_default();
                let waits = name.strip_prefix("wait-").and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
                if let Some(time) = waits.or((name == "slow").then_some(SLOW)) {
                    wait(time).await;
                }
                match call.id.filter(|_| Some(call.method) == request.unknown) {
                    Some(id) => write_json(&mut out, "404 Not Found", "", not_found(id).as_bytes()),
                    None => answer(&mut out, &call),
                }
            }
        }
        socket.write_all(&out).await?;
        held.drain(..request.body.end);
    }
    Ok(())
}

/// Opens a stream of events, and keeps it until the client goes.
async fn hold_stream(socket: &mut TcpStream) -> io::Result<()> {
    socket
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n")
        .await?;
    let mut scratch = [0; 64];
    while socket.read(&mut scratch).await? > 0 {}
    Ok(())
}

fn answer(out: &mut Vec<u8>, call: &Call<'_>) {
    let Some(id) = call.id else {
        return write_answer(out, "202 Accepted", "", b"");
    };
    let session = if call.method == "initialize" { "Mcp-Session-Id: standin-session\r\n" } else { "" };
    let name = call.params.as_ref().and_then(|params| params.name).unwrap_or_default();
    let Some(body) = message(id, call) else {
        return write_json(out, "404 Not Found", "", not_found(id).as_bytes());
    };
    if name == "stream" {
        let event = format!("event: message\ndata: {body}\n\n");
        return write_answer(out, "200 OK", "Content-Type: text/event-stream\r\n", event.as_bytes());
    }
    write_json(out, "200 OK", session, body.as_bytes());
}

/// The answer to a request; none where the method is unknown.
fn message(id: &RawValue, call: &Call<'_>) -> Option<String> {
    let name = call.params.as_ref().and_then(|params| params.name);
    Some(match call.method {
        "tools/call" if name == Some("fail") => wrap(
            id,
            r#"{"resultType":"complete","content":[{"type":"text","text":"This tool always fails."}],"isError":true}"#,
        ),
        "tools/call" => wrap(id, call_result()),
        "initialize" => wrap(id, INITIALIZED),
        "server/discover" => wrap(id, DISCOVERED),
        "tools/list" => wrap(id, TOOLS),
        "ping" => wrap(id, r#"{"resultType":"complete"}"#),
        _ => return None,
    })
}

fn not_found(id: &RawValue) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"Method not found"}}}}"#)
}

const INITIALIZED: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"standin","version":"1"}}"#;
const DISCOVERED: &str = r#"{"resultType":"complete","ttlMs":60000,"cacheScope":"public","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}}}"#;
const TOOLS: &str = r#"{"resultType":"complete","ttlMs":60000,"cacheScope":"public","tools":[{"name":"echo","description":"Answers at once","inputSchema":{"type":"object"}},{"name":"fail","description":"Always fails","inputSchema":{"type":"object"}},{"name":"slow","description":"Answers after half a second","inputSchema":{"type":"object"}},{"name":"stream","description":"Answers on a stream","inputSchema":{"type":"object"}}]}"#;

fn call_result() -> &'static str {
    static RESULT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    RESULT.get_or_init(|| {
        let with = |text: &str| {
            format!(r#"{{"resultType":"complete","content":[{{"type":"text","text":"{text}"}}],"isError":false}}"#)
        };
        let bare = r#"{"jsonrpc":"2.0","id":1,"result":}"#.len() + with("").len();
        with(&"x".repeat(ANSWER_BYTES - bare))
    })
}

fn wrap(id: &RawValue, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

fn write_json(out: &mut Vec<u8>, status: &str, headers: &str, body: &[u8]) {
    write_answer(out, status, &format!("Content-Type: application/json\r\n{headers}"), body);
}

fn write_answer(out: &mut Vec<u8>, status: &str, headers: &str, body: &[u8]) {
    write!(out, "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).expect("memory");
    out.extend_from_slice(body);
}

enum Method {
    Get,
    Post,
    Delete,
}

struct Request {
    method: Method,
    body: std::ops::Range<usize>,
    /// The greeting that this path's server does not know.
    unknown: Option<&'static str>,
}

/// Reads one request into `held`; none when the client is done. Bodies have a Content-Length here.
async fn read_request(socket: &mut TcpStream, held: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some(request) = parse(held)? {
            while held.len() < request.body.end {
                if socket.read_buf(held).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            return Ok(Some(request));
        }
        if socket.read_buf(held).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse(read: &[u8]) -> io::Result<Option<Request>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(read).map_err(io::Error::other)?;
    let httparse::Status::Complete(head_bytes) = parsed else {
        return Ok(None);
    };
    let length = request
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    let method = match request.method {
        Some("POST") => Method::Post,
        Some("DELETE") => Method::Delete,
        _ => Method::Get,
    };
    let unknown = match request.path {
        Some("/legacy") => Some("server/discover"),
        Some("/modern") => Some("initialize"),
        _ => None,
    };
    Ok(Some(Request { method, body: head_bytes..head_bytes + length, unknown }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::{ANSWER_BYTES, serve, serve_lines};
    use crate::http::Target;
    use crate::mcp::{Client, Era};

    async fn started() -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        tokio::spawn(serve(listener));
        Target::plain(port)
    }

    #[tokio::test]
    async fn both_eras_are_answered_with_the_same_number_of_bytes() {
        let target = started().await;
        for era in [Era::Legacy, Era::Modern] {
            let mut client = Client::connect(&target, "/mcp", None, era).await.expect("a client");
            let raw = client.raw_call("echo", 0);
            let (head, body) = client.connection().exchange(&raw).await.expect("an answer");
            assert_eq!((head.status, body.len()), (200, ANSWER_BYTES));
        }
    }

    #[test]
    fn over_stdio_requests_are_answered_and_notifications_are_not() {
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
        let input = format!("{call}\n{}\n", r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        let mut output = Vec::new();
        serve_lines(input.as_bytes(), &mut output).expect("lines");
        assert_eq!((output.len(), output.last()), (ANSWER_BYTES + 1, Some(&b'\n')));
    }

    #[tokio::test]
    async fn a_failing_tool_fails_and_a_streaming_tool_streams() {
        let mut client = Client::connect(&started().await, "/mcp", None, Era::Legacy).await.expect("a client");
        let failed = client.call("fail", json!({})).await.expect("an answer");
        assert!(!failed.succeeded() && failed.body["result"]["isError"] == true);
        let unknown = client.request("no/such", json!({})).await.expect("an answer");
        assert_eq!((unknown.head.status, &unknown.body["error"]["code"]), (404, &json!(-32601)));
    }
}
