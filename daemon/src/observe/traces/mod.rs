//! Traces: calls that a collector is told of, as OTLP over HTTP has it.
//!
//! `pipeline` asks [`begin`] about each request once its message is read; `stages/record.rs` hands a traced call that
//! has ended to [`Traces::end`]. What its spans are is made of the ledger's times, on the thread that delivers them.
//!
//! Must hold: a call that is not traced pays for a branch, or for a draw where traces are configured; a collector that
//! is slow or away costs spans, which are counted, and no memory beyond the queue.

mod context;
mod delivery;
mod finished;
mod message;
mod recent;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, oneshot};

pub use context::{Traced, begin};

use super::ledger::Facts;
use crate::call::Call;
use crate::config::settings::Trace;
use crate::lock::lock;
use delivery::Delivery;
use finished::Finished;
use recent::Recent;
use toolgate_protocol::trace::TraceId;

/// How long the end of the process waits for the last delivery.
const LAST: Duration = Duration::from_secs(2);

/// The gate's traces.
#[derive(Debug, Default)]
pub struct Traces {
    way: ArcSwapOption<Way>,
    numbers: Arc<Numbers>,
    recent: Recent,
}

/// The way to a collector. Dropped, it has what waits delivered, and ends.
#[derive(Debug)]
struct Way {
    rules: Arc<Trace>,
    queue: tokio::sync::mpsc::Sender<Finished>,
    wake: Arc<Notify>,
    end: oneshot::Sender<()>,
    /// Disconnected when the last delivery was made.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// What became of spans.
#[derive(Debug, Default)]
struct Numbers {
    sent: AtomicU64,
    lost: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Numbers {
    fn lose(&self, spans: u64) {
        self.lost.fetch_add(spans, Ordering::Relaxed);
    }
}

impl Traces {
    /// Goes by this configuration from now on. A way that did not change is kept.
    pub fn follow(&self, wanted: Option<&Arc<Trace>>) {
        let running = self.way.load();
        if running.as_ref().map(|way| &way.rules) == wanted {
            return;
        }
        *lock(&self.numbers.trouble) = None;
        let way = wanted.and_then(|rules| {
            let way = Way::open(rules, &self.numbers);
            way.inspect_err(|problem| tracing::error!(%problem, "traces cannot be delivered: no thread can be started"))
                .ok()
        });
        self.way.store(way.map(Arc::new));
    }

    /// Takes in a traced call that has ended.
    pub fn end(&self, call: &Call, traced: &Arc<Traced>, facts: &Facts<'_>) {
        let way = self.way.load();
        // It began under a configuration that is not any more.
        let Some(way) = &*way else { return };
        let finished = Finished::of(call, traced, facts);
        let spans = finished.spans();
        if way.queue.try_send(finished).is_err() {
            self.numbers.lose(spans);
        }
        if way.queue.capacity() == way.queue.max_capacity() / 2 {
            way.wake.notify_one();
        }
    }

    /// The trace of a call, where it is one of the traced calls that began last.
    pub fn of_call(&self, id: &str) -> Option<TraceId> {
        self.recent.find(id)
    }

    /// Spans that a collector has taken, and those that none did.
    pub fn spans(&self) -> [u64; 2] {
        [&self.numbers.sent, &self.numbers.lost].map(|number| number.load(Ordering::Relaxed))
    }

    /// Why the collector does not take what it is sent.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.numbers.trouble).clone()
    }

    /// Delivers what waits, for as long as the end may take; to be called when no call runs any more.
    pub fn settle(&self) {
        let Some(Way { end, ended, .. }) = self.way.swap(None).and_then(Arc::into_inner) else { return };
        drop(end);
        // Disconnected is what says that it is done.
        let _ = lock(&ended).recv_timeout(LAST);
    }
}

impl Way {
    fn open(rules: &Arc<Trace>, numbers: &Arc<Numbers>) -> io::Result<Self> {
        let (queue, waiting) = tokio::sync::mpsc::channel(rules.queue);
        let (end, over) = oneshot::channel();
        let (done, ended) = mpsc::channel();
        let wake = Arc::new(Notify::new());
        let delivery = Delivery::new(rules, numbers, waiting, (&wake, over));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("traces".into()).spawn(move || {
            runtime.block_on(delivery.run());
            // A name that is still being looked up keeps nobody from ending.
            runtime.shutdown_background();
            drop(done);
        })?;
        Ok(Self { rules: Arc::clone(rules), queue, wake, end, ended: Mutex::new(ended) })
    }
}
