//! Tells systemd that the process is alive, and only while it is.
//!
//! A thread of its own asks every core for an answer to a request, over a connection through
//! memory that passes the same guard, hyper and service as a client's.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::notify;
use crate::cores::Cores;
use crate::listen::canary::canary;

/// Beats until dropped.
#[derive(Debug)]
pub struct Watchdog {
    /// Dropped, it ends the thread at its next turn.
    _end: mpsc::Sender<()>,
}

impl Watchdog {
    /// Starts where systemd asks for it (`WatchdogSec=`), else does nothing.
    ///
    /// `others` says whether what is no core makes progress too, such as the admin thread.
    pub fn start(cores: Cores, others: impl Fn() -> bool + Send + 'static) -> io::Result<Option<Self>> {
        let Some(limit) = sd_notify::watchdog_enabled() else {
            return Ok(None);
        };
        let (end, ended) = mpsc::channel::<()>();
        Builder::new().name("watchdog".into()).spawn(move || {
            // A wait and a beat take half the limit at most, so one beat may fail.
            let interval = limit / 4;
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                match beat(&cores, interval) {
                    Ok(()) if others() => notify::alive(),
                    Ok(()) => tracing::error!("the watchdog is not fed: the admin thread is stuck"),
                    Err(stuck) => {
                        tracing::error!(?stuck, "the watchdog is not fed: cores do not answer");
                    }
                }
            }
        })?;
        Ok(Some(Self { _end: end }))
    }
}

/// Asks every core at once; returns those that gave no answer in time.
pub fn beat(cores: &Cores, patience: Duration) -> Result<(), Vec<usize>> {
    let deadline = Instant::now() + patience;
    let (answer, answers) = mpsc::channel();
    let mut missing: Vec<usize> = (0..cores.count()).collect();
    for index in 0..cores.count() {
        let answer = answer.clone();
        // A core that takes no work stays among the missing.
        let _ = cores.try_spawn(index, move |core| async move {
            if canary(core).await.is_ok() {
                let _ = answer.send(index);
            }
        });
    }
    drop(answer);
    while !missing.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        match answers.recv_timeout(left) {
            Ok(index) => missing.retain(|core| *core != index),
            Err(_) => return Err(missing),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::fixture::{Gate, PATIENCE};

    #[test]
    fn every_core_answers_unless_it_is_blocked() {
        let gate = Gate::with(|_| {});
        assert_eq!(beat(&gate.cores, PATIENCE), Ok(()));

        let (release, blocked) = mpsc::channel::<()>();
        let (entered, wait) = mpsc::channel();
        let block = move |_| async move {
            let _ = entered.send(());
            let _ = blocked.recv();
        };
        gate.cores.try_spawn(1, block).expect("taken up");
        wait.recv().expect("blocked");
        assert_eq!(beat(&gate.cores, Duration::from_millis(100)), Err(vec![1]));

        drop(release);
        assert_eq!(beat(&gate.cores, PATIENCE), Ok(()));
    }

    #[test]
    fn a_canary_is_no_load() {
        let gate = Gate::with(|listener| listener.bounds.connections = 0);
        assert_eq!(beat(&gate.cores, PATIENCE), Ok(()));
        assert_eq!(gate.cores.connections(), 0);
    }
}
