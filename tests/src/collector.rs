//! A collector of traces that remembers what it was sent, and that can be away.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
pub use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::door::Door;
use crate::recorder::{Request, parse};

#[derive(Debug, Default)]
struct Seen {
    /// What was taken, in order.
    taken: Vec<ExportTraceServiceRequest>,
    /// Heads of all requests.
    asked: Vec<Request>,
    /// The status of answers; 0: 200.
    status: u16,
    /// Spans that an answer with 200 says were not wanted.
    rejected: i64,
}

/// A running collector.
pub struct Collector {
    /// Where it is.
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    door: Door,
}

impl Collector {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let met = Arc::clone(&seen);
        let door = Door::open(move |socket| connection(socket, Arc::clone(&met))).await;
        Self { address: door.address, seen, door }
    }

    /// The table of a configuration that sends traces here, with more lines.
    #[must_use]
    pub fn table(&self, lines: &str) -> String {
        format!("[trace]\nendpoint = \"http://{}\"\ninterval = \"50ms\"\n{lines}\n", self.address)
    }

    /// Answers with this status from now on; only 200 remembers spans.
    pub fn answer(&self, status: u16) {
        self.with(|seen| seen.status = status);
    }

    /// Says from now on that it did not want as many spans of what it takes.
    pub fn reject(&self, spans: i64) {
        self.with(|seen| seen.rejected = spans);
    }

    /// Nobody listens any more.
    pub fn leave(&mut self) {
        self.door.leave();
    }

    /// It is there again, at the same address.
    ///
    /// # Panics
    /// When somebody else has its port by now.
    pub fn come_back(&mut self) {
        self.door.come_back();
    }

    /// Requests that it had, whatever it answered.
    #[must_use]
    pub fn asked(&self) -> Vec<Request> {
        self.with(|seen| seen.asked.clone())
    }

    /// What it took, in order.
    #[must_use]
    pub fn taken(&self) -> Vec<ExportTraceServiceRequest> {
        self.with(|seen| seen.taken.clone())
    }

    /// All spans that it took, in order.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let scopes = self.taken().into_iter().flat_map(|taken| taken.resource_spans).flat_map(|of| of.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    fn with<T>(&self, read: impl FnOnce(&mut Seen) -> T) -> T {
        read(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An attribute's value as text.
#[must_use]
pub fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

/// A span's or a trace's id as it stands in a `traceparent`.
#[must_use]
pub fn hex(id: &[u8]) -> String {
    id.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

async fn connection(mut socket: TcpStream, seen: Arc<Mutex<Seen>>) -> std::io::Result<()> {
    let mut held = Vec::new();
    loop {
        let Ok(parsed) = parse(&held) else { return Ok(()) };
        let Some((request, used)) = parsed else {
            if socket.read_buf(&mut held).await? == 0 {
                return Ok(());
            }
            continue;
        };
        held.drain(..used);
        let (status, body) = take(&mut seen.lock().unwrap_or_else(PoisonError::into_inner), request);
        let start = format!(
            "HTTP/1.1 {status} Said\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(&[start.as_bytes(), &body].concat()).await?;
    }
}

fn take(seen: &mut Seen, request: Request) -> (u16, Vec<u8>) {
    let decoded = ExportTraceServiceRequest::decode(&*request.body);
    seen.asked.push(request);
    match (seen.status, decoded) {
        (0 | 200, Ok(taken)) => {
            seen.taken.push(taken);
            let partial = ExportTracePartialSuccess { rejected_spans: seen.rejected, ..Default::default() };
            let partial_success = (seen.rejected > 0).then_some(partial);
            (200, ExportTraceServiceResponse { partial_success }.encode_to_vec())
        }
        (0 | 200, Err(_)) => (400, Vec::new()),
        (status, _) => (status, Vec::new()),
    }
}
