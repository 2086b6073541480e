//! A scriptable MCP server over HTTP and stdio, of both eras: tools do what their names say.
//!
//! Scenarios start it behind a gate and read in its [`record`] what reached it, byte for byte. It shares no
//! code with the gate. What a tool does is told by its arguments, so that one server serves every scenario.

pub mod http;
pub mod record;
mod script;
pub mod sse;
mod tasks;

pub mod stdio;
pub mod three;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use record::Record;
pub use script::ODD;

/// Which eras a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Speaks {
    /// `initialize` only.
    Legacy,
    /// Metadata on every request only.
    Modern,
    /// `initialize` only; the program ends upon a method that it does not know.
    Touchy,
    /// `initialize` only; what it does not know gets no answer.
    Mute,
    /// Both; over stdio the first request decides for the whole process.
    Both,
}

/// What a server says for one request, or outside of all.
#[derive(Debug)]
pub enum Said {
    /// A message; what follows a response is nothing.
    Message(String),
    /// Bytes that are no message.
    Raw(Vec<u8>),
    /// Over HTTP: this status, and the text as its body.
    Status(u16, String),
    /// Exactly these bytes; over HTTP as the whole body of an answer of this media type.
    Body(String, Vec<u8>),
    /// The process ends, or the connection is cut.
    End,
}

/// Where a request's messages go.
pub type Out = mpsc::UnboundedSender<Said>;

/// One server.
#[derive(Debug)]
pub struct Fake {
    speaks: Speaks,
    record: Record,
    /// Requests of the server that wait for the client's answer, by their raw id.
    asked: Mutex<HashMap<String, oneshot::Sender<String>>>,
    /// Streams for what belongs to no request; a subscription's id stands beside it.
    streams: Mutex<Vec<(Option<String>, Out)>>,
    /// Requests in flight that can be cancelled.
    running: Mutex<HashMap<String, oneshot::Sender<()>>>,
    /// Calls that became tasks, by the task's id.
    tasks: Mutex<HashMap<String, tasks::Task>>,
    /// Milliseconds that every answer takes.
    delay: AtomicU64,
    next: AtomicU64,
}

/// A message as far as the fake reads it.
#[derive(Debug, Default, Deserialize)]
struct Incoming {
    id: Option<Box<RawValue>>,
    method: Option<String>,
    params: Option<Box<RawValue>>,
}

/// What the fake reads of a request's parameters, whatever else they hold.
#[derive(Debug, Default, Deserialize)]
struct Params {
    name: Option<Box<RawValue>>,
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
}

#[derive(Debug, Default, Deserialize)]
struct Meta {
    #[serde(rename = "progressToken")]
    progress: Option<Box<RawValue>>,
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<Box<RawValue>>,
}

/// A request that the script answers.
#[derive(Debug)]
struct Request {
    /// Raw, as all ids here.
    id: String,
    method: String,
    /// `params.name`; empty where there is none.
    name: String,
    raw_params: String,
    /// Null where they hold what a `Value` cannot.
    params: Value,
    token: Option<String>,
    modern: bool,
}

impl Fake {
    /// A server that nobody has spoken to.
    #[must_use]
    pub fn new(speaks: Speaks, record: Record) -> Self {
        Self {
            speaks,
            record,
            asked: Mutex::default(),
            streams: Mutex::default(),
            running: Mutex::default(),
            tasks: Mutex::default(),
            delay: AtomicU64::new(0),
            next: AtomicU64::new(1),
        }
    }

    /// Takes one message; gives back once all that belongs to it was said.
    async fn take(&self, text: &str, out: &Out) {
        let Ok(incoming) = serde_json::from_str::<Incoming>(text) else {
            say(out, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no message"}}"#);
            return;
        };
        let id = incoming.id.map(|id| id.get().to_owned());
        let raw_params = incoming.params.map_or_else(|| "{}".to_owned(), |params| params.get().to_owned());
        let Some(method) = incoming.method else {
            let waiting = id.and_then(|id| lock(&self.asked).remove(&id));
            if let Some(waiting) = waiting {
                waiting.send(text.to_owned()).ok();
            }
            return;
        };
        let Some(id) = id else { return self.notified(&method, &raw_params) };
        let params: Params = serde_json::from_str(&raw_params).unwrap_or_default();
        let meta = params.meta.unwrap_or_default();
        let request = Request {
            method,
            name: params.name.and_then(|name| serde_json::from_str(name.get()).ok()).unwrap_or_default(),
            params: serde_json::from_str(&raw_params).unwrap_or_default(),
            raw_params,
            token: meta.progress.map(|token| token.get().to_owned()),
            modern: meta.version.is_some(),
            id,
        };
        let (cancel, cancelled) = oneshot::channel();
        lock(&self.running).insert(request.id.clone(), cancel);
        let answer = async {
            let delay = self.delay.load(Ordering::Relaxed);
            if delay > 0 {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            self.answer(&request, out).await;
        };
        tokio::select! {
            () = answer => {}
            Ok(()) = cancelled => {}
        }
        lock(&self.running).remove(&request.id);
        lock(&self.streams).retain(|(subscription, _)| subscription.as_ref() != Some(&request.id));
    }

    fn notified(&self, method: &str, raw_params: &str) {
        #[derive(Deserialize)]
        struct Cancelled {
            #[serde(rename = "requestId")]
            id: Box<RawValue>,
        }
        if method != "notifications/cancelled" {
            return;
        }
        let cancelled: Option<Cancelled> = serde_json::from_str(raw_params).ok();
        let running = cancelled.and_then(|cancelled| lock(&self.running).remove(cancelled.id.get()));
        if let Some(running) = running {
            running.send(()).ok();
        }
    }

    /// Asks the client and waits for its answer.
    async fn ask(&self, id: &str, method: &str, params: &str, out: &Out) -> String {
        self.begin_to_ask(id, method, params, out).await.unwrap_or_default()
    }

    /// Asks the client; its answer comes there.
    fn begin_to_ask(&self, id: &str, method: &str, params: &str, out: &Out) -> oneshot::Receiver<String> {
        let (sender, answered) = oneshot::channel();
        lock(&self.asked).insert(id.to_owned(), sender);
        say(out, &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#));
        answered
    }

    /// Asks outside of every request; the answer is in the record.
    fn ask_later(&self, id: &str) {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"elicitation/create","params":{{"message":"Which?","requestedSchema":{{}}}}}}"#
        );
        lock(&self.streams).retain(|(_, out)| out.send(Said::Message(text.clone())).is_ok());
    }

    /// Says something outside of every request: on each open stream of the era, under its subscription.
    fn announce(&self, modern: bool, method: &str, params: &Value) {
        lock(&self.streams).retain(|(subscription, out)| {
            if subscription.is_some() != modern {
                return true;
            }
            let mut params = params.clone();
            if let Some(id) = subscription {
                params["_meta"]["io.modelcontextprotocol/subscriptionId"] =
                    serde_json::from_str(id).unwrap_or_default();
            }
            let params = if params.is_null() { String::new() } else { format!(r#","params":{params}"#) };
            out.send(Said::Message(format!(r#"{{"jsonrpc":"2.0","method":"{method}"{params}}}"#))).is_ok()
        });
    }

    fn mint(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

fn say(out: &Out, message: &str) {
    // Whoever is gone does not hear it.
    drop(out.send(Said::Message(message.to_owned())));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
