//! The outside world of `toolgate`: a small HTTP/1.1 server for whatever socket, and the program itself.
//!
//! Threads and blocking reads: a peer that shares no code with what it tests.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

pub const DEADLINE: Duration = Duration::from_secs(20);

/// The program, with nothing of this environment that would change it.
pub fn toolgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toolgate"));
    command.env_remove("TOOLGATE_KEY").env_remove("TOOLGATE_RUNTIME_DIR");
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Exit status, standard output, standard error.
pub fn run(command: &mut Command) -> (i32, String, String) {
    let deadline = Instant::now() + DEADLINE;
    let Output { status, stdout, stderr } = loop {
        match command.output() {
            // What another test has just forked may still hold a copied program open for writing.
            Err(problem) if problem.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                std::thread::yield_now();
            }
            outcome => break outcome.expect("runs"),
        }
    };
    (status.code().expect("no signal"), text(&stdout), text(&stderr))
}

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The body as JSON; null where there is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Where an answer is written.
pub struct Answer<'a> {
    stream: &'a mut dyn Write,
    close: bool,
}

impl Answer<'_> {
    /// A whole answer. Errors mean that the peer has gone, which tests see elsewhere.
    pub fn send(&mut self, status: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
        for &(name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        self.close |= headers.contains(&("connection", "close"));
        let _ = self.stream.write_all(&[head.as_bytes(), body].concat());
    }

    pub fn json(&mut self, headers: &[(&str, &str)], body: &str) {
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        self.send("200 OK", &headers, body.as_bytes());
    }

    /// Begins an SSE answer.
    pub fn events(&mut self) {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = self.stream.write_all(head.as_bytes());
    }

    /// A piece of an SSE answer; false when the peer has gone.
    pub fn piece(&mut self, text: &str) -> bool {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        self.stream.write_all(chunk.as_bytes()).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Closes the connection instead of an answer.
    pub fn hang_up(&mut self) {
        self.close = true;
    }

    /// The end of an SSE answer.
    pub fn end(&mut self) {
        let _ = self.stream.write_all(b"0\r\n\r\n");
    }
}

/// Serves one connection until the peer closes it.
pub fn serve<R: Read, W: Write>(reader: R, mut writer: W, handler: impl Fn(&Request, &mut Answer<'_>)) {
    let mut reader = BufReader::new(reader);
    while let Some(request) = read_request(&mut reader) {
        let mut answer = Answer { stream: &mut writer, close: false };
        handler(&request, &mut answer);
        if answer.close {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&length| length > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}
