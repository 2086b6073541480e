//! The thread that watches: twice a second it looks at what would have to be waited for, and at what is wrong.
//!
//! It is no core and runs no call: a file system or a webhook that hangs holds up nobody. Its runtime carries the
//! operator's checks, the way to the webhook, and that to the keys of issuers.

use std::io;
use std::sync::Arc;
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet, spawn_blocking, spawn_local};
use tokio::time::{MissedTickBehavior, interval, timeout};
use toolgate_admin_api as api;
use toolgate_protocol::scaling::{Adviser, Load, Targets};

use super::alerts::{self, Keeper, Trends};
use super::disk::Gauge;
use super::own::Own;
use super::rates::Rates;
use crate::clock;
use crate::gate::Gate;
use crate::identity::token::Refresher;
use crate::overload::hundredths;

/// Between two looks: what is wrong is seen within a second.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long the end waits for what is written last.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// Files that hang keep a thread each.
const BLOCKING_THREADS: usize = 16;

/// Watches until dropped.
#[derive(Debug)]
pub struct Watch {
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watch {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system has none.
    pub fn start(gate: &Arc<Gate>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("watch-file")
            .max_blocking_threads(BLOCKING_THREADS)
            .build()?;
        let (end, ended) = oneshot::channel();
        let watcher = Watcher::new(gate);
        let thread = Builder::new().name("watch".into()).spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime, watcher.run(ended));
            drop(local);
            // Whoever still waits for a file keeps nobody from ending.
            runtime.shutdown_background();
        })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches had panicked");
        }
    }
}

struct Watcher {
    gate: Arc<Gate>,
    gauge: Gauge,
    own: Own,
    issuers: Refresher,
    trends: Trends,
    adviser: Adviser,
    /// Writes alerts down; away while it does.
    keeper: Option<Keeper>,
    writing: Option<JoinHandle<Keeper>>,
    begun: Instant,
}

impl Watcher {
    fn new(gate: &Arc<Gate>) -> Self {
        let keeper = Keeper::open(&gate.observed.alarms, &gate.settings.load().daemon.state_dir);
        Self {
            gate: Arc::clone(gate),
            gauge: Gauge::default(),
            own: Own::default(),
            issuers: Refresher::default(),
            trends: Trends::default(),
            adviser: Adviser::default(),
            keeper,
            writing: None,
            begun: Instant::now(),
        }
    }

    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        let delivery = spawn_local(alerts::deliver(Arc::clone(&self.gate)));
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut ended => break,
                _ = ticks.tick() => self.look().await,
            }
        }
        delivery.abort();
        // What is being written, then what came meanwhile. A disk that does not answer keeps nobody from ending.
        if let Some(writing) = self.writing.take() {
            self.keeper = timeout(LAST_WRITE, writing).await.ok().and_then(Result::ok);
        }
        self.write();
        if let Some(writing) = self.writing.take() {
            drop(timeout(LAST_WRITE, writing).await);
        }
    }

    async fn look(&mut self) {
        self.own.follow(&self.gate);
        self.issuers.follow(&self.gate);
        let settings = self.gate.settings.load_full();
        let disk = self.gauge.look(&settings.daemon.state_dir).await;
        self.gate.observed.disk.store(Arc::new(disk));
        self.gate.observed.rates.store(Arc::new(Rates::of(&self.gate.ledger)));
        self.trends.read(&self.gate, clock::millis());
        self.advise(settings.scaling.as_ref());
        self.gate.observed.alarms.tick(&self.gate, &self.trends);
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(writing) = self.writing.take()
        {
            self.keeper = writing.await.ok();
        }
        self.write();
    }

    /// Writes what changed, on a thread that may wait for a disk.
    fn write(&mut self) {
        if let Some(mut keeper) = self.keeper.take_if(|keeper| keeper.is_behind(&self.gate.observed.alarms)) {
            let gate = Arc::clone(&self.gate);
            self.writing = Some(spawn_blocking(move || {
                keeper.write(&gate.observed.alarms);
                keeper
            }));
        }
    }

    fn advise(&mut self, scaling: Option<&crate::config::settings::Scaling>) {
        let Some(scaling) = scaling else {
            self.gate.observed.advice.store(None);
            return;
        };
        let targets = Targets {
            cpu: hundredths(scaling.cpu),
            memory: hundredths(scaling.memory),
            least: scaling.min,
            most: scaling.max,
            up: scaling.up_cooldown,
            down: scaling.down_cooldown,
        };
        let sample = self.gate.observed.sample();
        let load = Load { cpu: sample.cpu_minute, memory: sample.memory_minute };
        let advice = self.adviser.advise(self.begun.elapsed(), load, scaling.replicas, &targets);
        let advice = api::Advice {
            action: advice.action.word().to_owned(),
            replicas: advice.replicas,
            current: scaling.replicas,
            reason: advice.reason,
        };
        self.gate.observed.advice.store(Some(Arc::new(advice)));
    }
}
