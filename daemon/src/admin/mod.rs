//! The two admin sockets: what operators and their programs ask of the daemon, and tell it.
//!
//! `lifecycle` starts this once with its [`Operations`]. It lives on an OS thread with a runtime of its
//! own and waits for no core, so that it answers when the data plane is saturated.

pub mod audit;
mod health;
mod keys;
mod lines;
pub mod operations;
mod patience;
pub mod policy;
pub mod query;
mod routes;
mod schema;
pub mod seal;
mod serve;
mod socket;
pub mod steer;
mod streams;
mod tail;
mod turns;
pub mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use toolgate_admin_api::Socket;

pub use health::HealthOperations;
pub use keys::{KeyOperations, KeysQuery};
pub use operations::{
    CacheOperations, EndpointOperations, GrantOperations, LedgerOperations, LimitOperations, Operations, Peer,
    ToolOperations,
};
pub use policy::PolicyOperations;
pub use seal::SealOperations;
use serve::Door;
use socket::Bound;
pub use steer::{AuditOperations, SteerOperations};
use streams::Streams;
use turns::Turns;
pub use watch::WatchOperations;

/// How often the heartbeat grows.
pub const HEARTBEAT: Duration = Duration::from_millis(250);

/// Connections in all: 96 for those who look, each console with two of them, and 32 that they cannot take from those
/// who act.
const CONNECTIONS: [(Socket, usize); 2] = [(Socket::View, 96), (Socket::Control, 32)];

/// The running admin thread; dropping it ends the thread and removes the sockets.
#[derive(Debug)]
pub struct Admin {
    heartbeat: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Binds both sockets below `runtime_dir` and starts to answer.
    ///
    /// Fails, with the path in the text, where a folder cannot be made, where another daemon answers
    /// on a socket, or where something that is no socket stands in its place.
    pub fn start(runtime_dir: &Path, operations: Arc<dyn Operations>) -> io::Result<Self> {
        let mut doors = Vec::new();
        for (socket, connections) in CONNECTIONS {
            let bound = Bound::bind(socket, runtime_dir)?;
            doors.push((socket, bound, connections));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Operations run beside the sockets' loop, so that a slow reload does not silence `status`.
            .max_blocking_threads(turns::THREADS)
            .build()?;
        let heartbeat = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = oneshot::channel();
        let beats = Arc::clone(&heartbeat);
        let control_path = Socket::Control.path(runtime_dir);
        let thread = std::thread::Builder::new().name("admin".into()).spawn(move || {
            runtime.block_on(run(doors, operations, control_path, beats, stopped));
            runtime.shutdown_background();
        })?;
        Ok(Self { heartbeat, stop: Some(stop), thread: Some(thread) })
    }

    /// Grows every [`HEARTBEAT`] while the admin thread makes progress; the watchdog reads it.
    #[must_use]
    pub fn heartbeat(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.heartbeat)
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The admin thread had panicked");
        }
    }
}

/// Serves until `stopped` resolves; the sockets are removed with `doors`.
async fn run(
    doors: Vec<(Socket, Bound, usize)>,
    operations: Arc<dyn Operations>,
    control_path: PathBuf,
    heartbeat: Arc<AtomicU64>,
    stopped: oneshot::Receiver<()>,
) {
    let watches = watch::Hub::new(Arc::clone(&operations));
    let streams = Arc::new(Streams { operations: Arc::clone(&operations), watches });
    let mut tasks = tokio::task::JoinSet::new();
    for (socket, bound, connections) in doors {
        let door = Door {
            socket,
            operations: Arc::clone(&operations),
            control_path: control_path.clone(),
            permits: Arc::new(Semaphore::new(connections)),
            turns: Turns::new(),
            streams: Arc::clone(&streams),
        };
        tasks.spawn(serve::accept(bound, Arc::new(door)));
    }
    tasks.spawn(async move {
        loop {
            heartbeat.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(HEARTBEAT).await;
        }
    });
    // An error means that the sender is gone, which is how `Drop` says stop.
    let _ = stopped.await;
}

#[cfg(test)]
mod tests;
