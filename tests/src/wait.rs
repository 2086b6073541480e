//! Waiting for a state by polling, with a deadline.
//!
//! Every scenario uses this instead of sleeping a guessed time: a state that comes early costs nothing,
//! and one that never comes fails the test with its name.

use std::future::Future;
use std::time::{Duration, Instant};

/// How long a state may take on a machine that does other things as well.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Polls `probe` until it succeeds; after [`PATIENCE`] its last error is returned, for a test that shows it.
pub async fn or_last<T, E, F>(mut probe: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match probe().await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(10)).await,
            outcome => return outcome,
        }
    }
}

/// Polls `probe` until it yields something.
///
/// # Panics
/// After [`PATIENCE`], naming `what` did not come.
pub async fn until<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
