//! The task of a connection of HTTP/2: it reads and writes, and ends the connection when nobody is to use it any more.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::Connection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::HEAD_BYTES;
use super::lanes::{Channel, Lane, STREAMS};
use super::pool::Pool;
use super::socket::Stream;
use super::used::Used;
use crate::clock;

/// Bytes of an answer that a server may send ahead of its reader.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same of all answers together: a reader that is slow holds nobody else up.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS;
/// Memory for the frames of what was sent ahead in small pieces, beside their bytes. A server that sends more of them than
/// its readers take loses the connection.
const FRAMES: usize = 32 << 20;
/// Streams that were cancelled, and may still be answered for a while.
const CANCELLED: usize = 1024;

/// Speaks HTTP/2 on a new connection: it serves calls once its server has said how many.
pub(super) async fn start(
    lane: &Arc<Lane>,
    pool: &Arc<Pool>,
    stream: Stream,
    used: Arc<Used>,
) -> Result<(), h2::Error> {
    let stream = Heard { stream, at: Arc::clone(&used.heard) };
    let (send, connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(FRAMES)
        .max_concurrent_reset_streams(CANCELLED)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_max_send_streams(0)
        .handshake(stream)
        .await?;
    lane.add(Channel { send, used: Arc::clone(&used) });
    tokio::task::spawn_local(drive(connection, (Arc::downgrade(lane), Arc::downgrade(pool)), used));
    Ok(())
}

async fn drive(connection: Connection<Heard, Bytes>, (lane, pool): (Weak<Lane>, Weak<Pool>), used: Arc<Used>) {
    let mut connection = pin!(connection);
    let ended = loop {
        let left = lane.upgrade().and_then(|lane| lane.look(&used));
        let turn = poll_fn(|cx| {
            let polled = connection.as_mut().poll(cx);
            let limit = connection.max_concurrent_send_streams().min(STREAMS as usize);
            if used.limit.swap(limit, Ordering::SeqCst) < limit {
                used.ready.notify_one();
                if let (Some(lane), Some(pool)) = (lane.upgrade(), pool.upgrade()) {
                    lane.serve(&pool);
                }
            }
            // What is left to say has been said, as far as there is room for it: nobody waits for more.
            if used.is_over() { Poll::Ready(Ok(())) } else { polled }
        });
        tokio::select! {
            biased;
            ended = turn => break ended,
            () = used.changed.notified() => {}
            () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => {}
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection of HTTP/2 to a server ended: {error}");
    }
    if let Some(lane) = lane.upgrade().filter(|lane| lane.remove(&used)) {
        lane.lost.store(true, Ordering::Relaxed);
    }
    used.retire();
    used.give_back();
    used.ready.notify_one();
}

/// A stream that says when anything was read from it.
pub(super) struct Heard {
    stream: Stream,
    at: Arc<AtomicU64>,
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.at.store(clock::nanos(), Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
