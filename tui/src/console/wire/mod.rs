//! The connection to the daemon, on a thread of its own: the watch, the tail, and what is asked besides.

mod asked;
mod follow;

use std::path::{Path, PathBuf};
use std::thread;

use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::actions::Request;
use super::run::{Event, Outbox};
use super::state::{Input, Read, Subscription};
use crate::failure::Failure;

/// What the console may ask for; nothing of it waits.
#[derive(Debug)]
pub(super) struct Wire {
    subscriptions: Option<watch::Sender<Subscription>>,
    wishes: Option<mpsc::UnboundedSender<Wish>>,
}

#[derive(Debug)]
enum Wish {
    Read(Read),
    Send(u64, Vec<Request>),
}

impl Wire {
    /// Speaks with the daemon whose runtime folder this is.
    pub(super) fn start(runtime_dir: &Path, outbox: Outbox) -> Result<Self, Failure> {
        let (subscriptions, wanted) = watch::channel(Subscription::default());
        let (wishes, granted) = mpsc::unbounded_channel();
        let runtime_dir = runtime_dir.to_owned();
        let talk = move || talk(&runtime_dir, wanted, granted, &outbox);
        thread::Builder::new()
            .name("wire".into())
            .spawn(talk)
            .map_err(|error| Failure::local("The console cannot start", error))?;
        Ok(Self { subscriptions: Some(subscriptions), wishes: Some(wishes) })
    }

    /// Asks nobody: of a recording.
    pub(super) fn none() -> Self {
        Self { subscriptions: None, wishes: None }
    }

    pub(super) fn subscribe(&self, subscription: Subscription) -> super::run::Next {
        if let Some(subscriptions) = &self.subscriptions {
            subscriptions.send_replace(subscription);
        }
        super::run::Next::On
    }

    pub(super) fn read(&self, read: Read) -> super::run::Next {
        self.wish(Wish::Read(read))
    }

    pub(super) fn send(&self, ticket: u64, requests: Vec<Request>) -> super::run::Next {
        self.wish(Wish::Send(ticket, requests))
    }

    fn wish(&self, wish: Wish) -> super::run::Next {
        if let Some(wishes) = &self.wishes {
            // The other end is there as long as its thread is, whose end the watch tells.
            let _ = wishes.send(wish);
        }
        super::run::Next::On
    }
}

fn talk(
    runtime_dir: &Path,
    subscribed: watch::Receiver<Subscription>,
    wished: mpsc::UnboundedReceiver<Wish>,
    outbox: &Outbox,
) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        let _ = outbox.send(Event::Broken);
        return;
    };
    let follow = follow::watch(runtime_dir.to_owned(), subscribed.clone(), outbox.clone());
    let tail = follow::tail(runtime_dir.to_owned(), subscribed, outbox.clone());
    let tasks = LocalSet::new();
    tasks.spawn_local(follow);
    tasks.spawn_local(tail);
    tasks.block_on(&runtime, grant(runtime_dir.to_owned(), wished, outbox.clone()));
}

/// Carries wishes out, each on a connection of its own, so that a slow one holds up no other.
async fn grant(runtime_dir: PathBuf, mut wished: mpsc::UnboundedReceiver<Wish>, outbox: Outbox) {
    while let Some(wish) = wished.recv().await {
        let (runtime_dir, outbox) = (runtime_dir.clone(), outbox.clone());
        tokio::task::spawn_local(async move {
            let input = match wish {
                Wish::Read(read) => {
                    let answer = asked::read(&runtime_dir, &read).await;
                    Input::Told(read, answer)
                }
                Wish::Send(ticket, requests) => Input::Answered(ticket, asked::send(&runtime_dir, &requests).await),
            };
            let _ = outbox.send(Event::Input(input));
        });
    }
}
