//! A defect ends what it was met in, and nothing else: panics are caught, counted, and put into the log.
//!
//! Calls, streams of answers and the tasks of cores are polled through [`caught`]. What a panic unwound is
//! dropped; nothing of it is polled again.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::Shown;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// A panic was met; the hook has logged where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panicked;

/// Panics that were caught since the process began.
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Does a piece of work that may panic.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    // Whoever meets the error drops what the work was done on.
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        COUNT.fetch_add(1, Ordering::Relaxed);
        Panicked
    })
}

pin_project! {
    /// The outcome of a future, or that it panicked: it is part of this one, which costs no room of its own.
    pub struct Caught<F> {
        #[pin]
        work: F,
    }
}

/// Has a future end with an error where it panics.
pub fn caught<F: Future>(work: F) -> Caught<F> {
    Caught { work }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let work = self.project().work;
        match catch(|| work.poll(context)) {
            Ok(poll) => poll.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    }
}

pin_project! {
    /// Work of a core that nobody waits for: where it panics, the log says so.
    pub struct Task<F> {
        #[pin]
        work: Caught<F>,
        core: usize,
    }
}

/// Has a core's work end by itself where it panics.
pub fn task<F: Future<Output = ()>>(core: usize, work: F) -> Task<F> {
    Task { work: caught(work), core }
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.work.poll(context).map(|ended| {
            if ended.is_err() {
                tracing::error!(core = *this.core, "a connection or a task ended by a defect of the gate");
            }
        })
    }
}

/// Says in the log where a panic was, instead of on standard error; the words may be a client's.
pub fn log_them() {
    set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let thread = std::thread::current();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(thread = thread.name(), place, "a panic: {}; please report it", Shown(words(panic.payload())));
    }));
}

fn words(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_is_an_error_and_counted() {
        let before = count();
        assert_eq!(caught(async { 7 }).await, Ok(7));
        assert_eq!(caught(async { panic!("a rehearsal") }).await, Err::<(), _>(Panicked));
        let late = async {
            tokio::task::yield_now().await;
            panic!("a rehearsal, later")
        };
        assert_eq!(caught(late).await, Err::<(), _>(Panicked));
        assert!(count() >= before + 2);
    }

    #[test]
    fn words_are_found_in_either_form() {
        assert_eq!(words(&"literal"), "literal");
        assert_eq!(words(&"owned".to_owned()), "owned");
        assert_eq!(words(&7), "without words");
    }
}
