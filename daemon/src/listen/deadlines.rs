//! How long a connection may wait for its client, for each thing that it can wait for.
//!
//! The drivers ask after each turn of hyper. One timer serves all deadlines of a connection: it is
//! set anew only when a deadline comes nearer, and otherwise asked again when it has run out.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use toolgate_protocol::framing::Phase;

use super::framing::Watch;
use crate::config::settings::Bounds;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The first byte of the first request.
    First,
    /// The first byte of another request.
    Next,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// The client's reading what was written.
    Reader,
    /// Nothing that the client owes.
    Nothing,
}

impl Wait {
    /// What is waited for, and a number that changes with every progress that starts it anew.
    fn now(watch: &Watch, requests: u64, in_flight: u32) -> (Self, u64) {
        if watch.blocked() {
            return (Self::Reader, watch.written());
        }
        match watch.phase() {
            Phase::Body => (Self::Body, watch.messages()),
            _ if in_flight > 0 => (Self::Nothing, requests),
            Phase::Head => (Self::Head, watch.messages()),
            Phase::Idle if requests == 0 => (Self::First, 0),
            Phase::Idle => (Self::Next, requests),
        }
    }

    fn limit(self, bounds: &Bounds) -> Duration {
        match self {
            // A connection that says nothing is worth no more than one that says little.
            Self::First => bounds.head_timeout.min(bounds.keep_alive),
            Self::Head => bounds.head_timeout,
            Self::Body => bounds.body_timeout,
            Self::Next | Self::Reader => bounds.keep_alive,
            Self::Nothing => Duration::MAX,
        }
    }
}

/// What ends a connection earlier than its listener's bounds while the core drains.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leaving {
    /// Until when the first request has to arrive.
    pub first: Option<Instant>,
    /// How long after an answer another request has to arrive.
    pub next: Option<Duration>,
}

/// The deadlines of one connection.
#[derive(Debug)]
pub struct Deadlines {
    wait: (Wait, u64),
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadlines {
    /// At the start of a connection.
    #[must_use]
    pub fn start() -> Self {
        Self { wait: (Wait::First, 0), since: Instant::now(), timer: None }
    }

    /// Ready when the client has kept the connection waiting for too long: with what for.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        bounds: &Bounds,
        watch: &Watch,
        (requests, in_flight): (u64, u32),
        leaving: Leaving,
    ) -> Poll<Wait> {
        let wait = Wait::now(watch, requests, in_flight);
        if wait != self.wait {
            self.wait = wait;
            // What has no limit needs no beginning, and is between any two waits of a busy connection.
            if wait.0 != Wait::Nothing {
                self.since = Instant::now();
            }
        }
        let (wait, _) = wait;
        // While the server's side does not ask for the body, its delay is not the client's.
        if wait == Wait::Body && !watch.starved() {
            return Poll::Pending;
        }
        let earlier = match wait {
            Wait::First => leaving.first,
            Wait::Next => leaving.next.map(|next| self.since + next),
            _ => None,
        };
        let deadline = self.since.checked_add(wait.limit(bounds)).into_iter().chain(earlier).min();
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        self.poll_timer(cx, deadline).map(|()| wait)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
