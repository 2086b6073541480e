//! What an HTTP/2 client has not taken: how long an answer may wait for room in its stream.
//!
//! A client that gives a stream no room would hold the call, and its server's permit, for as long as it likes. The
//! service marks an answer as owed while hyper does not ask for more of it; [`LocalExec`] runs the stream and ends it
//! when the client has not taken the piece in time.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that the slowest client takes within the time that it may be silent between two requests.
const PIECE: usize = 256 * 1024;

/// A piece of an answer that waits: its number, and its length in bytes. Nothing waits under number 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Piece {
    number: u32,
    bytes: usize,
}

/// Shared by an answer's body and the task that runs its stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Owed(Rc<Cell<Piece>>);

impl Owed {
    /// A piece was handed over; a new one where `number` is another.
    pub(super) fn hand(&self, number: u32, bytes: usize) {
        self.0.set(Piece { number, bytes });
    }

    /// More is asked for: everything was taken.
    pub(super) fn take(&self) {
        self.0.set(Piece::default());
    }
}

/// Hands the mark of the newest request from the service to the executor, which hyper calls next.
pub(super) type Newest = Rc<Cell<Option<Owed>>>;

/// Runs hyper's streams on the core that made them.
#[derive(Clone)]
pub(super) struct LocalExec {
    newest: Newest,
    patience: Duration,
    connection: u64,
}

impl LocalExec {
    /// For the connection with this id, whose client may be silent for `patience`.
    pub(super) fn new(newest: Newest, patience: Duration, connection: u64) -> Self {
        Self { newest, patience, connection }
    }
}

impl<F> hyper::rt::Executor<F> for LocalExec
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        let owed = self.newest.take().unwrap_or_default();
        let Self { patience, connection, .. } = *self;
        tokio::task::spawn_local(Stream { future, owed, patience, connection, waiting: None });
    }
}

pin_project! {
    /// One stream. Ended early, it is reset.
    struct Stream<F> {
        #[pin]
        future: F,
        owed: Owed,
        patience: Duration,
        connection: u64,
        waiting: Option<(Piece, Pin<Box<Sleep>>)>,
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.future.poll(context).is_ready() {
            return Poll::Ready(());
        }
        let piece = this.owed.0.get();
        if piece.number == 0 {
            *this.waiting = None;
            return Poll::Pending;
        }
        if this.waiting.as_ref().is_none_or(|(waiting, _)| *waiting != piece) {
            let times = u32::try_from(piece.bytes / PIECE).unwrap_or(u32::MAX).saturating_add(1);
            let deadline = Instant::now() + this.patience.saturating_mul(times);
            *this.waiting = Some((piece, Box::pin(sleep_until(deadline))));
        }
        let Some((_, sleep)) = this.waiting else { return Poll::Pending };
        let over = sleep.as_mut().poll(context);
        if over.is_ready() {
            tracing::debug!(
                connection = *this.connection,
                "a client did not take its answer in time; its stream is reset"
            );
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// How long a stream runs that is owed these pieces, one every second, and then waits.
    async fn runs(pieces: &[usize], taken: bool) -> Duration {
        let owed = Owed::default();
        let begun = Instant::now();
        let hand = owed.clone();
        let future = async move {
            for (number, bytes) in (1..).zip(pieces) {
                hand.hand(number, *bytes);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            if taken {
                hand.take();
                tokio::time::sleep(PATIENCE * 10).await;
            } else {
                pending::<()>().await;
            }
        };
        Stream { future, owed, patience: PATIENCE, connection: 0, waiting: None }.await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_ends() {
        let second = Duration::from_millis(1100);
        let about = |found: Duration, wanted: Duration| found.abs_diff(wanted) < second;
        assert!(about(runs(&[1], false).await, PATIENCE));
        // Each piece has its own time, and a long one more of it.
        assert!(about(runs(&[1, 1, 1, 1, 1], false).await, PATIENCE + Duration::from_secs(4)));
        assert!(about(runs(&[10 * PIECE], false).await, PATIENCE * 11));
        // What was taken waits for nothing of the client's.
        assert!(runs(&[1, 1], true).await >= PATIENCE * 10);
    }
}
