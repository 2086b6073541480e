//! Tokens that an authorization server grants for a time (OAuth 2.1): kept, renewed before they lapse, never shown.
//!
//! Calls show the token in one load while it is fresh; whoever finds that it is not has it asked for, once for all who
//! wait, in a task that outlives each of them. When is decided in `protocol::renewal`.

pub(crate) mod provider;
pub(crate) mod wire;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use toolgate_protocol::renewal::{Renewal, Turn};
use tracing::{debug, info, warn};

use crate::clock;
use crate::config::settings::access::Oauth;
use crate::failure::{Failure, Kind};
use crate::grants::{Grant, Grants};
use crate::lock::lock;
use crate::observe::Shown;
use crate::servers::http::Proof;
use provider::Provider;
use wire::{Granted, Refused};

/// The tokens of one facet of a server.
#[derive(Debug)]
pub struct Tokens {
    server: String,
    asks: Asks,
    state: Mutex<State>,
    shown: ArcSwapOption<Token>,
    /// Why none is to be had now, as a sentence.
    trouble: Mutex<Option<String>>,
    /// The server refuses what it is shown.
    is_refused: AtomicBool,
}

/// Whose tokens are asked for.
#[derive(Debug)]
enum Asks {
    /// The gate's own.
    Own(Arc<Provider>),
    /// A user's.
    User(User),
}

/// What one user allowed.
#[derive(Debug)]
struct User {
    provider: Arc<Provider>,
    grants: Arc<Grants>,
    client: String,
    /// Of the grant.
    number: u64,
    /// Up to which change of grants it was looked at whether it is still there.
    looked: AtomicU64,
}

impl Asks {
    fn provider(&self) -> &Provider {
        match self {
            Self::Own(provider) => provider,
            Self::User(user) => &user.provider,
        }
    }

    async fn token(&self, server: &str) -> Result<Granted, Refused> {
        match self {
            Self::Own(provider) => provider.own_token().await,
            Self::User(user) => user.token(server).await,
        }
    }
}

impl User {
    /// Has the provider give the next token, and keeps what it gives before it is shown to anybody.
    async fn token(&self, server: &str) -> Result<Granted, Refused> {
        let over = || Refused { why: "what the user allowed is over".into(), is_final: true };
        let grant = self.grants.get(server, &self.client).ok_or_else(over)?;
        let given = match &grant.refresh {
            Some(refresh) => {
                let pairs = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
                self.provider.token(&pairs).await
            }
            None => Err(over()),
        };
        match given {
            Ok(granted) => {
                let kept = Granted { access: granted.access.clone(), refresh: granted.refresh.clone(), ..granted };
                let is_there = self.grants.renew(server, &self.client, self.number, Grant::of(kept)).await;
                if is_there { Ok(granted) } else { Err(over()) }
            }
            Err(refused) => {
                if refused.is_final && self.grants.forget(server, &self.client, Some(self.number)).await {
                    info!(server, client = %Shown(&self.client), "what a user allowed is over: {}", refused.why);
                }
                Err(refused)
            }
        }
    }

    /// Whether the grant is still there; one load while no grant comes or goes.
    fn is_there(&self, server: &str) -> bool {
        let epoch = self.grants.epoch();
        if self.looked.load(Ordering::Relaxed) == epoch {
            return true;
        }
        let is_there = self.grants.number(server, &self.client) == Some(self.number);
        if is_there {
            self.looked.store(epoch, Ordering::Relaxed);
        }
        is_there
    }
}

#[derive(Debug)]
struct State {
    renewal: Renewal,
    /// How the last question ended, or that it has not yet.
    asked: watch::Receiver<Option<Outcome>>,
}

/// Whether there is a token, or else whether asking again is of no use.
type Outcome = Result<(), bool>;

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
        Ok(Self::of(server, Asks::Own(Arc::new(Provider::new(&oauth.registration)?))))
    }

    /// Tokens that a client's user allowed, by the grant of this number; none where that is not there.
    pub(crate) fn of_user(
        server: &str,
        client: &str,
        number: u64,
        (provider, grants): (&Arc<Provider>, &Arc<Grants>),
    ) -> Option<Self> {
        let grant = grants.get(server, client)?;
        let user = User {
            provider: Arc::clone(provider),
            grants: Arc::clone(grants),
            client: client.to_owned(),
            number,
            looked: AtomicU64::new(0),
        };
        let tokens = Self::of(server, Asks::User(user));
        let left = grant.until.saturating_sub(clock::unix_millis());
        if left > 0
            && let Ok(proof) = Proof::bearer(&grant.access)
        {
            tokens.show(&mut lock(&tokens.state), proof, left);
        }
        Some(tokens)
    }

    fn of(server: &str, asks: Asks) -> Self {
        let mut seed = [0; 8];
        aws_lc_rs::rand::fill(&mut seed).expect("the system has a random source");
        let renewal = Renewal::new(u64::from_ne_bytes(seed));
        Self {
            server: server.to_owned(),
            asks,
            state: Mutex::new(State { renewal, asked: watch::channel(None).1 }),
            shown: ArcSwapOption::empty(),
            trouble: Mutex::default(),
            is_refused: AtomicBool::new(false),
        }
    }

    /// What goes along with a request that leaves now.
    pub fn shown(&self) -> Option<Arc<Proof>> {
        self.shown.load().as_ref().map(|token| Arc::clone(&token.proof))
    }

    /// Waits until there is a token to be shown, where one is to be had.
    pub async fn ready(self: &Arc<Self>) -> Result<(), Failure> {
        loop {
            if let Asks::User(user) = &self.asks
                && !user.is_there(&self.server)
            {
                self.shown.store(None);
                return Err(self.over());
            }
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
            let outcome = asked.wait_for(Option::is_some).await.ok().and_then(|outcome| *outcome);
            match outcome {
                Some(Ok(())) => return Ok(()),
                Some(Err(is_final)) if is_final && matches!(self.asks, Asks::User(_)) => return Err(self.over()),
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
        if self.asks.provider().look(server) {
            // What failed with the old one may not with the new one.
            lock(&self.state).renewal.hurry();
        }
    }

    /// Why calls will fail.
    pub fn trouble(&self) -> Option<String> {
        if self.is_refused.load(Ordering::Relaxed) {
            return Some(format!("it refuses tokens of {}", self.asks.provider().name()));
        }
        self.why().filter(|_| self.shown.load().is_none())
    }

    /// What an operator should know though calls go on.
    pub fn told(&self) -> Vec<String> {
        let renewal = self.why().filter(|_| self.shown.load().is_some());
        renewal.into_iter().chain(self.asks.provider().told()).collect()
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

    /// What a call ends with whose user has to be asked anew.
    fn over(&self) -> Failure {
        Failure::new(
            Kind::NoCredential,
            format!(
                "What its user allowed this client at the server {} is over. Nothing was done; call again to be told where it can be allowed anew.",
                self.server
            ),
        )
    }

    /// Asks, in a task of its own.
    fn ask(self: &Arc<Self>) -> watch::Receiver<Option<Outcome>> {
        let (sender, asked) = watch::channel(None);
        let question = Question { tokens: Arc::clone(self), sender, is_answered: false };
        tokio::task::spawn_local(async move {
            let granted = question.tokens.asks.token(&question.tokens.server).await;
            question.end(granted);
        });
        asked
    }

    fn keep(&self, granted: Result<Granted, Refused>) -> Outcome {
        let proof = granted.and_then(|granted| {
            let proof = Proof::bearer(&granted.access).map_err(Refused::for_now)?;
            Ok((proof, granted.lifetime))
        });
        let mut state = lock(&self.state);
        match proof {
            Ok((proof, lifetime)) => {
                self.show(&mut state, proof, u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
                if lock(&self.trouble).take().is_some() {
                    info!(server = self.server, "tokens are granted again");
                }
                Ok(())
            }
            Err(refused) => {
                state.renewal.failed(clock::millis());
                let why = format!("no token is to be had of {}: {}", self.asks.provider().name(), refused.why);
                if lock(&self.trouble).replace(why.clone()).is_none() {
                    warn!(server = self.server, "{why}");
                }
                Err(refused.is_final)
            }
        }
    }

    /// Has calls show a token that lapses so many milliseconds from now.
    fn show(&self, state: &mut State, proof: Proof, lifetime: u64) {
        let now = clock::millis();
        state.renewal.granted(now, lifetime);
        let until = state.renewal.shown_until().unwrap_or(now);
        self.shown.store(Some(Arc::new(Token { proof: Arc::new(proof), until })));
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
