//! One reader of a watch: sees at each beat what is new, and is told of what it missed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use toolgate_admin_api::WatchLine;

use super::feed::Feed;
use super::pace::Pace;
use super::question::Question;
use crate::admin::lines;
use crate::clock;

/// A reader that gets no line for as long gets a heartbeat; where the interval is longer, at the next beat.
const QUIET: Duration = Duration::from_secs(1);

/// A reader. While it lives, its feeds are made.
pub(super) struct Reader {
    pace: Arc<Pace>,
    feeds: Vec<Followed>,
    since: u64,
    /// Lines that were left out and that the reader has not been told of.
    missed: u64,
    to: Sender<Bytes>,
    last: Instant,
}

/// A feed, and how far the reader has come.
struct Followed {
    feed: Arc<Feed>,
    /// The number of the last line that was sent; 0 before the first.
    seen: u64,
}

/// Nobody takes any more.
struct Gone;

impl Reader {
    pub(super) fn new(pace: Arc<Pace>, questions: Vec<Question>, since: u64, to: Sender<Bytes>) -> Self {
        let feeds = questions.into_iter().map(|question| Followed { feed: pace.join(question), seen: 0 }).collect();
        Self { pace, feeds, since, missed: 0, to, last: Instant::now() }
    }

    /// Sends until nobody takes any more.
    pub(super) async fn run(mut self, hello: Bytes) {
        let mut beats = self.pace.beats();
        if self.send(hello).await.is_err() {
            return;
        }
        self.pace.freshen(self.feeds.iter().map(|followed| Arc::clone(&followed.feed)).collect()).await;
        if self.is_known() {
            self.skip_known();
        } else if self.since > 0 && self.resync().await.is_err() {
            return;
        }
        while self.tell().await.is_ok() {
            tokio::select! {
                beat = beats.changed() => if beat.is_err() { return },
                () = self.to.closed() => return,
            }
        }
    }

    /// Whether all topics were already made when the reader saw its last line, by a clock that has not been set back.
    fn is_known(&self) -> bool {
        self.since >= self.oldest() && self.since <= clock::unix_millis()
    }

    fn oldest(&self) -> u64 {
        self.feeds.iter().map(|followed| followed.feed.began_ms).max().unwrap_or(0)
    }

    async fn resync(&mut self) -> Result<(), Gone> {
        self.send(lines::line(&WatchLine::Resync { oldest_ms: self.oldest() })).await
    }

    /// A reader that comes back knows what has not changed since.
    fn skip_known(&mut self) {
        for followed in &mut self.feeds {
            let newest = followed.feed.newest();
            if newest.at_ms <= self.since {
                followed.seen = newest.number;
            }
        }
    }

    /// Sends what the reader has not seen. After it missed something, all topics come anew, so that they fit together.
    async fn tell(&mut self) -> Result<(), Gone> {
        let missed = self.missed + self.feeds.iter().map(Followed::missed).sum::<u64>();
        self.missed = 0;
        if missed > 0 {
            self.feeds.iter_mut().for_each(|followed| followed.seen = 0);
            self.send(lines::line(&WatchLine::Lagged { count: missed })).await?;
        }
        for at in 0..self.feeds.len() {
            // Looked at when it can be sent: whoever is blocked holds no line beside that one.
            self.missed += self.feeds[at].missed();
            let newest = self.feeds[at].feed.newest();
            if newest.number > self.feeds[at].seen {
                self.feeds[at].seen = newest.number;
                self.send(newest.line).await?;
            }
        }
        if self.last.elapsed() + self.pace.interval() / 2 >= QUIET {
            self.send(lines::line(&WatchLine::Heartbeat { at_ms: clock::unix_millis() })).await?;
        }
        Ok(())
    }

    async fn send(&mut self, line: Bytes) -> Result<(), Gone> {
        self.to.send(line).await.map_err(|_| Gone)?;
        self.last = Instant::now();
        Ok(())
    }
}

impl Followed {
    /// Lines between the one that was sent and the newest.
    fn missed(&self) -> u64 {
        match self.seen {
            0 => 0,
            seen => self.feed.newest().number.saturating_sub(seen + 1),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.feeds.iter().for_each(|followed| followed.feed.leave());
    }
}
