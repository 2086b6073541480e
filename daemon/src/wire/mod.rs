//! A TCP socket as connections use it, those of clients and those to servers.
//!
//! Short pieces of a busy core are not sent at once: they wait in its [`outbox`] until whatever is ready there has had its
//! turn, and leave together with those of other connections. Each send to a process that sleeps wakes it, which costs
//! more than the send; one that is still at work on the send before need not be woken.

pub mod outbox;
mod sending;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use sending::Sending;

/// A socket that is registered with this core's runtime.
#[derive(Debug)]
pub struct Wire {
    reading: OwnedReadHalf,
    sending: Arc<Sending>,
    /// The peer has said that nothing follows.
    ended: bool,
}

impl Wire {
    /// Registers a socket that does not block with the runtime that this is called on.
    pub fn from_std(socket: std::net::TcpStream) -> io::Result<Self> {
        TcpStream::from_std(socket).map(Self::from)
    }

    /// Takes the socket off its runtime, once all that was written has left.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        outbox::flush();
        let Self { reading, sending, .. } = self;
        let whole = sending.into_half().and_then(|half| reading.reunite(half).ok());
        whole.ok_or(io::ErrorKind::NotConnected)?.into_std()
    }

    /// Whether what waited for the end of the turn could not be sent, not even its first byte. What leaves at once fails
    /// where it is written.
    pub fn sent_nothing(&self) -> bool {
        self.sending.sent_nothing()
    }
}

impl From<TcpStream> for Wire {
    fn from(socket: TcpStream) -> Self {
        let (reading, half) = socket.into_split();
        Self { reading, sending: Arc::new(Sending::new(half)), ended: false }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        let read = Pin::new(&mut self.reading).poll_read(cx, buf);
        self.ended |= room > 0 && read.is_ready() && buf.filled().len() == before;
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.sending.poll_take(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.sending.poll_take(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What waits for the end of this turn counts as sent; what the kernel has no room for does not.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sending.poll_taken(cx)
    }

    /// Where the peer has ended before, closing the socket says the same, and takes no call of its own.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.sending.poll_sent(cx))?;
        Poll::Ready(if self.ended { Ok(()) } else { self.sending.end() })
    }
}
