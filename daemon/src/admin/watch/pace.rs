//! All feeds of one interval: one task has their lines made at each beat, then tells the readers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::feed::Feed;
use super::question::Question;
use crate::admin::operations::Operations;
use crate::admin::turns::in_turn;
use crate::lock::lock;

/// Feeds without readers that are kept, so that one who comes back soon is not told again what it knows.
const KEPT: usize = 16;

/// How long a beat waits for feeds, so that its readers are told of all at once.
const SOON: Duration = Duration::from_millis(100);

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

    /// Makes the lines of feeds that nobody has made within the interval: for a reader that begins, who waits for all of
    /// its own.
    pub(super) async fn freshen(&self, feeds: Vec<Arc<Feed>>) {
        feeds.into_iter().map(|feed| self.make(feed, self.interval)).collect::<JoinSet<_>>().join_all().await;
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
            self.beat(read).await;
            sleep_until(next).await;
        }
    }

    /// Has feeds made and tells their readers: together those that are there soon, each of the others when it is. Whoever
    /// asks what takes long keeps nobody else from being told.
    async fn beat(self: &Arc<Self>, feeds: Vec<Arc<Feed>>) {
        let due = feeds.into_iter().filter(|feed| feed.begin());
        let mut making: JoinSet<()> = due
            .map(|feed| {
                let made = self.make(Arc::clone(&feed), self.interval / 2);
                async move {
                    made.await;
                    feed.end();
                }
            })
            .collect();
        let together = timeout(SOON, async { while making.join_next().await.is_some() {} }).await;
        self.beat.send_replace(());
        if together.is_err() {
            let pace = Arc::clone(self);
            tokio::spawn(async move {
                while making.join_next().await.is_some() {
                    pace.beat.send_replace(());
                }
            });
        }
    }

    /// On a thread beside the sockets' loop, in a turn of its own: some topics look at every session.
    fn make(&self, feed: Arc<Feed>, fresh: Duration) -> impl Future<Output = ()> + Send + 'static {
        let (operations, turns) = (Arc::clone(&self.operations), Arc::clone(&self.turns));
        async move {
            if in_turn(&turns, move || feed.make(operations.as_ref(), fresh)).await.is_none() {
                tracing::error!("A topic of a watch cannot be made");
            }
        }
    }
}
