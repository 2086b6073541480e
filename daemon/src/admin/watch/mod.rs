//! What changes, as it changes: `GET /v1/watch`.
//!
//! A reader asks questions at a pace. Readers with the same question and pace share a *feed*: its line is made once
//! per beat, whoever reads. A reader holds no lines of its own beside two that it is sent; one that does not keep up
//! finds only the newest ones, and is told how many it missed. So memory does not grow with what is not read.

mod feed;
mod pace;
pub(super) mod past;
pub(super) mod question;
mod reader;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use toolgate_admin_api::{Hello, History, Socket, Topic, WatchLine};
use toolgate_protocol::history::Span;

pub use question::{Question, Subject};

use super::lines::{self, Lines};
use super::operations::Operations;
use super::turns;
use crate::lock::lock;
use crate::observe::ledger::{Filter, Tail};
use pace::Pace;
use question::Asked;
use reader::Reader;

/// Lines on their way to one reader.
const UNDER_WAY: usize = 2;

/// What may be watched.
pub trait WatchOperations {
    /// A topic as it is now, from snapshots. Called at each beat of each watch, once for all who ask the same.
    fn topic(&self, question: &Question) -> Topic;

    /// What was: series by name, where one that ends with `*` stands for all that begin so.
    fn past(&self, names: &[String], span: Span) -> History;

    /// Calls as they end; nothing where too many follow them already.
    fn tail(&self, filter: Filter) -> Option<Tail>;
}

/// All watches of both sockets.
pub(super) struct Hub {
    operations: Arc<dyn Operations>,
    /// By their interval in milliseconds, of which there are few (`question::STEP`).
    paces: Mutex<BTreeMap<u64, Arc<Pace>>>,
    /// Of the beats, so that they leave threads to whoever asks something.
    turns: Arc<Semaphore>,
}

impl Hub {
    /// Without readers; it works only while there are some.
    pub(super) fn new(operations: Arc<dyn Operations>) -> Self {
        Self { operations, paces: Mutex::default(), turns: turns::beats() }
    }

    /// Begins a watch. It ends when the body is dropped.
    pub(super) fn open(&self, asked: Asked, socket: Socket) -> Lines {
        let (sender, body) = mpsc::channel(UNDER_WAY);
        let pace = self.pace(asked.interval);
        let reader = Reader::new(pace, asked.questions, asked.since, sender);
        tokio::spawn(reader.run(self.hello(asked.interval, socket)));
        Lines::new(body)
    }

    fn pace(&self, interval: Duration) -> Arc<Pace> {
        let mut paces = lock(&self.paces);
        let pace =
            paces.entry(millis(interval)).or_insert_with(|| Pace::start(interval, &self.operations, &self.turns));
        Arc::clone(pace)
    }

    fn hello(&self, interval: Duration, socket: Socket) -> Bytes {
        let version = self.operations.version();
        lines::line(&WatchLine::Hello(Hello {
            version: version.version,
            instance: version.instance,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            privilege: socket.name().to_owned(),
            interval_ms: millis(interval),
        }))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
