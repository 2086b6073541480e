//! What one socket sends: bytes that were taken over, in order, until the kernel has them.
//!
//! Used by the socket's [`Wire`](super::Wire) and, for what waits, by the outbox of its core. Must hold: bytes leave in
//! the order in which they were written, whichever way each goes; what was taken over leaves even where the wire is
//! dropped in the same turn.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::outbox;
use crate::lock::lock;

/// Longer pieces go at once.
const SHORT: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Sending {
    /// None once it was given back.
    half: Option<OwnedWriteHalf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    unsent: Vec<u8>,
    place: Place,
    failed: Option<Failed>,
    /// Whoever waits for the kernel to have room.
    waker: Option<Waker>,
}

/// Where what is unsent waits.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing is.
    #[default]
    None,
    /// For the end of the turn.
    Outbox,
    /// For room in the kernel; a task of its own sends it.
    Kernel,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    kind: io::ErrorKind,
    /// Nothing of what was unsent had left.
    at_once: bool,
}

impl Sending {
    pub(super) fn new(half: OwnedWriteHalf) -> Self {
        Self { half: Some(half), state: Mutex::default() }
    }

    fn half(&self) -> &OwnedWriteHalf {
        self.half.as_ref().expect("it is only given back by who owns it alone")
    }

    fn socket(&self) -> &TcpStream {
        self.half().as_ref()
    }

    /// The socket's half, where nobody else has it and nothing is unsent.
    pub(super) fn into_half(mut self: Arc<Self>) -> Option<OwnedWriteHalf> {
        let own = Arc::get_mut(&mut self)?;
        let state = own.state.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.place == Place::None { own.half.take() } else { None }
    }

    /// Whether what was unsent could not be sent, not even its first byte.
    pub(super) fn sent_nothing(&self) -> bool {
        lock(&self.state).failed.is_some_and(|failed| failed.at_once)
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        lock(&self.state).unsent.len()
    }

    /// Takes over what is short and may wait; sends what is not, as much as there is room for.
    pub(super) fn poll_take(self: &Arc<Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut state = ready!(self.poll_room(cx))?;
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if length > 0 && state.unsent.len() + length <= SHORT && outbox::gathers() {
            if state.place == Place::None {
                state.unsent = outbox::blank();
            }
            for piece in pieces {
                state.unsent.extend_from_slice(piece);
            }
            if std::mem::replace(&mut state.place, Place::Outbox) == Place::None {
                drop(state);
                outbox::wait(self);
            }
            return Poll::Ready(Ok(length));
        }
        if state.place == Place::Outbox {
            self.send(&mut state);
        }
        drop(state);
        drop(ready!(self.poll_room(cx))?);
        self.poll_send(cx, pieces)
    }

    /// Ready when nothing waits for room in the kernel.
    pub(super) fn poll_taken(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_room(cx).map_ok(drop)
    }

    /// Ready when the kernel has all that was written.
    pub(super) fn poll_sent(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = ready!(self.poll_room(cx))?;
        if state.place == Place::Outbox {
            self.send(&mut state);
        }
        drop(state);
        self.poll_room(cx).map_ok(drop)
    }

    /// Says that nothing follows.
    pub(super) fn end(&self) -> io::Result<()> {
        SockRef::from(self.socket()).shutdown(Shutdown::Write)
    }

    /// The turn has ended.
    pub(super) fn depart(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if state.place == Place::Outbox {
            self.send(&mut state);
        }
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<MutexGuard<'_, State>>> {
        let mut state = lock(&self.state);
        if let Some(failed) = state.failed {
            return Poll::Ready(Err(failed.kind.into()));
        }
        if state.place == Place::Kernel {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(state))
    }

    /// Sends pieces that are not taken over.
    fn poll_send(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket().poll_write_ready(cx))?;
            // A single piece goes by `send`: `writev` takes the kernel longer for the same bytes.
            let sent = match pieces {
                [one] => self.half().try_write(one),
                pieces => self.half().try_write_vectored(pieces),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Sends what was taken over. What there is no room for is left to a task.
    fn send(self: &Arc<Self>, state: &mut State) {
        if self.try_send(state) {
            state.place = Place::None;
        } else {
            state.place = Place::Kernel;
            tokio::task::spawn_local(rest(Arc::downgrade(self)));
        }
    }

    /// Whether nothing is left of it.
    fn try_send(&self, state: &mut State) -> bool {
        let mut sent = 0;
        while sent < state.unsent.len() {
            match self.half().try_write(&state.unsent[sent..]) {
                Ok(count) if count > 0 => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    state.unsent.drain(..sent);
                    return false;
                }
                failed => {
                    let kind = failed.err().map_or(io::ErrorKind::WriteZero, |error| error.kind());
                    state.failed = Some(Failed { kind, at_once: sent == 0 && state.place == Place::Outbox });
                    break;
                }
            }
        }
        outbox::spare(std::mem::take(&mut state.unsent));
        true
    }

    /// Sends the rest as the kernel has room.
    fn poll_rest(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let ready = ready!(self.socket().poll_write_ready(cx));
            let mut state = lock(&self.state);
            if let Err(error) = ready {
                state.failed = Some(Failed { kind: error.kind(), at_once: false });
            } else if !self.try_send(&mut state) {
                continue;
            }
            state.place = Place::None;
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
            return Poll::Ready(());
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // The socket is closed as a whole: to end one direction before would be a system call for nothing.
        if let Some(half) = self.half.take() {
            half.forget();
        }
    }
}

/// Ends when all has left, or the wire was dropped.
async fn rest(sending: Weak<Sending>) {
    poll_fn(|cx| sending.upgrade().map_or(Poll::Ready(()), |sending| sending.poll_rest(cx))).await;
}
