//! What one core has counted: a page for each thing, written by its [`Desk`](super::Desk) and read by whoever asks.

use std::sync::{Arc, Mutex, OnceLock};

use toolgate_protocol::busiest::Busiest;
use toolgate_protocol::method::Method;

use super::book::Shown;
use super::count::Count;
use super::heat::Heat;
use super::live::Live;
use super::outcome::Outcome;
use super::past::Past;
use super::series::{Durations, PHASES, Series};
use super::tail::Tails;
use super::what::What;
use crate::core::Load;
use crate::identity::Client;

/// What one core has counted, for readers.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) heat: Heat,
    /// By the method's number; the last is for those that the gate does not know. Their sum is the gate's.
    pub(super) methods: Box<[OnceLock<Box<Series>>]>,
    pub(super) servers: Shown<ServerPage>,
    pub(super) tools: Shown<ToolPage>,
    pub(super) clients: Shown<ClientPage>,
    pub(super) routes: Shown<RoutePage>,
    pub(super) requests: Shown<RequestPage>,
    pub(super) resources: Shown<ResourcePage>,
    /// Bytes of requests and answers that count for no server.
    pub(super) unserved: [Count; 2],
    /// Events that went to clients on streams.
    pub(super) events: Count,
    /// How long each was on its way through the gate.
    pub(super) latency: Durations,
    /// Of these, those that waited too long for their client.
    pub(super) slow: Count,
    /// Connections of clients.
    pub(super) load: Arc<Load>,
    pub(super) live: Live,
    pub(super) past: Mutex<Past>,
    /// Those who watch its calls as they end.
    pub(super) tails: Tails,
}

/// A server.
#[derive(Debug)]
pub(super) struct ServerPage {
    pub(super) name: Arc<str>,
    pub(super) series: Series,
    /// By phase, since the process began.
    pub(super) phases: [Durations; PHASES],
    /// Tools of it that have a page.
    pub(super) tools: Count,
}

/// A tool of a server.
#[derive(Debug)]
pub(super) struct ToolPage {
    pub(super) number: u64,
    /// The server and the tool, as all that is kept of its calls shares them.
    pub(super) what: Arc<What>,
    pub(super) series: Series,
    pub(super) callers: Mutex<Busiest<16>>,
}

impl ToolPage {
    pub(super) fn server(&self) -> &Arc<str> {
        self.what.server.as_ref().expect("the page of a tool is one of its server")
    }

    pub(super) fn tool(&self) -> &str {
        &self.what.name
    }
}

/// A client.
#[derive(Debug)]
pub(super) struct ClientPage {
    pub(super) client: Arc<Client>,
    pub(super) series: Series,
    pub(super) tools: Mutex<Busiest<8>>,
}

/// Answers to HTTP requests with the same labels.
#[derive(Debug)]
pub(super) struct RoutePage {
    pub(super) method: &'static str,
    pub(super) route: Box<str>,
    pub(super) status: u16,
    pub(super) durations: Durations,
}

/// Calls with the same labels.
#[derive(Debug)]
pub(super) struct RequestPage {
    pub(super) server: Arc<str>,
    pub(super) method: &'static str,
    pub(super) outcome: Outcome,
    pub(super) durations: Durations,
}

/// Reads of resources with the same labels.
#[derive(Debug)]
pub(super) struct ResourcePage {
    pub(super) server: Arc<str>,
    pub(super) scheme: Box<str>,
    pub(super) outcome: Outcome,
    pub(super) reads: Count,
}

impl Shelf {
    pub(super) fn new(load: Arc<Load>) -> Self {
        let methods = (0..=Method::all().count()).map(|_| OnceLock::new()).collect();
        Self { methods, load, ..Self::default() }
    }
}
