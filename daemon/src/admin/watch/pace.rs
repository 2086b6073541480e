//! All feeds of one interval: one task makes their lines at each beat, then tells the readers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::feed::Feed;
use super::question::Question;
use crate::admin::operations::Operations;
use crate::admin::turns::in_turn;
use crate::lock::lock;

/// Feeds without readers that are kept, so that one who comes back soon is not told again what it knows.
const KEPT: usize = 16;

/// The beat of one interval.
pub(super) struct Pace {
    interval: Duration,
    operations: Arc<dyn Operations>,
    /// Shared by all paces.
    turns: Arc<Semaphore>,
    /// Those that are read, and the last that were.
    feeds: Mutex<Vec<Arc<Feed>>>,
    /// Changes when lines were made.
    beat: watch::Sender<()>,
    /// There is a reader after there was none.
    wanted: Notify,
}

impl Pace {
    /// Beats while there are readers, for as long as the runtime lives.
    pub(super) fn start(interval: Duration, operations: &Arc<dyn Operations>, turns: &Arc<Semaphore>) -> Arc<Self> {
        let pace = Arc::new(Self {
            interval,
            operations: Arc::clone(operations),
            turns: Arc::clone(turns),
            feeds: Mutex::default(),
            beat: watch::Sender::new(()),
            wanted: Notify::new(),
        });
        tokio::spawn(Arc::clone(&pace).run());
        pace
    }

    /// How far apart beats are.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Hears every beat from now on.
    pub(super) fn beats(&self) -> watch::Receiver<()> {
        self.beat.subscribe()
    }

    /// The feed that answers a question, with one reader more.
    pub(super) fn join(&self, question: Question) -> Arc<Feed> {
        let mut feeds = lock(&self.feeds);
        let known = feeds.iter().find(|feed| feed.question == question).map(Arc::clone);
        let feed = known.unwrap_or_else(|| {
            let unread = feeds.iter().filter(|feed| !feed.is_read()).count();
            if unread >= KEPT {
                feeds.retain(|feed| feed.is_read());
            }
            let feed = Arc::new(Feed::new(question));
            feeds.push(Arc::clone(&feed));
            feed
        });
        feed.join();
        self.wanted.notify_one();
        feed
    }

    /// Makes the lines of feeds that nobody has made within the interval: for a reader that begins.
    pub(super) async fn freshen(&self, feeds: Vec<Arc<Feed>>) {
        self.make(feeds, self.interval).await;
    }

    async fn run(self: Arc<Self>) {
        loop {
            let next = Instant::now() + self.interval;
            let read: Vec<_> = lock(&self.feeds).iter().filter(|feed| feed.is_read()).map(Arc::clone).collect();
            if read.is_empty() {
                self.wanted.notified().await;
                // The reader that came has its first lines made by itself.
                sleep_until(Instant::now() + self.interval).await;
                continue;
            }
            self.make(read, self.interval / 2).await;
            self.beat.send_replace(());
            sleep_until(next).await;
        }
    }

    /// On a thread beside the sockets' loop: some topics look at every session.
    async fn make(&self, feeds: Vec<Arc<Feed>>, fresh: Duration) {
        let operations = Arc::clone(&self.operations);
        let work = move || feeds.iter().for_each(|feed| feed.make(operations.as_ref(), fresh));
        if in_turn(&self.turns, work).await.is_none() {
            tracing::error!("A topic of a watch cannot be made");
        }
    }
}
