//! One call on its way to an endpoint, and what is learned from how it ends.
//!
//! It rides with the call until its answer has ended. Dropped without a word it says what can be said: a call that
//! lasted longer than the server may take was not answered, one whose answer had begun was, and any other, such as one
//! whose client has left, says nothing.

use std::sync::Arc;
use std::time::Duration;

use toolgate_protocol::breaker::{Outcome, Pass};

use super::Endpoint;
use crate::clock;
use crate::servers::Server;

/// A call that an endpoint has, counted until it is dropped or only listens.
#[derive(Debug)]
pub struct Attempt {
    server: Arc<Server>,
    endpoint: usize,
    pass: Option<Pass>,
    began: u64,
    /// Milliseconds that the server may take.
    patience: u64,
    /// Milliseconds that it took to begin its answer.
    begun: Option<u64>,
    told: bool,
    /// Whether the endpoint is busy with it.
    counts: bool,
}

impl Attempt {
    pub(super) fn new(server: &Arc<Server>, endpoint: usize, pass: Option<Pass>, patience: Duration, now: u64) -> Self {
        server.endpoints.get(endpoint).enter();
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        Self {
            server: Arc::clone(server),
            endpoint,
            pass,
            began: now,
            patience,
            begun: None,
            told: false,
            counts: true,
        }
    }

    /// When it began, by our clock, in milliseconds.
    pub fn began(&self) -> u64 {
        self.began
    }

    /// Whether the endpoint's other calls wait for how this one goes.
    pub fn is_probe(&self) -> bool {
        self.pass.as_ref().is_some_and(Pass::is_probe)
    }

    /// The answer begins.
    pub fn begins(&mut self) {
        self.begun = Some(clock::millis().saturating_sub(self.began));
    }

    /// From here on only its client decides how long it takes.
    pub fn takes_its_time(&mut self) {
        self.patience = u64::MAX;
    }

    /// From here on somebody only listens: that keeps no endpoint busy, however many do, and must not keep calls from it.
    pub fn only_listens(&mut self) {
        self.leave();
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.counts) {
            self.endpoint().leave();
        }
    }

    /// It was answered, whatever the answer says. The endpoint has it until it is dropped.
    pub fn answered(&mut self) {
        let now = clock::millis();
        let millis = self.begun.unwrap_or_else(|| now.saturating_sub(self.began));
        self.tell(Outcome::Answered { millis }, now);
    }

    /// It was not answered, or with something that is no answer.
    pub fn failed(&mut self) {
        self.tell(Outcome::Failed, clock::millis());
    }

    /// How it ends says nothing of the endpoint.
    pub fn says_nothing(&mut self) {
        self.told = true;
        if let Some(pass) = self.pass.take() {
            self.endpoint().breaker.abandon(&pass);
        }
    }

    fn tell(&mut self, outcome: Outcome, now: u64) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let pass = self.pass.take();
        let (rules, endpoint) = (self.server.endpoints.settings(), self.endpoint());
        endpoint.learn(&rules, outcome != Outcome::Failed);
        if let Some(pass) = pass {
            endpoint.record(&rules, &pass, outcome, now);
        }
    }

    fn endpoint(&self) -> &Endpoint {
        self.server.endpoints.get(self.endpoint)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.told {
            // Clocks that count whole milliseconds may miss the last one.
            let lasted = clock::millis().saturating_sub(self.began).saturating_add(1);
            if lasted >= self.patience {
                self.failed();
            } else if self.begun.is_some() {
                self.answered();
            } else {
                self.says_nothing();
            }
        }
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::policy::Policy;
    use crate::servers::endpoints::{To, admit};

    #[test]
    fn who_only_listens_keeps_no_calls_from_an_endpoint() {
        let text = "version = 1\n[server.two]\nendpoints = [\"http://127.0.0.1:9/mcp\", \"http://127.0.0.1:10/mcp\"]\n";
        let settings = config::from_text(text).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let policy = Policy::new(Arc::new(settings), None).unwrap();
        let server = &policy.servers["two"];
        let outstanding = || [0, 1].map(|at| server.endpoints.get(at).outstanding());
        let attempt = |to| admit(server, to, Duration::from_secs(60)).unwrap().1.expect("it is counted");
        let mut streams: Vec<_> = (0..500).map(|_| attempt(To::Session(0))).collect();
        assert_eq!(outstanding(), [500, 0]);
        assert!((0..100).all(|_| attempt(To::Any).endpoint == 1), "as long as they may be calls");
        for stream in &mut streams {
            stream.only_listens();
            stream.only_listens();
        }
        assert_eq!(outstanding(), [0, 0]);
        let first = (0..200).filter(|_| attempt(To::Any).endpoint == 0).count();
        assert!((50..150).contains(&first), "{first} of 200 calls");
        let call = attempt(To::Session(0));
        drop(streams);
        assert_eq!(outstanding(), [1, 0], "their end is counted no second time");
        drop(call);
        assert_eq!(outstanding(), [0, 0]);
    }
}
