//! The addresses of one endpoint's name: looked up once at a time, whoever asks, and kept for a moment.
//!
//! A resolver that is dead keeps a thread for as long as it likes, long after the call that asked has given up. So a
//! look-up is nobody's own: it goes on without its callers, and there is never a second one beside it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::lock::lock;

/// How long addresses hold: a burst of connections is one look-up, and a name that moves is followed at once.
const KEPT: Duration = Duration::from_secs(1);
/// How long it holds that there are none.
const FAILED: Duration = Duration::from_millis(250);

/// Addresses, or why there are none.
pub(super) type Found = Result<Arc<[SocketAddr]>, Arc<str>>;

/// A name and a port.
pub(super) struct Name {
    host: String,
    port: u16,
    known: Mutex<Known>,
}

enum Known {
    Nothing,
    /// A look-up runs; it has ended without a word where the core that it ran on has.
    Asked(watch::Receiver<Option<Found>>),
    Found(Found, Instant),
}

impl Name {
    pub(super) fn new(host: String, port: u16) -> Arc<Self> {
        Arc::new(Self { host, port, known: Mutex::new(Known::Nothing) })
    }

    /// Its addresses.
    pub(super) async fn addresses(self: &Arc<Self>) -> Found {
        let look_up = || {
            let this = Arc::clone(self);
            async move {
                let found = tokio::net::lookup_host((this.host.as_str(), this.port)).await;
                found.map(Iterator::collect).map_err(|error| error.to_string().into())
            }
        };
        self.addresses_by(look_up).await
    }

    async fn addresses_by<F>(self: &Arc<Self>, look_up: impl Fn() -> F) -> Found
    where
        F: Future<Output = Found> + Send + 'static,
    {
        loop {
            let mut asked = match self.known_or_asked(&look_up) {
                Ok(found) => return found,
                Err(asked) => asked,
            };
            if let Ok(found) = asked.wait_for(Option::is_some).await
                && let Some(found) = &*found
            {
                return found.clone();
            }
        }
    }

    fn known_or_asked<F>(self: &Arc<Self>, look_up: impl Fn() -> F) -> Result<Found, watch::Receiver<Option<Found>>>
    where
        F: Future<Output = Found> + Send + 'static,
    {
        let mut known = lock(&self.known);
        match &*known {
            Known::Found(found, until) if *until > Instant::now() => return Ok(found.clone()),
            Known::Asked(asked) if asked.has_changed().is_ok() => return Err(asked.clone()),
            Known::Nothing | Known::Asked(_) | Known::Found(..) => {}
        }
        let (tell, asked) = watch::channel(None);
        *known = Known::Asked(asked.clone());
        drop(known);
        let (this, looking) = (Arc::clone(self), look_up());
        tokio::spawn(async move {
            let found = looking.await;
            let kept = if found.is_ok() { KEPT } else { FAILED };
            *lock(&this.known) = Known::Found(found.clone(), Instant::now() + kept);
            // Nobody waits any more where sending fails.
            let _ = tell.send(Some(found));
        });
        Err(asked)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn name() -> Arc<Name> {
        Name::new("name.test".to_owned(), 1)
    }

    /// A resolver that takes this long, and counts how often it is asked and how often at once.
    #[derive(Default)]
    struct Resolver {
        asked: AtomicUsize,
        running: AtomicUsize,
        most: AtomicUsize,
    }

    impl Resolver {
        fn look_up(self: &Arc<Self>, takes: Duration, found: Found) -> impl Future<Output = Found> + Send + use<> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let now = self.running.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(now, Ordering::Relaxed);
            let this = Arc::clone(self);
            async move {
                tokio::time::sleep(takes).await;
                this.running.fetch_sub(1, Ordering::Relaxed);
                found
            }
        }
    }

    fn one() -> Arc<[SocketAddr]> {
        Arc::from([SocketAddr::from(([127, 0, 0, 1], 1))])
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_resolver_has_one_look_up_whoever_asks_and_gives_up() {
        let (name, resolver) = (name(), Arc::<Resolver>::default());
        for _ in 0..10 {
            let mut callers = JoinSet::new();
            for _ in 0..50 {
                let (name, resolver) = (Arc::clone(&name), Arc::clone(&resolver));
                let dead = move || resolver.look_up(Duration::from_secs(25), Err("no answer".into()));
                callers.spawn(async move { timeout(PATIENCE, name.addresses_by(dead)).await });
            }
            assert!(callers.join_all().await.iter().all(Result::is_err), "each gave up in time");
        }
        assert_eq!((resolver.asked.load(Ordering::Relaxed), resolver.most.load(Ordering::Relaxed)), (1, 1));
        tokio::time::sleep(Duration::from_secs(6)).await;
        // It is back: what was asked before is asked anew.
        let found = name.addresses_by(|| resolver.look_up(Duration::ZERO, Ok(one()))).await;
        assert_eq!((found, resolver.asked.load(Ordering::Relaxed)), (Ok(one()), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_found_holds_for_a_moment_and_a_failure_for_a_shorter_one() {
        let (name, resolver) = (name(), Arc::<Resolver>::default());
        for (found, holds) in [(Ok(one()), KEPT), (Err("none".into()), FAILED)] {
            let before = resolver.asked.load(Ordering::Relaxed);
            let ask = || name.addresses_by(|| resolver.look_up(Duration::ZERO, found.clone()));
            assert_eq!((ask().await, ask().await), (found.clone(), found.clone()));
            assert_eq!(resolver.asked.load(Ordering::Relaxed), before + 1);
            tokio::time::sleep(holds + Duration::from_millis(1)).await;
            assert_eq!(ask().await, found);
            assert_eq!(resolver.asked.load(Ordering::Relaxed), before + 2);
            tokio::time::sleep(holds + Duration::from_millis(1)).await;
        }
    }

    #[test]
    fn a_look_up_that_ended_with_its_core_is_made_anew() {
        let (name, resolver) = (name(), Arc::<Resolver>::default());
        for takes in [Duration::from_secs(3600), Duration::ZERO] {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let patience = if takes.is_zero() { PATIENCE } else { Duration::from_millis(10) };
            let asked = runtime
                .block_on(async { timeout(patience, name.addresses_by(|| resolver.look_up(takes, Ok(one())))).await });
            assert_eq!(asked.is_ok(), takes.is_zero());
        }
    }
}
