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
    #[serde(skip)]
    times: Vec<u32>,
}

impl Seen {
    fn count(&mut self, begun: Instant, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                self.calls += 1;
                self.times
                    .push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
            Err(reason) => {
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
        self.reasons.extend(other.reasons);
        self.reasons.truncate(5);
        self.times.extend(other.times);
    }

    fn finish(&mut self, begun: Instant) {
        self.seconds = begun.elapsed().as_secs_f64();
        self.times.sort_unstable();
        let at = |share: usize| {
            self.times
                .get(self.times.len() * share / 100)
                .copied()
                .unwrap_or(0)
        };
        (self.p50_us, self.p99_us) = (at(50), at(99));
    }
}

/// Clients that are connected and have not called yet.
pub struct Clients {
    aim: Aim,
    /// None where each call connects anew, or where the server did not let a client in.
    connected: Vec<Option<Client>>,
    seen: Seen,
}

impl Clients {
    /// Connects `number` clients; who is not let in is counted as a failed call.
    pub async fn connect(aim: &Aim, number: u32, pace: Pace) -> Self {
        let (mut connected, mut seen) = (Vec::new(), Seen::default());
        for _ in 0..number {
            connected.push(match pace {
                Pace::Connect => None,
                Pace::Closed | Pace::PerSecond(_) => match aim.client().await {
                    Ok(client) => Some(client),
                    Err(error) => {
                        seen.count(Instant::now(), Err(format!("connect: {error}")));
                        None
                    }
                },
            });
        }
        Self {
            aim: aim.clone(),
            connected,
            seen,
        }
    }

    /// Calls at `pace` until told to stop; each client finishes its last call.
    pub async fn call(self, pace: Pace, padding: usize, until: Until) -> Seen {
        LocalSet::new()
            .run_until(self.call_all(pace, padding, until))
            .await
    }

    async fn call_all(self, pace: Pace, padding: usize, until: Until) -> Seen {
        let (mut seen, begun) = (self.seen, Instant::now());
        let number = u32::try_from(self.connected.len()).unwrap_or(u32::MAX);
        let mut tasks = Vec::new();
        for (place, client) in (0..number).zip(self.connected) {
            let (until, aim) = (until.clone(), self.aim.clone());
            let stop = move || until.reached(begun);
            tasks.push(tokio::task::spawn_local(async move {
                match (pace, client) {
                    (Pace::Connect, _) => connecting(&aim, padding, &stop).await,
                    (Pace::Closed, Some(client)) => closed(client, padding, &stop).await,
                    (Pace::PerSecond(rate), Some(client)) => {
                        let interval = Duration::from_secs(1) * number / rate;
                        let first = begun + interval * place / number;
                        paced(client, padding, &stop, interval, first).await
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

async fn call(client: &mut Client, raw: &[u8]) -> Result<(), String> {
    match client.connection().exchange(raw).await {
        Ok((head, body)) if head.status == 200 && !contains(&body, b"\"error\"") => Ok(()),
        Ok((head, body)) => Err(format!(
            "{} {}",
            head.status,
            String::from_utf8_lossy(&body)
        )),
        Err(error) => Err(error.to_string()),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

async fn closed(mut client: Client, padding: usize, stop: &impl Fn() -> bool) -> Seen {
    let (raw, mut seen) = (client.raw_call("echo", padding), Seen::default());
    while !stop() && seen.failed == 0 {
        let begun = Instant::now();
        seen.count(begun, call(&mut client, &raw).await);
    }
    seen
}

async fn paced(
    mut client: Client,
    padding: usize,
    stop: &impl Fn() -> bool,
    interval: Duration,
    mut next: Instant,
) -> Seen {
    let (raw, mut seen) = (client.raw_call("echo", padding), Seen::default());
    while !stop() && seen.failed == 0 {
        tokio::time::sleep_until(next.into()).await;
        next += interval;
        // The timer's granularity of a millisecond is not the server's doing.
        let begun = Instant::now();
        seen.count(begun, call(&mut client, &raw).await);
    }
    seen
}

async fn connecting(aim: &Aim, padding: usize, stop: &impl Fn() -> bool) -> Seen {
    let mut seen = Seen::default();
    while !stop() {
        let begun = Instant::now();
        let outcome = match aim.client().await {
            Ok(mut client) => {
                let raw = client.raw_call("echo", padding);
                call(&mut client, &raw).await
            }
            Err(error) => Err(format!("connect: {error}")),
        };
        seen.count(begun, outcome);
    }
    seen
}
