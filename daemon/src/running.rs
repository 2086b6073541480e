//! Calls that run on one core, and how an operator ends some of them.
//!
//! Each call has a [`Mark`] from its beginning to its end: a place in a table of the core's own, so that it costs
//! no lock and no allocation. An order marks those whom it means, then wakes whoever runs here; a call looks at its
//! mark whenever it is polled, which is one load while there are no orders.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use crate::call::CallId;
use crate::core::Core;
use crate::failure::Failure;
use crate::observe::ledger::Stage;
use crate::sessions::SessionId;

/// The calls of one core.
#[derive(Debug, Default)]
pub struct Running {
    marks: RefCell<Vec<Marked>>,
    free: RefCell<Vec<usize>>,
    /// Marks that have an order or news: while there are none, nobody looks at its own.
    due: Cell<usize>,
}

#[derive(Debug, Default)]
struct Marked {
    /// None while nobody has the place.
    id: Option<CallId>,
    client: u64,
    session: Option<SessionId>,
    /// The connection whose certificate says whose call it is; 0: none does.
    certified: u64,
    stage: Stage,
    order: Option<Arc<Failure>>,
    /// When that certificate ends, in milliseconds since 1970.
    certificate_ends: Option<u64>,
    /// The token that it came with.
    token: Option<Term>,
    /// Its credential has ended: its stream may not go on.
    lapsed: Option<Lapsed>,
    /// The server whose announcements pass through the call's stream, by its generation; 0: none's.
    listens: u64,
    /// The gate has an announcement of its own to make there.
    news: bool,
}

/// How long a token lets a stream go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The first millisecond since 1970 at which it does not.
    pub ends_ms: u64,
    /// The token's number, which no other of this process has.
    pub token: u64,
    /// Its issuer's name, as a number.
    pub issuer: u64,
}

/// What has ended that a stream was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapsed {
    /// The token, and its client has presented no newer one.
    Token,
    /// The certificate of the connection.
    Certificate,
}

/// What came of a look at the ends of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lapses {
    /// Streams that end.
    pub count: usize,
    /// When the next credential ends, in milliseconds since 1970; [`u64::MAX`]: none does.
    pub next_ms: u64,
}

/// Whom an order means.
#[derive(Debug, Clone)]
pub enum Whom {
    /// The call of this id.
    Call(String),
    /// All calls of the client with this number.
    Client(u64),
    /// All calls of these sessions.
    Sessions(Arc<HashSet<SessionId>>),
    /// All calls of these connections, whose clients are known by certificates.
    Certified(Arc<HashSet<u64>>),
    /// All calls that came with tokens of these issuers, by numbers of their names.
    Issuers(Arc<HashSet<u64>>),
}

impl Whom {
    fn means(&self, mark: &Marked) -> bool {
        match self {
            Self::Call(id) => mark.id.is_some_and(|marked| marked.as_str() == id),
            Self::Client(number) => mark.client == *number,
            Self::Sessions(ids) => mark.session.is_some_and(|session| ids.contains(&session)),
            Self::Certified(connections) => connections.contains(&mark.certified),
            Self::Issuers(issuers) => mark.token.is_some_and(|term| issuers.contains(&term.issuer)),
        }
    }
}

impl Running {
    /// Those whom it means, with how far each has come.
    #[must_use]
    pub fn find(&self, whom: &Whom) -> Vec<(CallId, Stage)> {
        let marks = self.marks.borrow();
        let meant = marks.iter().filter(|mark| whom.means(mark));
        meant.filter_map(|mark| Some((mark.id?, mark.stage))).collect()
    }

    /// Has them end with this failure. Whoever runs here is to be woken afterwards.
    pub fn order(&self, whom: &Whom, failure: &Arc<Failure>) {
        for mark in self.marks.borrow_mut().iter_mut().filter(|mark| mark.id.is_some() && whom.means(mark)) {
            if mark.order.replace(Arc::clone(failure)).is_none() {
                self.due.set(self.due.get() + 1);
            }
        }
    }

    /// Has streams end whose credential has ended. `renewed` says what a client's token was followed by; then the stream
    /// goes on as long as that one. Whoever runs here is to be woken afterwards.
    pub fn lapse(&self, now_ms: u64, renewed: impl Fn(u64, Term) -> Option<Term>) -> Lapses {
        let mut lapses = Lapses { count: 0, next_ms: u64::MAX };
        let mut marks = self.marks.borrow_mut();
        for mark in marks.iter_mut().filter(|mark| mark.id.is_some() && mark.lapsed.is_none()) {
            if let Some(term) = mark.token.filter(|term| term.ends_ms <= now_ms) {
                mark.token = renewed(mark.client, term).filter(|newer| newer.ends_ms > now_ms);
                mark.lapsed = mark.token.is_none().then_some(Lapsed::Token);
            }
            if mark.certificate_ends.is_some_and(|ends| ends <= now_ms) {
                mark.lapsed = Some(Lapsed::Certificate);
            }
            if mark.lapsed.is_some() {
                lapses.count += 1;
                self.due.set(self.due.get() + 1);
            } else {
                let ends = mark.token.map(|term| term.ends_ms).into_iter().chain(mark.certificate_ends);
                lapses.next_ms = ends.fold(lapses.next_ms, u64::min);
            }
        }
        lapses
    }

    /// Has streams that carry a server's announcements carry one of the gate's. Whoever runs here is to be woken
    /// afterwards.
    pub fn tell_listeners(&self, server: u64) {
        for mark in self.marks.borrow_mut().iter_mut().filter(|mark| mark.id.is_some() && mark.listens == server) {
            if !std::mem::replace(&mut mark.news, true) {
                self.due.set(self.due.get() + 1);
            }
        }
    }

    /// The order of the call at a place, which has a mark for as long as it asks.
    #[must_use]
    pub fn ordered(&self, at: usize) -> Option<Failure> {
        if self.due.get() == 0 {
            return None;
        }
        self.marks.borrow()[at].order.as_deref().cloned()
    }
}

/// A call's place in the table of its core; left when dropped.
#[derive(Debug)]
pub struct Mark {
    core: Rc<Core>,
    at: usize,
}

impl Mark {
    /// A place for a call that begins, or goes on in a task of its own.
    #[must_use]
    pub fn new(core: &Rc<Core>, id: CallId) -> Self {
        let mark = Marked { id: Some(id), ..Marked::default() };
        let Running { marks, free, .. } = &core.running;
        let at = if let Some(at) = free.borrow_mut().pop() {
            marks.borrow_mut()[at] = mark;
            at
        } else {
            let mut marks = marks.borrow_mut();
            marks.push(mark);
            marks.len() - 1
        };
        Self { core: Rc::clone(core), at }
    }

    /// Another place for the same call, with what is known of it.
    #[must_use]
    pub fn again(&self) -> Self {
        let (id, client, session, certified, stage, order) = {
            let marks = self.core.running.marks.borrow();
            let mark = &marks[self.at];
            (mark.id, mark.client, mark.session, mark.certified, mark.stage, mark.order.clone())
        };
        let again = Self::new(&self.core, id.expect("a mark that is held has an id"));
        let running = &self.core.running;
        if order.is_some() {
            running.due.set(running.due.get() + 1);
        }
        running.marks.borrow_mut()[again.at] =
            Marked { id, client, session, certified, stage, order, ..Marked::default() };
        again
    }

    /// Where it is; for whoever asks [`Running::ordered`] while the call itself is lent.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Whose call it is.
    pub fn of_client(&self, number: u64) {
        self.core.running.marks.borrow_mut()[self.at].client = number;
    }

    /// The connection whose certificate must stay good for the call to go on, and when that ends.
    pub fn of_certified(&self, connection: u64, ends_ms: u64) {
        let mark = &mut self.core.running.marks.borrow_mut()[self.at];
        (mark.certified, mark.certificate_ends) = (connection, Some(ends_ms));
        self.core.gate.terms.hear(ends_ms);
    }

    /// The token that it came with. Another place of the same call has none: what goes on without a stream may go on.
    pub fn of_token(&self, term: Term) {
        self.core.running.marks.borrow_mut()[self.at].token = Some(term);
        self.core.gate.terms.hear(term.ends_ms);
    }

    /// What its stream ends for, where its credential has ended.
    #[must_use]
    pub fn lapsed(&self) -> Option<Lapsed> {
        self.core.running.marks.borrow()[self.at].lapsed
    }

    /// Which session it belongs to.
    pub fn of_session(&self, session: SessionId) {
        self.core.running.marks.borrow_mut()[self.at].session = Some(session);
    }

    /// How far it has come.
    pub fn reaches(&self, stage: Stage) {
        self.core.running.marks.borrow_mut()[self.at].stage = stage;
    }

    /// Its stream carries the announcements of this server.
    pub fn listens_to(&self, server: u64) {
        self.core.running.marks.borrow_mut()[self.at].listens = server;
    }

    /// Whether there may be an order or news for it: one load while nobody has any.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.core.running.due.get() > 0
    }

    /// Takes the news that its stream is to carry, if there are any.
    #[must_use]
    pub fn take_news(&self) -> bool {
        let running = &self.core.running;
        let news = std::mem::take(&mut running.marks.borrow_mut()[self.at].news);
        if news {
            running.due.set(running.due.get() - 1);
        }
        news
    }

    /// What it is to end with, where an operator ordered its end.
    #[must_use]
    pub fn ordered(&self) -> Option<Failure> {
        self.core.running.ordered(self.at)
    }

    /// Waits until its end is ordered.
    pub async fn met(&self) -> Failure {
        loop {
            if let Some(failure) = self.ordered() {
                return failure;
            }
            self.core.drain.rung().await;
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let running = &self.core.running;
        let mut marks = running.marks.borrow_mut();
        let left = std::mem::take(&mut marks[self.at]);
        let due = [left.order.is_some(), left.news, left.lapsed.is_some()];
        running.due.set(running.due.get() - due.into_iter().map(usize::from).sum::<usize>());
        running.free.borrow_mut().push(self.at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(client: u64, token: Option<u64>, certificate_ends: Option<u64>) -> Marked {
        let token = token.map(|ends_ms| Term { ends_ms, token: 1 + client, issuer: 0 });
        Marked { id: Some(CallId::mint()), client, token, certificate_ends, ..Marked::default() }
    }

    proptest! {
        /// A stream ends when its credential has, unless a newer token keeps it; nothing ends twice, and what is told of
        /// the next end leaves out none.
        #[test]
        fn streams_end_with_their_credentials_and_not_before(
            marks in prop::collection::vec((0_u64..4, prop::option::of(1_u64..20), prop::option::of(1_u64..20)), 0..12),
            newer in prop::collection::vec(0_u64..25, 4),
            steps in prop::collection::vec(1_u64..10, 1..6),
        ) {
            let all = marks.iter().map(|(client, token, certificate)| mark(*client, *token, *certificate)).collect();
            let running = Running { marks: RefCell::new(all), ..Running::default() };
            let renewed = |client: u64, ended: Term| {
                let ends_ms = newer[usize::try_from(client).expect("small")];
                (ends_ms > ended.ends_ms).then_some(Term { ends_ms, ..ended })
            };
            let (mut now, mut ended) = (0, 0);
            for step in steps {
                now += step;
                let lapses = running.lapse(now, renewed);
                ended += lapses.count;
                let end = |(client, token, certificate): &(u64, Option<u64>, Option<u64>)| {
                    let token = token.map(|ends| ends.max(newer[usize::try_from(*client).expect("small")]));
                    (token, *certificate)
                };
                let is_over = |(token, certificate): (Option<u64>, Option<u64>)| {
                    token.is_some_and(|ends| ends <= now) || certificate.is_some_and(|ends| ends <= now)
                };
                for (at, row) in marks.iter().enumerate() {
                    let lapsed = running.marks.borrow()[at].lapsed;
                    prop_assert_eq!(lapsed.is_some(), is_over(end(row)), "{:?} at {}", row, now);
                    // Who hears of the next end hears in time of each that is left.
                    let left = lapsed.is_none() && (row.1.is_some() || row.2.is_some());
                    let (token, certificate) = end(row);
                    let first = token.into_iter().chain(certificate).min().unwrap_or(u64::MAX);
                    prop_assert!(!left || (lapses.next_ms > now && lapses.next_ms <= first));
                }
                prop_assert_eq!((running.due.get(), running.lapse(now, renewed).count), (ended, 0));
            }
        }
    }
}
