//! Where schemas are compiled: one thread for all servers, which takes one schema of each in turn.
//!
//! A server may list new schemas faster than they can be compiled. What waits of one server is bounded, and holds up the
//! schemas of others by one of its own at a time.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use bytes::Bytes;
use tracing::error;

use super::{MOST, Schema};
use crate::lock::lock;

/// Bytes of schemas of one server that wait.
const WAITING: usize = 16 << 20;

/// Servers that have something to compile. Each is in it at most once.
static TURNS: OnceLock<Option<Sender<Arc<Jobs>>>> = OnceLock::new();

/// What is to be compiled for one server.
#[derive(Debug, Default)]
pub(super) struct Jobs(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: usize,
    /// The server is among those that have a turn.
    turns: bool,
}

/// One schema to compile.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) server: Arc<str>,
    pub(super) tool: String,
    pub(super) schema: Arc<Schema>,
    /// Of its own: a slice would keep the whole page that it came with.
    pub(super) text: Bytes,
}

impl Jobs {
    /// Has a schema compiled, unless too much waits already: then it is given back.
    pub(super) fn push(self: &Arc<Self>, job: Job) -> Result<(), Job> {
        let mut waiting = lock(&self.0);
        if waiting.bytes + job.text.len() > WAITING || waiting.jobs.len() >= MOST {
            return Err(job);
        }
        let Some(turns) = turns() else { return Err(job) };
        waiting.bytes += job.text.len();
        waiting.jobs.push_back(job);
        if !waiting.turns {
            // The receiver is never dropped.
            waiting.turns = turns.send(Arc::clone(self)).is_ok();
        }
        Ok(())
    }

    fn pop(&self) -> Option<Job> {
        let mut waiting = lock(&self.0);
        let job = waiting.jobs.pop_front();
        match &job {
            Some(job) => waiting.bytes -= job.text.len(),
            None => waiting.turns = false,
        }
        job
    }
}

fn turns() -> Option<&'static Sender<Arc<Jobs>>> {
    let start = || {
        let (turns, taken) = channel();
        let again = turns.clone();
        let thread = thread::Builder::new().name("schemas".to_owned()).spawn(move || work(&taken, &again));
        thread.inspect_err(|problem| error!("no schema can be compiled: {problem}")).is_ok().then_some(turns)
    };
    TURNS.get_or_init(start).as_ref()
}

fn work(turns: &Receiver<Arc<Jobs>>, again: &Sender<Arc<Jobs>>) {
    for jobs in turns {
        // Nobody else has it: its server is gone.
        if Arc::strong_count(&jobs) == 1 {
            continue;
        }
        if let Some(job) = jobs.pop() {
            job.schema.settle(&job);
            // The receiver is this thread's own.
            drop(again.send(jobs));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::guard::budget::Room;

    #[test]
    fn what_waits_of_one_server_is_bounded() {
        let jobs = Arc::new(Jobs::default());
        // Kept from the thread, so that nothing is taken away meanwhile.
        lock(&jobs.0).turns = true;
        let text = Bytes::from(vec![b' '; 256 << 10]);
        let job = || Job {
            server: "s".into(),
            tool: "t".into(),
            schema: Arc::new(Schema::new([0; 32], Room::default())),
            text: text.clone(),
        };
        let taken = (0..1000).take_while(|_| jobs.push(job()).is_ok()).count();
        assert_eq!(taken, WAITING / text.len());
        while jobs.pop().is_some() {}
        assert!(lock(&jobs.0).bytes == 0 && jobs.push(job()).is_ok());
    }
}
