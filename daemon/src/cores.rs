//! The threads that do all work for clients: one current-thread runtime each.
//!
//! `run` starts them; the acceptor and the watchdog send them work. A future never leaves the
//! core that made it.

use std::fmt;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use tokio::runtime::{self, LocalOptions, LocalRuntime};
use tokio::sync::{Notify, mpsc};

use crate::core::{Core, Load};
use crate::gate::Gate;
use crate::lock::lock;
use crate::observe::panics;
use crate::wire::outbox;

/// Pieces of work that may wait for a core to take them up.
const QUEUE: usize = 1024;

type Job = Box<dyn FnOnce(&Rc<Core>) + Send>;

/// The core has ended, or its queue is full because it is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreachable {
    /// Which core.
    pub core: usize,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "core {} takes no work: it has ended, or it is blocked", self.core)
    }
}

impl std::error::Error for Unreachable {}

struct Handle {
    queue: mpsc::Sender<Job>,
    stop: Arc<Notify>,
    load: Arc<Load>,
}

/// All cores, to be sent work from any thread.
#[derive(Clone)]
pub struct Cores {
    handles: Arc<[Handle]>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Cores {
    /// Starts `count` cores; 0 means one per processor that this process may use.
    pub fn start(count: usize, gate: &Arc<Gate>) -> io::Result<Self> {
        let count = match count {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let mut handles = Vec::with_capacity(count);
        let mut threads = Vec::with_capacity(count);
        for index in 0..count {
            let load = Arc::new(Load::default());
            let stop = Arc::new(Notify::new());
            let core = (index, load.clone(), Arc::clone(gate));
            let (queue, thread) = start_one(core, stop.clone())?;
            handles.push(Handle { queue, stop, load });
            threads.push(thread);
        }
        Ok(Self { handles: handles.into(), threads: Arc::new(Mutex::new(threads)) })
    }

    /// How many cores there are; at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.handles.len()
    }

    /// What core `core` carries.
    ///
    /// # Panics
    /// When there is no such core.
    #[must_use]
    pub fn load(&self, core: usize) -> &Arc<Load> {
        &self.handles[core].load
    }

    /// Open client connections on all cores.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.handles.iter().map(|handle| handle.load.connections()).sum()
    }

    /// The core with the fewest connections.
    #[must_use]
    pub fn least_loaded(&self) -> usize {
        let connections = |index: &usize| self.handles[*index].load.connections();
        (0..self.count()).min_by_key(connections).unwrap_or(0)
    }

    /// Runs a future on core `core`, which makes it there; waits while that core's queue is full.
    ///
    /// # Panics
    /// When there is no such core.
    pub async fn spawn<F, Fut>(&self, core: usize, make: F) -> Result<(), Unreachable>
    where
        F: FnOnce(Rc<Core>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let sent = self.handles[core].queue.send(job(make)).await;
        sent.map_err(|_| Unreachable { core })
    }

    /// Like [`Self::spawn`], but a full queue is an error: for threads that must not wait.
    ///
    /// # Panics
    /// When there is no such core.
    pub fn try_spawn<F, Fut>(&self, core: usize, make: F) -> Result<(), Unreachable>
    where
        F: FnOnce(Rc<Core>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let sent = self.handles[core].queue.try_send(job(make));
        sent.map_err(|_| Unreachable { core })
    }

    /// Ends every core, dropping what still runs there, and waits for their threads.
    ///
    /// To be called from a thread that may block, after the drain.
    pub fn stop(&self) {
        for handle in self.handles.iter() {
            handle.stop.notify_one();
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a core's thread ended by panic");
            }
        }
    }
}

fn job<F, Fut>(make: F) -> Job
where
    F: FnOnce(Rc<Core>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    Box::new(move |core| {
        // As it is: a future that awaits another one would hold it twice.
        tokio::task::spawn_local(panics::task(core.index, make(Rc::clone(core))));
    })
}

fn start_one(
    (index, load, gate): (usize, Arc<Load>, Arc<Gate>),
    stop: Arc<Notify>,
) -> io::Result<(mpsc::Sender<Job>, JoinHandle<()>)> {
    let (queue, jobs) = mpsc::channel(QUEUE);
    // The runtime cannot leave its thread, so the thread says whether it could be made.
    let (ready, made) = std::sync::mpsc::sync_channel(1);
    let thread = Builder::new().name(format!("core-{index}")).spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => {
                let _ = ready.send(Ok(()));
                run(&runtime, jobs, &stop, Core::new(index, load, gate));
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    })?;
    match made.recv() {
        Ok(Ok(())) => Ok((queue, thread)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("a core's thread ended before it ran")),
    }
}

fn run(runtime: &LocalRuntime, mut jobs: mpsc::Receiver<Job>, stop: &Notify, core: Core) {
    let core = Rc::new(core);
    let work = async {
        while let Some(job) = jobs.recv().await {
            job(&core);
        }
    };
    runtime.block_on(async {
        tokio::task::spawn_local(outbox::run());
        tokio::select! {
            () = work => {}
            () = stop.notified() => {}
        }
    });
}
