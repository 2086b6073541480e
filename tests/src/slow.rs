//! Clients that keep the gate waiting, and a well-behaved one beside them that measures what it notices.
//!
//! The binary `slow` runs thousands of them, a scenario runs a few hundred. Each sends one byte at a time and never
//! finishes; when it is closed, and with which status, is what counts.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::gate::{Gate, Setup};
use crate::http::{Connection, request};
use crate::load::{Calls, Clients, Pace, Seen, Until};
use crate::mcp::Era;
use crate::processes::memory as memory_of;
use crate::standin;

/// What a client never finishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its headers.
    Head,
    /// Its body.
    Body,
}

/// How one slow client ended.
#[derive(Debug, Clone, Copy)]
pub struct Waited {
    /// What it was slow with.
    pub part: Part,
    /// From the byte at which its time began to the answer.
    pub after: Duration,
    /// The answer's status; none where the connection was closed without one.
    pub status: Option<u16>,
}

/// How many clients, and how long they are let wait.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Half of them are slow with their heads, half with their bodies.
    pub clients: usize,
    /// `head_timeout` and `body_timeout`.
    pub deadline: Duration,
    /// How long the well-behaved client measures without slow ones.
    pub alone: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Every slow client.
    pub waited: Vec<Waited>,
    /// Clients that could not connect.
    pub refused: usize,
    /// How many were open when the well-behaved client began to measure.
    pub together: usize,
    /// The well-behaved client without slow ones.
    pub alone: Seen,
    /// The well-behaved client among them.
    pub among: Seen,
    /// What the slow ones cost the daemon, in kB.
    pub memory: u64,
}

impl Outcome {
    /// The shortest and the longest wait, as parts of the deadline.
    #[must_use]
    pub fn span(&self, deadline: Duration) -> (f64, f64) {
        let parts = self.waited.iter().map(|waited| waited.after.as_secs_f64() / deadline.as_secs_f64());
        parts.fold((f64::MAX, 0.0), |(least, most), part| (least.min(part), most.max(part)))
    }
}

/// Connections that are being opened at once.
const OPENING: usize = 32;

/// A gate that waits this long for slow clients, before a server that answers at once.
///
/// # Panics
/// When it does not start.
pub async fn gate(deadline: Duration) -> Gate {
    let url = standin().await;
    let ms = deadline.as_millis();
    Setup::default()
        .http("standin", &url)
        .listener(&format!(
            "bounds = {{ head_timeout = \"{ms}ms\", body_timeout = \"{ms}ms\", connections_per_address = 20000 }}"
        ))
        .start()
        .await
}

/// The URL of a server that answers at once, in a thread of its own.
///
/// # Panics
/// When it does not start.
pub async fn standin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("its address"));
    thread::spawn(move || {
        let listener = listener.into_std().expect("a socket");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { standin::serve(TcpListener::from_std(listener).expect("a socket")).await.ok() });
    });
    url
}

/// Runs the plan at a gate that waits `plan.deadline`.
///
/// The well-behaved client measures while all slow ones are open: what their handshakes cost is another matter.
///
/// # Panics
/// When the well-behaved client cannot be started.
pub async fn run(gate: &Gate, plan: Plan) -> Outcome {
    let alone = measure(gate, plan.alone).await;
    let (before, _) = memory_of(gate.pid());
    let (begun, open) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let clients = start(gate, plan, &open);
    while open.load(Ordering::Relaxed) < plan.clients && begun.elapsed() < plan.deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let together = open.load(Ordering::Relaxed);
    let among = measure(gate, plan.deadline.saturating_sub(begun.elapsed())).await;
    let memory = memory_of(gate.pid()).0.saturating_sub(before);
    let ended = clients.join_all().await;
    let all = ended.len();
    let waited: Vec<_> = ended.into_iter().flatten().collect();
    Outcome { refused: all - waited.len(), waited, together, alone, among, memory }
}

fn start(gate: &Gate, plan: Plan, open: &Arc<AtomicUsize>) -> JoinSet<io::Result<Waited>> {
    let opening = Arc::new(Semaphore::new(OPENING));
    let mut clients = JoinSet::new();
    for number in 0..plan.clients {
        let part = if number % 2 == 0 { Part::Head } else { Part::Body };
        let (target, key) = (gate.target().clone(), format!("Bearer {}", gate.key()));
        let (opening, open) = (Arc::clone(&opening), Arc::clone(open));
        clients.spawn(async move {
            let turn = opening.acquire_owned().await.map_err(io::Error::other)?;
            let connection = target.connect().await?;
            drop(turn);
            open.fetch_add(1, Ordering::Relaxed);
            let waited = keep_waiting(connection, &target.host, &key, part, plan.deadline).await;
            open.fetch_sub(1, Ordering::Relaxed);
            waited
        });
    }
    clients
}

/// What well-behaved clients of the server `standin` see, in a thread of their own, so that the work of others is not
/// taken for the gate's.
///
/// # Panics
/// When they cannot be started.
pub async fn measure(gate: &Gate, time: Duration) -> Seen {
    let aim = gate.aim("/mcp/standin", Era::Modern);
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let calls = Calls { aim, tool: "echo".to_owned(), padding: 100 };
            Clients::connect(calls, 2, Pace::PerSecond(200)).await.call(Until::Elapsed(time)).await
        })
    };
    tokio::task::spawn_blocking(work).await.expect("the well-behaved client")
}

async fn keep_waiting(
    mut connection: Connection,
    host: &str,
    key: &str,
    part: Part,
    deadline: Duration,
) -> io::Result<Waited> {
    let headers = [
        ("Authorization", key),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("X-Slow", ""),
    ];
    let mut begun = request("POST", "/mcp/standin", host, &headers, &[b' '; 1000]);
    let head = begun.len() - 1000;
    begun.truncate(if part == Part::Head { head - 4 } else { head + 1 });
    connection.send(&begun).await?;
    let since = Instant::now();
    let pause = deadline / 8;
    let mut patience = 3 * 8;
    let status = loop {
        match timeout(pause, connection.head()).await {
            Ok(Ok(head)) => break Some(head.status),
            Ok(Err(_)) => break None,
            Err(_) if patience == 0 => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => patience -= 1,
        }
        // What was closed meanwhile says so at the next look.
        connection.send(b" ").await.ok();
    };
    Ok(Waited { part, after: since.elapsed(), status })
}
