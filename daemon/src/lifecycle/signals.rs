//! What the outside asks by signals, as a channel.
//!
//! `run` reads it. The thread lives as long as the process.

use std::io;
use std::thread::Builder;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc;

/// Requests that may wait; beyond it further ones would say nothing new.
const WAITING: usize = 16;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// SIGHUP.
    Reload,
    /// The first SIGTERM or SIGINT.
    Drain,
    /// Another of them.
    EndNow,
}

/// Begins to receive signals.
pub fn listen() -> io::Result<mpsc::Receiver<Request>> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let (requests, receiver) = mpsc::channel(WAITING);
    Builder::new().name("signals".into()).spawn(move || {
        let mut draining = false;
        for signal in signals.forever() {
            // Full, or nobody listens any more: see WAITING.
            let _ = requests.try_send(request(signal, &mut draining));
        }
    })?;
    Ok(receiver)
}

fn request(signal: i32, draining: &mut bool) -> Request {
    if signal == SIGHUP {
        return Request::Reload;
    }
    if std::mem::replace(draining, true) { Request::EndNow } else { Request::Drain }
}

#[cfg(test)]
mod tests {
    use super::Request::{Drain, EndNow, Reload};
    use super::*;

    #[test]
    fn the_second_signal_to_end_ends_at_once() {
        let mut draining = false;
        let asked = [SIGHUP, SIGTERM, SIGHUP, SIGINT, SIGTERM].map(|signal| request(signal, &mut draining));
        assert_eq!(asked, [Reload, Drain, Reload, EndNow, EndNow]);
    }
}
