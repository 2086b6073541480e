//! A TCP socket as connections use it, those of clients and those to servers.
//!
//! It is tokio's but for how single pieces are written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A socket that is registered with this core's runtime.
#[derive(Debug)]
pub struct Wire(TcpStream);

impl Wire {
    /// Registers a socket that does not block with the runtime that this is called on.
    pub fn from_std(socket: std::net::TcpStream) -> io::Result<Self> {
        TcpStream::from_std(socket).map(Self)
    }

    /// Takes the socket off its runtime.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.0.into_std()
    }
}

impl From<TcpStream> for Wire {
    fn from(socket: TcpStream) -> Self {
        Self(socket)
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    /// A single piece, which nearly every write has, goes by `send`: `writev` takes the kernel a quarter of
    /// a microsecond more for the same bytes.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.0);
        match pieces {
            [one] => socket.poll_write(cx, one),
            pieces => socket.poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
