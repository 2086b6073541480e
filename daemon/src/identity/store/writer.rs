//! The thread that owns the file: it opens it, makes the changes, and writes down uses.
//!
//! A change is answered once it is on the disk and in the index, in this order: a call that is decided about after the
//! answer meets the key as it is then. Changes that wait while others are written share one sync.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::Inner;
use super::change::Change;
use super::file::{File, Outcome, Problem};
use crate::clock;
use crate::lock::lock;

/// Changes that share one sync.
const TOGETHER: usize = 256;
/// Between two times that uses are written down.
const USES: Duration = Duration::from_secs(60);
/// Between two attempts to open a file that cannot be used.
const AGAIN: Duration = Duration::from_secs(5);

/// What is asked of the thread.
pub(super) enum Order {
    /// Changes that belong together.
    Change(Vec<(String, Change)>, SyncSender<Result<Outcome, Problem>>),
    /// The end, once uses are written down.
    End,
}

/// What the thread has.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) inner: Arc<Inner>,
    pub(super) orders: Receiver<Order>,
}

impl Writer {
    /// Opens the file, says so, and works until the end.
    pub(super) fn run(self, opened: &SyncSender<()>) {
        self.open();
        // Nobody waits any more where sending fails.
        let _ = opened.send(());
        let mut uses_at = Instant::now() + USES;
        loop {
            let open = self.inner.file.load().is_some();
            let wait = uses_at.saturating_duration_since(Instant::now());
            match self.orders.recv_timeout(if open { wait } else { AGAIN }) {
                Ok(Order::Change(changes, tell)) => {
                    if self.serve(changes, tell) {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.inner.file.load().is_none() {
                self.open();
            }
            if uses_at <= Instant::now() {
                self.write_uses();
                uses_at = Instant::now() + USES;
            }
        }
        self.write_uses();
        self.close();
    }

    fn open(&self) {
        let opened = File::open(&self.path).and_then(|file| file.lines().map(|lines| (file, lines)));
        let mut trouble = lock(&self.inner.trouble);
        match opened {
            Ok((file, lines)) => {
                self.inner.index.put(lines, clock::unix_millis());
                self.inner.file.store(Some(Arc::new(file)));
                if trouble.take().is_some() {
                    info!("the key store can be used again");
                }
            }
            Err(problem) => {
                let told = format!("the key store {} cannot be used: {problem}", self.path.display());
                if trouble.as_deref() != Some(&told) {
                    error!("{told}");
                }
                *trouble = Some(told);
            }
        }
    }

    /// Makes these changes, and those that wait behind them; whether the end was asked for meanwhile.
    fn serve(&self, changes: Vec<(String, Change)>, tell: SyncSender<Result<Outcome, Problem>>) -> bool {
        let (mut orders, mut tells, mut end) = (vec![changes], vec![tell], false);
        while orders.len() < TOGETHER {
            match self.orders.try_recv() {
                Ok(Order::Change(changes, tell)) => {
                    orders.push(changes);
                    tells.push(tell);
                }
                Ok(Order::End) => {
                    end = true;
                    break;
                }
                Err(_) => break,
            }
        }
        let file = self.inner.file.load_full();
        let made = file.as_ref().map_or_else(|| Err(self.inner.trouble_told()), |file| file.change(orders));
        drop(file);
        let outcomes = match made {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(problem) => {
                self.fail(&problem);
                tells.iter().map(|_| Err(problem.clone())).collect()
            }
        };
        let keys = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()?.as_ref().ok()).flatten();
        self.inner.index.put(keys.map(|(id, key)| (id.clone(), key.line())), clock::unix_millis());
        for (tell, outcome) in tells.into_iter().zip(outcomes) {
            let _ = tell.send(outcome);
        }
        end
    }

    /// A file that could not be written may not be read either: it is opened anew.
    fn fail(&self, problem: &str) {
        warn!("a change of the key store failed: {problem}");
        self.close();
    }

    /// Lets go of the file once nobody reads it any more, which is within one look.
    fn close(&self) {
        let Some(file) = self.inner.file.swap(None) else { return };
        let until = Instant::now() + Duration::from_secs(1);
        while Arc::strong_count(&file) > 1 && Instant::now() < until {
            std::thread::yield_now();
        }
    }

    fn write_uses(&self) {
        let due = self.inner.uses.due();
        let Some(file) = self.inner.file.load_full().filter(|_| !due.is_empty()) else { return };
        match file.used(&due) {
            Ok(()) => self.inner.uses.written(&due),
            Err(problem) => {
                drop(file);
                self.fail(&problem);
            }
        }
    }
}
