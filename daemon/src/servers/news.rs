//! What a server announces outside of calls to whoever uses it: that its lists changed.
//!
//! Whoever hears a server publishes here; sessions and streams of clients subscribe, on any core.
//! A reader that lags is told so and takes everything for changed; nobody waits for it.

mod follow;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};
use toolgate_protocol::bridge::listen::{self, List};
use toolgate_protocol::envelope::{self, Envelope};
use toolgate_protocol::revision::Revision;

pub use follow::hear;

use super::Server;

use crate::lock::lock;

/// Messages that one reader may have unread.
const UNREAD: usize = 16;

/// What one server announces.
#[derive(Debug, Default)]
pub struct News {
    state: Mutex<State>,
    /// By revision: whether somebody listens to the server on its readers' behalf.
    followed: [AtomicBool; Revision::ALL.len()],
    over: Notify,
}

#[derive(Debug, Default)]
enum State {
    /// Nobody has subscribed yet.
    #[default]
    Quiet,
    Open(broadcast::Sender<Bytes>),
    /// The server is gone.
    Over,
}

/// A reader of a server's news.
#[derive(Debug)]
pub struct Heard(broadcast::Receiver<Bytes>);

/// What a reader hears.
#[derive(Debug, PartialEq, Eq)]
pub enum Word {
    /// A notification.
    Said(Bytes),
    /// Some were missed: everything may have changed.
    Lagged,
}

impl Heard {
    /// Has what was learned from a server, and answers that it gave, forgotten whenever one of its lists changes, until
    /// nothing more comes.
    pub async fn forget_answers(mut self, server: Arc<Server>) {
        while let Some(word) = self.next().await {
            let changes = match &word {
                Word::Said(message) => envelope::scan(message).is_ok_and(|envelope| announced(&envelope).is_some()),
                Word::Lagged => true,
            };
            if changes {
                server.lists_changed();
            }
        }
    }

    /// The next word; `None` once the server is gone. A dropped future has taken nothing.
    pub async fn next(&mut self) -> Option<Word> {
        match self.0.recv().await {
            Ok(message) => Some(Word::Said(message)),
            Err(RecvError::Lagged(_)) => Some(Word::Lagged),
            Err(RecvError::Closed) => None,
        }
    }
}

impl News {
    /// Tells all readers; must be nothing that belongs to one client.
    pub fn publish(&self, message: Bytes) {
        if let State::Open(sender) = &*self.lock() {
            // Without readers it is nobody's business.
            drop(sender.send(message));
        }
    }

    /// Tells all readers that a list changed.
    pub fn publish_change(&self, list: List) {
        self.publish(listen::announcement(list).into());
    }

    /// Tells all readers that all of these lists may have changed.
    pub fn publish_changes(&self, lists: impl IntoIterator<Item = List>) {
        lists.into_iter().for_each(|list| self.publish_change(list));
    }

    /// Reads from now on.
    pub fn subscribe(&self) -> Heard {
        let mut state = self.lock();
        match &*state {
            State::Open(sender) => Heard(sender.subscribe()),
            State::Quiet => {
                let (sender, receiver) = broadcast::channel(UNREAD);
                *state = State::Open(sender);
                Heard(receiver)
            }
            State::Over => Heard(broadcast::channel(1).1),
        }
    }

    /// Whether anybody reads.
    pub fn is_heard(&self) -> bool {
        matches!(&*self.lock(), State::Open(sender) if sender.receiver_count() > 0)
    }

    /// Nothing more will be said.
    pub fn retire(&self) {
        *self.lock() = State::Over;
        self.over.notify_waiters();
    }

    /// Waits until nobody reads any more, or nothing more will be said.
    async fn unheard(&self) {
        let over = self.over.notified();
        let sender = match &*self.lock() {
            State::Open(sender) => sender.clone(),
            State::Quiet | State::Over => return,
        };
        tokio::select! {
            () = sender.closed() => {}
            () = over => {}
        }
    }

    /// Whether the caller is the one who listens from now on.
    fn take_up(&self, revision: Revision) -> bool {
        !self.followed[revision.place()].swap(true, Ordering::SeqCst)
    }

    /// Whether the caller may stop listening: nobody reads, or somebody else listens.
    fn let_go(&self, revision: Revision) -> bool {
        // Before the look at the readers: one that subscribes after it finds that nobody listens.
        self.followed[revision.place()].store(false, Ordering::SeqCst);
        !self.is_heard() || !self.take_up(revision)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// The list whose change a message announces.
pub fn announced(message: &Envelope) -> Option<List> {
    message.known_method.and_then(List::of)
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::envelope;
    use toolgate_protocol::revision::MODERN;

    use super::*;

    #[tokio::test]
    async fn every_reader_hears_all_from_its_subscription_on() {
        let news = News::default();
        news.publish(Bytes::from_static(b"before"));
        let (mut one, mut two) = (news.subscribe(), news.subscribe());
        news.publish_change(List::Tools);
        for heard in [&mut one, &mut two] {
            assert_eq!(heard.next().await, Some(Word::Said(listen::announcement(List::Tools).into())));
        }
        news.retire();
        assert_eq!(one.next().await, None);
        assert_eq!(news.subscribe().next().await, None);
    }

    #[tokio::test]
    async fn a_reader_that_lags_is_told_so_and_goes_on() {
        let news = News::default();
        let mut slow = news.subscribe();
        for number in 0..100 {
            news.publish(Bytes::from(vec![number]));
        }
        assert_eq!(slow.next().await, Some(Word::Lagged));
        assert_eq!(slow.next().await, Some(Word::Said(Bytes::from_static(&[84]))));
    }

    #[tokio::test]
    async fn one_listens_until_the_last_reader_has_gone() {
        let news = News::default();
        let first = news.subscribe();
        assert!(news.take_up(MODERN) && !news.take_up(MODERN));
        let second = news.subscribe();
        drop(first);
        assert!(!news.let_go(MODERN), "the second still reads");
        assert!(!news.take_up(MODERN), "so it goes on");
        drop(second);
        news.unheard().await;
        assert!(news.let_go(MODERN) && news.take_up(MODERN));
    }

    #[test]
    fn announcements_are_told_from_everything_else() {
        for list in List::ALL {
            assert_eq!(announced(&envelope::scan(&listen::announcement(list)).unwrap()), Some(list));
        }
        for other in ["notifications/resources/updated", "notifications/message", "x"] {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"{other}"}}"#);
            assert_eq!(announced(&envelope::scan(text.as_bytes()).unwrap()), None);
        }
    }
}
