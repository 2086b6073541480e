//! Load on a server under test: many connections, each a client of its own, and what they saw.
//!
//! The binary `load` runs it for benchmarks; scenarios run `Load` beside a reload or a drain and look at every
//! failed call. A failed call is counted with its reason and never retried: that is what is being tested.

use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::LocalSet;

use crate::http::Target;
use crate::mcp::{Client, Era};

/// Which server, and as whom.
#[derive(Clone)]
pub struct Aim {
    /// Where it listens.
    pub target: Target,
    /// `/mcp/NAME`.
    pub path: String,
    /// The API key.
    pub key: Option<String>,
    /// How to talk.
    pub era: Era,
}

impl Aim {
    /// A client with a connection, and with a session where the era has them.
    pub async fn client(&self) -> io::Result<Client> {
        Client::connect(&self.target, &self.path, self.key.as_deref(), self.era).await
    }
}

/// How calls follow each other.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Each connection sends its next call when the last was answered.
    Closed,
    /// All connections together send this many calls per second.
    PerSecond(u32),
    /// Each call opens a connection of its own, with a full handshake.
    Connect,
}

/// When no further call begins.
#[derive(Clone)]
pub enum Until {
    /// This long after all have connected.
    Elapsed(Duration),
    /// When it is set.
    Told(Rc<AtomicBool>),
}

impl Until {
    fn reached(&self, begun: Instant) -> bool {
        match self {
            Self::Elapsed(time) => begun.elapsed() >= *time,
            Self::Told(flag) => flag.load(Ordering::Relaxed),
        }
    }
}

/// What the clients saw.
#[derive(Debug, Default, Serialize)]
pub struct Seen {
    /// Calls that succeeded.
    pub calls: u64,
    /// Calls that did not.
    pub failed: u64,
    /// The first few reasons.
    pub reasons: Vec<String>,
    /// From the first call to the last answer, in seconds.
    pub seconds: f64,
    /// Median time of a call, in microseconds.
    pub p50_us: u32,
    /// 99 of 100 calls were faster, in microseconds.
    pub p99_us: u32,
    /// A client found the port closed, which ends its load without being a failed call.
    pub nobody_listens: bool,
    #[serde(skip)]
    times: Vec<u32>,
}

impl Seen {
    fn may_go_on(&self) -> bool {
        self.failed == 0 && !self.nobody_listens
    }

    fn count(&mut self, begun: Instant, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => {
                self.calls += 1;
                self.times.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
            Err(Failure::NobodyListens) => self.nobody_listens = true,
            Err(Failure::Call(reason)) => {
                self.failed += 1;
                if self.reasons.len() < 5 {
                    self.reasons.push(reason);
                }
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.nobody_listens |= other.nobody_listens;
        self.reasons.extend(other.reasons);
        self.reasons.truncate(5);
        self.times.extend(other.times);
    }

    fn finish(&mut self, begun: Instant) {
        self.seconds = begun.elapsed().as_secs_f64();
        self.times.sort_unstable();
        let at = |share: usize| self.times.get(self.times.len() * share / 100).copied().unwrap_or(0);
        (self.p50_us, self.p99_us) = (at(50), at(99));
    }
}

/// What to call, and where.
#[derive(Clone)]
pub struct Calls {
    /// The server.
    pub aim: Aim,
    /// The tool.
    pub tool: String,
    /// Bytes of the tool's argument.
    pub padding: usize,
}

/// Clients that are connected and have not called yet.
pub struct Clients {
    calls: Calls,
    pace: Pace,
    /// None where each call connects anew, or where the server did not let a client in.
    connected: Vec<Option<Client>>,
    seen: Seen,
}

impl Clients {
    /// Connects `number` clients; who is not let in is counted as a failed call.
    pub async fn connect(calls: Calls, number: u32, pace: Pace) -> Self {
        let (mut connected, mut seen) = (Vec::new(), Seen::default());
        for _ in 0..number {
            connected.push(match pace {
                Pace::Connect => None,
                Pace::Closed | Pace::PerSecond(_) => match calls.aim.client().await {
                    Ok(client) => Some(client),
                    Err(error) => {
                        seen.count(Instant::now(), Err(Failure::Call(format!("connect: {error}"))));
                        None
                    }
                },
            });
        }
        Self { calls, pace, connected, seen }
    }

    /// Calls until told to stop; each client finishes its last call.
    pub async fn call(self, until: Until) -> Seen {
        LocalSet::new().run_until(self.call_all(until)).await
    }

    async fn call_all(self, until: Until) -> Seen {
        let (mut seen, begun) = (self.seen, Instant::now());
        let number = u32::try_from(self.connected.len()).unwrap_or(u32::MAX);
        let mut tasks = Vec::new();
        for (place, client) in (0..number).zip(self.connected) {
            let (until, calls, pace) = (until.clone(), self.calls.clone(), self.pace);
            let stop = move || until.reached(begun);
            tasks.push(tokio::task::spawn_local(async move {
                match (pace, client) {
                    (Pace::Connect, _) => calls.connecting(stop).await,
                    (Pace::Closed, Some(client)) => calls.closed(client, stop).await,
                    (Pace::PerSecond(rate), Some(client)) => {
                        let interval = Duration::from_secs(1) * number / rate;
                        calls.paced(client, stop, interval, begun + interval * place / number).await
                    }
                    (_, None) => Seen::default(),
                }
            }));
        }
        for task in tasks {
            seen.merge(task.await.expect("a client's task"));
        }
        seen.finish(begun);
        seen
    }
}

/// One call. Where the server says that its answer is the connection's last, the client connects again.
async fn call(client: &mut Client, aim: &Aim, raw: &[u8]) -> Result<(), Failure> {
    let (head, body) = match client.connection().exchange(raw).await {
        Ok(answer) => answer,
        Err(error) => return Err(Failure::Call(error.to_string())),
    };
    if head.status != 200 || contains(&body, b"\"error\"") {
        let text = String::from_utf8_lossy(&body);
        return Err(Failure::Call(format!("{} {text}", head.status)));
    }
    if head.is_last() {
        client.reconnect(&aim.target).await.map_err(|error| Failure::of_connecting(&error))?;
    }
    Ok(())
}

/// Why a client stopped.
enum Failure {
    /// A call was cut or refused, or a connection broke.
    Call(String),
    /// Nobody listens any more.
    NobodyListens,
}

impl Failure {
    fn of_connecting(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::NobodyListens,
            _ => Self::Call(format!("connect: {error}")),
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

impl Calls {
    async fn closed(self, mut client: Client, stop: impl Fn() -> bool) -> Seen {
        let (raw, mut seen) = (client.raw_call(&self.tool, self.padding), Seen::default());
        while !stop() && seen.may_go_on() {
            let begun = Instant::now();
            seen.count(begun, call(&mut client, &self.aim, &raw).await);
        }
        seen
    }

    async fn paced(self, mut client: Client, stop: impl Fn() -> bool, interval: Duration, mut next: Instant) -> Seen {
        let (raw, mut seen) = (client.raw_call(&self.tool, self.padding), Seen::default());
        while !stop() && seen.may_go_on() {
            tokio::time::sleep_until(next.into()).await;
            next += interval;
            // The timer's granularity of a millisecond is not the server's doing.
            let begun = Instant::now();
            seen.count(begun, call(&mut client, &self.aim, &raw).await);
        }
        seen
    }

    async fn connecting(self, stop: impl Fn() -> bool) -> Seen {
        let mut seen = Seen::default();
        while !stop() && !seen.nobody_listens {
            let begun = Instant::now();
            let outcome = match self.aim.client().await {
                Ok(mut client) => {
                    let raw = client.raw_call(&self.tool, self.padding);
                    let answered = client.connection().exchange(&raw).await;
                    match answered {
                        Ok((head, _)) if head.status == 200 => Ok(()),
                        Ok((head, body)) => {
                            Err(Failure::Call(format!("{} {}", head.status, String::from_utf8_lossy(&body))))
                        }
                        Err(error) => Err(Failure::Call(error.to_string())),
                    }
                }
                Err(error) => Err(Failure::of_connecting(&error)),
            };
            seen.count(begun, outcome);
        }
        seen
    }
}
