//! Tokens that an authorization server grants for a time (OAuth 2.1): kept, renewed before they lapse, never shown.
//!
//! Calls show the token in one load while it is fresh; whoever finds that it is not has it asked for, once for all who
//! wait, in a task that outlives each of them. When is decided in `protocol::renewal`.

pub(crate) mod provider;
pub(crate) mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use toolgate_protocol::renewal::{Renewal, Turn};
use tracing::{debug, info, warn};

use crate::clock;
use crate::config::settings::access::Oauth;
use crate::failure::{Failure, Kind};
use crate::lock::lock;
use crate::servers::http::Proof;
use provider::Provider;
use wire::{Granted, Refused};

/// The tokens of one facet of a server.
#[derive(Debug)]
pub struct Tokens {
    server: String,
    provider: Arc<Provider>,
    state: Mutex<State>,
    shown: ArcSwapOption<Token>,
    /// Why none is to be had now, as a sentence.
    trouble: Mutex<Option<String>>,
    /// The server refuses what it is shown.
    is_refused: AtomicBool,
}

#[derive(Debug)]
struct State {
    renewal: Renewal,
    /// How the last question ended, or that it has not yet.
    asked: watch::Receiver<Option<Outcome>>,
}

type Outcome = Result<(), String>;

/// A token as calls show it.
#[derive(Debug)]
struct Token {
    proof: Arc<Proof>,
    /// Until then nothing is to be done about it, in milliseconds of our clock.
    until: u64,
}

impl Tokens {
    /// Tokens of the gate's own at a server.
    ///
    /// # Errors
    /// A sentence, where certificates towards the authorization server cannot be used.
    pub fn new(server: &str, oauth: &Oauth) -> Result<Self, String> {
        let mut seed = [0; 8];
        aws_lc_rs::rand::fill(&mut seed).expect("the system has a random source");
        let renewal = Renewal::new(u64::from_ne_bytes(seed));
        Ok(Self {
            server: server.to_owned(),
            provider: Arc::new(Provider::new(&oauth.registration)?),
            state: Mutex::new(State { renewal, asked: watch::channel(None).1 }),
            shown: ArcSwapOption::empty(),
            trouble: Mutex::default(),
            is_refused: AtomicBool::new(false),
        })
    }

    /// What goes along with a request that leaves now.
    pub fn shown(&self) -> Option<Arc<Proof>> {
        self.shown.load().as_ref().map(|token| Arc::clone(&token.proof))
    }

    /// Waits until there is a token to be shown, where one is to be had.
    pub async fn ready(self: &Arc<Self>) -> Result<(), Failure> {
        loop {
            let now = clock::millis();
            if self.shown.load().as_ref().is_some_and(|token| now < token.until) {
                return Ok(());
            }
            let (turn, mut asked) = {
                let mut state = lock(&self.state);
                let turn = state.renewal.turn(now);
                if matches!(turn, Turn::Ask | Turn::ShowAndAsk) {
                    state.asked = self.ask();
                }
                (turn, state.asked.clone())
            };
            match turn {
                Turn::Show | Turn::ShowAndAsk => return Ok(()),
                Turn::Refuse { millis } => return Err(self.none(Duration::from_millis(millis))),
                Turn::Ask | Turn::Wait => {}
            }
            let outcome = asked.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
            match outcome {
                Some(Ok(())) => return Ok(()),
                Some(Err(_)) => return Err(self.none(Duration::from_secs(1))),
                // Who asked has ended: the next one asks.
                None => {}
            }
        }
    }

    /// The server refused what it was shown. Whether it may be asked again, with another token.
    pub fn refused(&self, used: Option<&Arc<Proof>>) -> bool {
        let mut state = lock(&self.state);
        let newer = match (self.shown(), used) {
            (Some(now), Some(used)) => !Arc::ptr_eq(&now, used),
            (now, used) => now.is_some() != used.is_some(),
        };
        if newer {
            return true;
        }
        let is_replaced = state.renewal.refused(clock::millis());
        if is_replaced {
            self.shown.store(None);
            debug!(server = self.server, "a server refuses a token, which is asked for anew");
        } else if !self.is_refused.swap(true, Ordering::Relaxed) {
            warn!(server = self.server, "a server refuses a token that was granted only now");
        }
        is_replaced
    }

    /// The server took what it was shown.
    pub fn taken(&self) {
        if self.is_refused.load(Ordering::Relaxed) {
            self.is_refused.store(false, Ordering::Relaxed);
        }
    }

    /// Reads the client's secret where its file has changed.
    pub fn look(&self, server: &str) {
        if self.provider.look(server) {
            // What failed with the old one may not with the new one.
            lock(&self.state).renewal.hurry();
        }
    }

    /// Why calls will fail.
    pub fn trouble(&self) -> Option<String> {
        if self.is_refused.load(Ordering::Relaxed) {
            return Some(format!("it refuses tokens of {}", self.provider.name()));
        }
        self.why().filter(|_| self.shown.load().is_none())
    }

    /// What an operator should know though calls go on.
    pub fn told(&self) -> Vec<String> {
        let renewal = self.why().filter(|_| self.shown.load().is_some());
        renewal.into_iter().chain(self.provider.told()).collect()
    }

    fn why(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// What a call ends with that finds no token.
    fn none(&self, wait: Duration) -> Failure {
        let failure = Failure::new(
            Kind::ServerUnavailable,
            format!(
                "The server {} cannot be called: the gate is given no token for it. Nothing was done; try again later, or tell its operator.",
                self.server
            ),
        );
        failure.retry_after(wait.max(Duration::from_secs(1))).because(self.why().unwrap_or_default())
    }

    /// Asks, in a task of its own.
    fn ask(self: &Arc<Self>) -> watch::Receiver<Option<Outcome>> {
        let (sender, asked) = watch::channel(None);
        let question = Question { tokens: Arc::clone(self), sender, is_answered: false };
        tokio::task::spawn_local(async move {
            let granted = question.tokens.provider.own_token().await;
            question.end(granted);
        });
        asked
    }

    fn keep(&self, granted: Result<Granted, Refused>) -> Outcome {
        let proof = granted.and_then(|granted| {
            let proof = Proof::bearer(&granted.access).map_err(Refused::for_now)?;
            Ok((Arc::new(proof), granted.lifetime))
        });
        let mut state = lock(&self.state);
        let now = clock::millis();
        match proof {
            Ok((proof, lifetime)) => {
                state.renewal.granted(now, u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
                let until = state.renewal.shown_until().unwrap_or(now);
                self.shown.store(Some(Arc::new(Token { proof, until })));
                if lock(&self.trouble).take().is_some() {
                    info!(server = self.server, "tokens are granted again");
                }
                Ok(())
            }
            Err(refused) => {
                state.renewal.failed(now);
                let why = format!("no token is to be had of {}: {}", self.provider.name(), refused.why);
                if lock(&self.trouble).replace(why.clone()).is_none() {
                    warn!(server = self.server, "{why}");
                }
                Err(why)
            }
        }
    }
}

/// A question under way.
struct Question {
    tokens: Arc<Tokens>,
    sender: watch::Sender<Option<Outcome>>,
    is_answered: bool,
}

impl Question {
    fn end(mut self, granted: Result<Granted, Refused>) {
        self.is_answered = true;
        let outcome = self.tokens.keep(granted);
        self.sender.send_replace(Some(outcome));
    }
}

impl Drop for Question {
    /// A task that was dropped with its core must not leave everybody waiting for it.
    fn drop(&mut self) {
        if !self.is_answered {
            lock(&self.tokens.state).renewal.abandoned();
        }
    }
}
