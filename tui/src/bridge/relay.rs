//! The bridge's state: the session, the calls in flight, and the way of each message.
//!
//! Requests run beside each other. `initialize`, notifications and answers hold the next line back
//! until the gate has taken them, which keeps the order that a pipe promises.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use toolgate_protocol::envelope::{self, Envelope, ScanError, Shape};
use toolgate_protocol::error::error_body;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::Era;

use super::call::Call;
use super::head::{Head, Outgoing, Session};
use super::params::Params;
use super::refusal::Refusal;
use crate::client::connection::Connections;

/// For a notification or an answer until the gate has taken it.
const POST_TIMEOUT: Duration = Duration::from_secs(30);

/// For the DELETE at the end.
const DELETE_TIMEOUT: Duration = Duration::from_millis(500);

/// The bridge.
pub(super) struct Relay {
    connections: Connections,
    bearer: Option<HeaderValue>,
    output: mpsc::Sender<Vec<u8>>,
    session: RefCell<Session>,
    /// The task that reads the session's stream.
    stream: RefCell<Option<AbortHandle>>,
    /// By raw id.
    calls: RefCell<HashMap<Vec<u8>, Running>>,
    params: RefCell<Params>,
    /// Told whenever a call ends.
    ended: Notify,
}

struct Running {
    era: Era,
    task: AbortHandle,
}

impl Relay {
    /// A bridge without a session.
    pub(super) fn new(connections: Connections, bearer: Option<HeaderValue>, output: mpsc::Sender<Vec<u8>>) -> Self {
        Self {
            connections,
            bearer,
            output,
            session: RefCell::default(),
            stream: RefCell::default(),
            calls: RefCell::default(),
            params: RefCell::default(),
            ended: Notify::new(),
        }
    }

    /// Sends one message of the client on its way.
    pub(super) async fn accept(self: &Rc<Self>, message: Vec<u8>) {
        let message = Bytes::from(message);
        let envelope = match envelope::scan(&message) {
            Ok(envelope) => envelope,
            Err(error) => return self.refuse(&message, &error).await,
        };
        let method = envelope.method_str(&message);
        let method = method.as_deref().and_then(Method::parse);
        match (envelope.shape, method) {
            (Shape::Request, Some(Method::Initialize)) => self.initialize(message, envelope).await,
            (Shape::Request, _) => self.call(message, envelope),
            (_, Some(Method::Cancelled)) if self.cancel(&message, &envelope) => {}
            (_, Some(Method::Initialized)) => {
                self.post(message, &envelope).await;
                self.listen();
            }
            _ => self.post(message, &envelope).await,
        }
    }

    /// Resolves when no call is in flight.
    pub(super) async fn idle(&self) {
        while !self.calls.borrow().is_empty() {
            self.ended.notified().await;
        }
    }

    /// Ends everything, the session at the gate included.
    pub(super) async fn end(&self) {
        for (_, call) in self.calls.borrow_mut().drain() {
            call.task.abort();
        }
        if let Some(stream) = self.stream.borrow_mut().take() {
            stream.abort();
        }
        let session = self.session();
        if session.id.is_none() {
            return;
        }
        // Whether it arrives or not, this process ends; the gate's session timeout does the rest.
        if let Ok(request) = self.head().delete(&session) {
            let _ = timeout(DELETE_TIMEOUT, self.connections.send(request)).await;
        }
    }

    /// A new session; the stream of an earlier one ends.
    async fn initialize(self: &Rc<Self>, message: Bytes, envelope: Envelope) {
        if let Some(stream) = self.stream.borrow_mut().take() {
            stream.abort();
        }
        self.session.replace(Session::default());
        Call::new(Rc::clone(self), message, envelope, Era::Legacy).run().await;
    }

    fn call(self: &Rc<Self>, message: Bytes, envelope: Envelope) {
        let era = Era::of_request(None, &envelope, &message);
        let id = envelope.id_raw(&message).unwrap_or_default().to_vec();
        let call = Call::new(Rc::clone(self), message, envelope, era);
        let guard = InFlight { relay: Rc::clone(self), id: id.clone() };
        let task = tokio::task::spawn_local(async move {
            call.run().await;
            drop(guard);
        });
        self.calls.borrow_mut().insert(id, Running { era, task: task.abort_handle() });
    }

    /// Over HTTP the modern era cancels by closing the answer; a legacy one needs the notification.
    fn cancel(&self, message: &[u8], envelope: &Envelope) -> bool {
        let Some(id) = envelope.request_id else {
            return false;
        };
        let mut calls = self.calls.borrow_mut();
        let modern = calls.get(id.of(message)).is_some_and(|call| call.era == Era::Modern);
        if modern && let Some(call) = calls.remove(id.of(message)) {
            call.task.abort();
        }
        modern
    }

    /// Posts what has no answer; a refusal can only be logged.
    async fn post(&self, message: Bytes, envelope: &Envelope) {
        let session = self.session();
        let era = Era::of_request(None, envelope, &message);
        let request = self.request(era, &session, message, envelope);
        let Ok(request) = request else { return };
        match timeout(POST_TIMEOUT, self.connections.send(request)).await {
            Ok(Ok(exchange)) if exchange.response.status().is_success() => {
                // Without a body the connection is free at once.
                let (_, body, sender) = exchange.into_parts();
                drop(body);
                self.connections.keep(sender);
            }
            Ok(Ok(exchange)) => {
                let status = exchange.response.status();
                self.log(&Refusal::of_answer(status, session.id.is_some(), b""));
            }
            Ok(Err(error)) => self.log(&error.into()),
            Err(_) => self.log(&Refusal::Unreachable("it did not take a message in time".into())),
        }
    }

    fn listen(self: &Rc<Self>) {
        let task = tokio::task::spawn_local(super::listen::run(Rc::clone(self)));
        if let Some(earlier) = self.stream.borrow_mut().replace(task.abort_handle()) {
            earlier.abort();
        }
    }

    /// Answers what is no message.
    async fn refuse(&self, message: &[u8], error: &ScanError) {
        let id = envelope::salvage_id(message).map_or(&b"null"[..], |id| id.of(message));
        self.say(error_body(Some(id), error.code(), &error.to_string(), None)).await;
    }

    /// One message, on one line, to the client.
    pub(super) async fn say(&self, mut message: Vec<u8>) {
        toolgate_protocol::flatten::flatten(&mut message);
        // An error means that nobody reads any more; standard input will end too.
        let _ = self.output.send(message).await;
    }

    /// One sentence for whoever looks at the client's log of this server.
    pub(super) fn log(&self, refusal: &Refusal) {
        let sentence = refusal.sentence(self.url());
        eprintln!("toolgate bridge: {}", toolgate_admin_api::Shown(&sentence));
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    pub(super) fn url(&self) -> &str {
        &self.connections.url().text
    }

    /// The POST of a message.
    pub(super) fn request(&self, era: Era, session: &Session, message: Bytes, envelope: &Envelope) -> Outgoing {
        match era {
            Era::Legacy => self.head().legacy(session, message),
            Era::Modern => self.head().modern(envelope, &self.params.borrow(), message),
        }
    }

    /// Learns from an answer to `tools/list`.
    pub(super) fn learn(&self, answer: &[u8], envelope: &Envelope) {
        self.params.borrow_mut().learn(answer, envelope);
    }

    pub(super) fn head(&self) -> Head<'_> {
        Head { path: &self.connections.url().path, bearer: self.bearer.as_ref() }
    }

    pub(super) fn session(&self) -> Session {
        self.session.borrow().clone()
    }

    pub(super) fn set_session(&self, session: Session) {
        self.session.replace(session);
    }
}

/// Takes a call out of the table however it ends.
struct InFlight {
    relay: Rc<Relay>,
    id: Vec<u8>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.relay.calls.borrow_mut().remove(&self.id);
        self.relay.ended.notify_waiters();
    }
}
