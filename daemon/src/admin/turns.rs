//! Who may work at once beside the sockets' loop, and what their answers may take: neither those who look nor the watches
//! keep those who act from being answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use toolgate_admin_api::{ApiError, ErrorCode};

/// Operations of one socket at once.
const AT_ONCE: usize = 6;

/// Beats of watches whose lines are made at once.
const BEATS: usize = 4;

/// Threads for both sockets and the watches: each has its own share, so that nobody finds all of them taken.
pub(super) const THREADS: usize = 2 * AT_ONCE + BEATS;

/// Bytes of answers of one socket that may wait for those who asked, in units of 1 KiB.
const ROOM: u32 = 32 << 10;

/// How long an operation waits for its turn, and an answer for others to be read.
const PATIENCE: Duration = Duration::from_secs(5);

/// The turns of one socket.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    work: Arc<Semaphore>,
    room: Arc<Semaphore>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { work: Arc::new(Semaphore::new(AT_ONCE)), room: Arc::new(Semaphore::new(ROOM as usize)) }
    }

    /// Does a piece of work when it is its turn, which ends with the work, whoever still waits for it. Where none comes
    /// for want of others' ends, nothing was done.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let Ok(Ok(turn)) = timeout(PATIENCE, Arc::clone(&self.work).acquire_owned()).await else {
            let message = format!("{AT_ONCE} others wait for the daemon, which does not get on with them.");
            return Err(ApiError::new(ErrorCode::Unavailable, message).remedy(
                "Nothing was done. Try again in a minute; where that does not help, see whether a disk hangs.",
            ));
        };
        on_thread(turn, work)
            .await
            .ok_or_else(|| ApiError::new(ErrorCode::Internal, "The daemon failed at this; its log says how."))
    }

    /// An answer that has its room until it is written, or nobody wants it any more.
    pub(super) async fn hold(&self, answer: Vec<u8>) -> Result<Bytes, ApiError> {
        let units = u32::try_from(answer.len().div_ceil(1024)).unwrap_or(ROOM).min(ROOM);
        match timeout(PATIENCE, Arc::clone(&self.room).acquire_many_owned(units)).await {
            Ok(Ok(room)) => Ok(Bytes::from_owner(Held { answer, _room: room })),
            _ => {
                Err(ApiError::new(ErrorCode::Unavailable, "Too many large answers wait for those who asked for them.")
                    .remedy("Ask for fewer rows with `limit`, or try again in a minute."))
            }
        }
    }
}

/// A semaphore for the lines of watches.
pub(super) fn beats() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(BEATS))
}

/// Does a piece of work on a thread beside the loop; none where it panicked, which was logged where it was caught.
pub(super) async fn in_turn<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    on_thread(Arc::clone(turns).acquire_owned().await.ok()?, work).await
}

async fn on_thread<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let work = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(work).await.ok()
}

/// Bytes with the room that they take.
struct Held {
    answer: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn who_looks_does_not_keep_who_acts_waiting() {
        let (view, control) = (Turns::new(), Turns::new());
        let (go, held) = mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        let looking: Vec<_> = (0..4 * AT_ONCE)
            .map(|_| {
                let (view, held) = (view.clone(), Arc::clone(&held));
                // Each waits until it is let go.
                tokio::spawn(async move { view.work(move || crate::lock::lock(&held).recv().is_err()).await })
            })
            .collect();
        while view.work.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(control.work(|| 7).await, Ok(7));
        drop(go);
        for look in looking {
            assert!(look.await.is_ok_and(|done| done.is_ok()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gets_no_turn_is_told_and_nothing_was_done() {
        let turns = Turns::new();
        let held = Arc::clone(&turns.work).acquire_many_owned(6).await;
        let refused = turns.work(|| panic!("not its turn")).await.map(|()| 0);
        assert_eq!(refused.map_err(|error| error.code), Err(ErrorCode::Unavailable));
        drop(held);
        assert_eq!(turns.work(|| 7).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_nobody_reads_are_bounded() {
        let turns = Turns::new();
        let mut held = Vec::new();
        let refused = loop {
            match turns.hold(vec![0; 3 << 20]).await {
                Ok(answer) => held.push(answer),
                Err(refused) => break refused,
            }
        };
        assert_eq!((held.len(), refused.code), (10, ErrorCode::Unavailable));
        // One that is larger than all of the room has all of it.
        held.clear();
        let whole = turns.hold(vec![0; 64 << 20]).await.expect("room");
        assert!(turns.hold(vec![0; 1]).await.is_err());
        drop(whole);
        assert!(turns.hold(vec![0; 1]).await.is_ok());
    }
}
