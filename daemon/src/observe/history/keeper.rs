//! Takes the samples, and has them written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use toolgate_protocol::history::{self, TICK};
use tracing::{info, warn};

use super::file::{RingFile, Row};
use super::{History, Reading, Sampled};
use crate::clock;
use crate::lock::lock;

/// The file in the state folder.
const FILE: &str = "history";

/// Samples that wait for a disk that does not answer; then they are gaps after a restart.
const WAITING: usize = 32;

/// Two threads, until dropped: one takes samples, one writes them.
#[derive(Debug)]
pub struct Keeper {
    end: Option<mpsc::Sender<()>>,
    taker: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Begins, with what the last process left in the folder. Without a folder the history begins with the process.
    pub fn start(history: &Arc<History>, sampled: Arc<dyn Sampled>, state: &Path) -> std::io::Result<Self> {
        let path = (!state.as_os_str().is_empty()).then(|| state.join(FILE));
        let (end, ended) = mpsc::channel::<()>();
        let history = Arc::clone(history);
        let taker = Builder::new().name("history".into()).spawn(move || {
            let rows = path.and_then(|path| Writer::start(path, &history));
            let mut taker = Taker { history, sampled, counts: HashMap::new(), last: Instant::now(), rows };
            while ended.recv_timeout(until_next(clock::unix_millis())) == Err(RecvTimeoutError::Timeout) {
                taker.once(clock::unix_millis());
            }
        })?;
        Ok(Self { end: Some(end), taker: Some(taker) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(taker) = self.taker.take()
            && taker.join().is_err()
        {
            tracing::error!("the thread that keeps the history had panicked");
        }
    }
}

/// Until a tick has ended.
fn until_next(now_ms: u64) -> Duration {
    Duration::from_millis(TICK * 1_000 - now_ms % (TICK * 1_000))
}

struct Taker {
    history: Arc<History>,
    sampled: Arc<dyn Sampled>,
    /// What counts were at the last sample.
    counts: HashMap<String, u64>,
    last: Instant,
    rows: Option<SyncSender<Row>>,
}

impl Taker {
    /// Takes the sample of the tick that has just ended.
    fn once(&mut self, now_ms: u64) {
        let tick = history::tick(now_ms.saturating_sub(TICK * 500));
        let now = Instant::now();
        let span = (now - std::mem::replace(&mut self.last, now)).as_secs_f64().max(1e-3);
        let readings = self.sampled.sample();
        let mut counts = HashMap::with_capacity(self.counts.len());
        let values = readings.into_iter().filter_map(|(name, reading)| {
            let (count, is_idle) = match reading {
                Reading::Level(level) => return Some((name, narrow(level))),
                Reading::Count(count) => (count, false),
                Reading::Rare(count) => (count, true),
            };
            let before = self.counts.get(&name).copied().unwrap_or(0);
            counts.insert(name.clone(), count);
            // Less than before: whatever it is of was forgotten and begins anew.
            let more = if count < before { count } else { count - before };
            (more > 0 || !is_idle).then(|| (name, narrow(as_float(more) / span)))
        });
        let values = values.collect();
        self.counts = counts;
        self.keep(tick, values);
    }

    fn keep(&mut self, tick: u64, values: Vec<(String, f32)>) {
        let mut store = lock(&self.history.0);
        let kept: Vec<_> = values.into_iter().filter(|(name, value)| store.put(name, tick, *value)).collect();
        store.forget(tick);
        drop(store);
        if let Some(rows) = &self.rows {
            // One that finds no room is a gap after a restart, and only there.
            let _ = rows.try_send(Row { tick, values: kept });
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits suffice for a graph")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[expect(clippy::cast_precision_loss, reason = "of ten seconds")]
fn as_float(count: u64) -> f64 {
    count as f64
}

/// Writes rows until nobody sends any more.
struct Writer {
    path: PathBuf,
    history: Arc<History>,
    file: Option<RingFile>,
    is_failing: bool,
}

impl Writer {
    /// Reads what the last process left, then writes on a thread of its own.
    fn start(path: PathBuf, history: &Arc<History>) -> Option<SyncSender<Row>> {
        let file = RingFile::load(&path, history::tick(clock::unix_millis()), &history.0);
        let mut writer = Self { path, history: Arc::clone(history), file: None, is_failing: false };
        writer.file = writer.judged(file).flatten();
        let (rows, written) = mpsc::sync_channel(WAITING);
        let thread = Builder::new().name("history-file".into()).spawn(move || writer.run(&written));
        thread.inspect_err(|problem| warn!("the history ends with the process: {problem}")).ok()?;
        Some(rows)
    }

    fn run(mut self, rows: &Receiver<Row>) {
        while let Ok(row) = rows.recv() {
            let written = self.write(&row);
            if self.judged(written).is_none() {
                self.file = None;
            }
        }
    }

    /// Into the file that there is, or a new one with all that is known where it has no room for this.
    fn write(&mut self, row: &Row) -> std::io::Result<()> {
        if let Some(file) = &mut self.file
            && file.write(row)?
        {
            return Ok(());
        }
        self.file = None;
        self.file = Some(RingFile::create(&self.path, row, &self.history.0)?);
        Ok(())
    }

    /// Says once that it fails, and once that it works again.
    fn judged<T>(&mut self, done: std::io::Result<T>) -> Option<T> {
        let file = self.path.display();
        match &done {
            Ok(_) if std::mem::take(&mut self.is_failing) => info!("the history is kept across a restart again"),
            Err(problem) if !self.is_failing => {
                self.is_failing = true;
                warn!(%file, "the history is not kept across a restart: {problem}");
            }
            Ok(_) | Err(_) => {}
        }
        done.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use toolgate_protocol::history::Span;

    use super::*;

    struct Script(Mutex<Vec<(String, Reading)>>);

    impl Sampled for Script {
        fn sample(&self) -> Vec<(String, Reading)> {
            lock(&self.0).clone()
        }
    }

    /// One sample each ten seconds, the first of the tick that begins at 10,000 ms.
    fn take(history: &Arc<History>, samples: impl IntoIterator<Item = Vec<(String, Reading)>>) {
        let script = Arc::new(Script(Mutex::default()));
        let mut taker = Taker {
            history: Arc::clone(history),
            sampled: Arc::clone(&script) as Arc<dyn Sampled>,
            counts: HashMap::new(),
            last: Instant::now(),
            rows: None,
        };
        for (tick, sample) in (1..).zip(samples) {
            *lock(&script.0) = sample;
            taker.last = Instant::now().checked_sub(Duration::from_secs(10)).expect("a machine that is up for a while");
            taker.once((tick + 1) * 10_000 + 3);
        }
    }

    fn rounded(answer: &toolgate_admin_api::History) -> Vec<Vec<Option<f64>>> {
        let round = |point: &Option<f64>| point.map(|value| (value * 10.0).round() / 10.0);
        answer.series.iter().map(|series| series.points.iter().map(round).collect()).collect()
    }

    #[test]
    fn a_tool_that_was_idle_goes_on_from_what_it_had_counted() {
        let history = Arc::new(History::default());
        let name = "calls:web/pay";
        let of = |reading| vec![(name.to_owned(), reading)];
        let (lifetime, one_more) = (1_000_000, 1_000_001);
        let samples = [Reading::Count(lifetime), Reading::Rare(lifetime), Reading::Count(one_more)].map(of);
        // Its call was counted a moment before it was taken for busy.
        take(&history, samples.into_iter().chain([of(Reading::Rare(one_more + 20))]));
        let answer = history.answer(&[name.into()], Span::new(10_000, 40_000, 10));
        assert_eq!(rounded(&answer), [[Some(100_000.0), None, Some(0.1), Some(2.0)]]);
    }

    #[test]
    fn counts_become_rates_and_what_begins_anew_is_no_negative_one() {
        let history = Arc::new(History::default());
        let samples = [100, 250, 30].map(|count| {
            vec![("calls".into(), Reading::Count(count)), ("cpu".into(), Reading::Level(f64::from(0.5_f32)))]
        });
        take(&history, samples);
        let answer = history.answer(&["calls".into(), "cpu".into(), "unknown".into()], Span::new(10_000, 30_000, 10));
        assert_eq!(rounded(&answer), [[Some(10.0), Some(15.0), Some(3.0)], [Some(0.5); 3]]);
        assert_eq!((answer.series[0].from_ms, answer.series[0].step_ms), (10_000, 10_000));
        assert_eq!((answer.series[0].unit.as_str(), answer.series[1].unit.as_str()), ("per_second", "ratio"));
    }

    #[test]
    fn a_sample_is_taken_when_its_tick_has_ended() {
        assert_eq!(until_next(20_000), Duration::from_secs(10));
        assert_eq!(until_next(29_999), Duration::from_millis(1));
    }
}
