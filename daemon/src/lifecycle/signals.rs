//! Signals as the main thread waits for them.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Iterator;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT
    Stop,
    /// SIGHUP
    Reload,
}

/// Signals in the order of their arrival.
#[derive(Debug)]
pub struct Signals(Receiver<Signal>);

impl Signals {
    /// Receives from now on; a thread of its own passes them on.
    pub fn register() -> io::Result<Self> {
        let mut signals = Iterator::new([SIGTERM, SIGINT, SIGHUP])?;
        let (sender, receiver) = channel();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                let asked = if signal == SIGHUP { Signal::Reload } else { Signal::Stop };
                if sender.send(asked).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self(receiver))
    }

    /// The next signal, or `None` after `wait`; without `wait` it waits for ever.
    pub fn next(&self, wait: Option<Duration>) -> Option<Signal> {
        match wait {
            None => self.0.recv().ok(),
            Some(wait) => match self.0.recv_timeout(wait) {
                Ok(signal) => Some(signal),
                Err(RecvTimeoutError::Timeout) => None,
                // The thread never ends by itself; without it nothing else can be waited for.
                Err(RecvTimeoutError::Disconnected) => Some(Signal::Stop),
            },
        }
    }
}
