//! Traces on their way to the collector, on a thread of their own: in batches, each again until it was taken or its time
//! is over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{Notify, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{info, warn};

use super::Numbers;
use super::finished::Finished;
use super::message;
use crate::config::settings::Trace;
use crate::lock::lock;
use crate::servers::http::{Answer, HttpClient, Method, Outgoing, lone};
use crate::sessions::SessionId;

/// Tries of one delivery.
const TRIES: u32 = 5;

/// The longest pause between two of them.
const LONGEST: Duration = Duration::from_secs(30);

/// Bytes of an answer that are read.
const ANSWER: usize = 64 << 10;

/// What delivers.
pub(super) struct Delivery {
    rules: Arc<Trace>,
    numbers: Arc<Numbers>,
    waiting: Receiver<Finished>,
    wake: Arc<Notify>,
    /// Resolves when nothing more will come.
    end: oneshot::Receiver<()>,
    is_over: bool,
    client: Result<HttpClient, String>,
    /// Tells this process from others of the same service.
    instance: String,
}

/// A delivery that was not taken.
struct Missed {
    why: String,
    /// Whether it may be sent again.
    again: bool,
    /// After how long, where the collector says so.
    after: Option<Duration>,
}

impl Missed {
    fn again(why: String) -> Self {
        Self { why, again: true, after: None }
    }

    fn for_good(why: String) -> Self {
        Self { why, again: false, after: None }
    }
}

impl Delivery {
    pub(super) fn new(
        rules: &Arc<Trace>,
        numbers: &Arc<Numbers>,
        waiting: Receiver<Finished>,
        (wake, end): (&Arc<Notify>, oneshot::Receiver<()>),
    ) -> Self {
        let client = match &rules.lacks {
            Some(why) => Err(why.clone()),
            None => lone(rules.endpoint.clone(), rules.tls.clone(), rules.headers.clone(), rules.timeout),
        };
        Self {
            rules: Arc::clone(rules),
            numbers: Arc::clone(numbers),
            waiting,
            wake: Arc::clone(wake),
            end,
            is_over: false,
            client,
            instance: SessionId::random().to_string(),
        }
    }

    /// Delivers until nothing more comes, then what is left.
    pub(super) async fn run(mut self) {
        let mut ticks = interval(self.rules.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_over {
            tokio::select! {
                biased;
                _ = &mut self.end => self.is_over = true,
                // Not by the arrival of a call, which would have a core wake this thread for each.
                _ = ticks.tick() => {}
                () = self.wake.notified() => {}
            }
            self.empty().await;
        }
    }

    async fn empty(&mut self) {
        loop {
            let batch: Vec<_> = std::iter::from_fn(|| self.waiting.try_recv().ok()).take(self.rules.batch).collect();
            if batch.is_empty() {
                return;
            }
            let spans = batch.iter().map(Finished::spans).sum();
            let body = message::request(&batch, &self.rules.service, &self.instance).encode_to_vec();
            drop(batch);
            self.deliver(&body, spans).await;
        }
    }

    async fn deliver(&mut self, body: &[u8], spans: u64) {
        for number in 1..=TRIES {
            let missed = match self.send(body).await {
                Ok(rejected) => return self.taken(spans, rejected),
                Err(missed) => missed,
            };
            self.missed(&missed.why);
            if !missed.again || number == TRIES || self.is_over {
                break;
            }
            let pause = missed.after.unwrap_or(Duration::from_secs(1 << (number - 1))).min(LONGEST);
            tokio::select! {
                biased;
                _ = &mut self.end => self.is_over = true,
                () = sleep(pause) => {}
            }
        }
        self.numbers.lose(spans);
        while let (true, Ok(call)) = (self.is_over, self.waiting.try_recv()) {
            self.numbers.lose(call.spans());
        }
    }

    fn taken(&self, spans: u64, rejected: u64) {
        let rejected = rejected.min(spans);
        self.numbers.sent.fetch_add(spans - rejected, Ordering::Relaxed);
        self.numbers.lose(rejected);
        if lock(&self.numbers.trouble).take().is_some() {
            info!(lost = self.numbers.lost.load(Ordering::Relaxed), "the collector takes traces again");
        }
    }

    fn missed(&self, why: &str) {
        let before = lock(&self.numbers.trouble).replace(why.to_owned());
        if before.is_none() {
            warn!(why, "the collector does not take traces: they wait for it, and are lost where they wait too long");
        }
    }

    /// How many spans the collector did not want; or why it took none, without the URL's path.
    async fn send(&self, body: &[u8]) -> Result<u64, Missed> {
        let client = self.client.as_ref();
        let client = client.map_err(|why| Missed::for_good(format!("{}.", why.trim_end_matches('.'))))?;
        let host = &self.rules.endpoint.host;
        let headers: &[(&str, &[u8])] = &[("content-type", b"application/x-protobuf")];
        let request =
            Outgoing { method: Method::Post, endpoint: 0, headers, target: None, body: &[body], first_byte: None };
        match timeout(self.rules.timeout, client.send(request)).await {
            Ok(Ok(answer)) if (200..300).contains(&answer.status) => Ok(self.rejected(answer).await),
            Ok(Ok(answer)) => {
                let why = format!("{host} answers with status {}.", answer.status);
                // OTLP 1.9, "Failures": what may be sent again.
                let again = matches!(answer.status, 429 | 502..=504);
                Err(Missed { why, again, after: retry_after(&answer) })
            }
            Ok(Err(error)) => Err(Missed::again(format!("{host} cannot be reached: {error}."))),
            Err(_) => Err(Missed::again(format!("{host} gives no answer in time."))),
        }
    }

    /// What a collector that took a part of it says. An answer that cannot be read says nothing.
    async fn rejected(&self, answer: Answer) -> u64 {
        let whole = timeout(self.rules.timeout, Limited::new(answer.body, ANSWER).collect()).await;
        let said = whole.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes);
        let partial = said.and_then(|said| ExportTraceServiceResponse::decode(said).ok()?.partial_success);
        partial.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
    }
}

fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = std::str::from_utf8(answer.headers.get("retry-after")?).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
