//! Clients that call without a pause, whatever happens to the gate, and what became of each call.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use toolgate_tests::gate::Gate;
use toolgate_tests::load::Aim;
use toolgate_tests::mcp::{Client, Era};
use toolgate_tests::wait::PATIENCE;

/// Lengths of answers and of arguments, in turn: short ones, and such as take more than one read or write.
const PADS: [(usize, usize); 5] = [(0, 0), (300, 0), (0, 3000), (120_000, 0), (0, 90_000)];

/// What the workers see together.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Answered calls.
    pub calls: Cell<u64>,
    /// Calls that were in flight at a kill, and were lost.
    pub excused: Cell<u64>,
    /// What must not happen.
    pub failures: RefCell<Vec<String>>,
    /// Counts a kill when it begins, and once more when the gate is back.
    pub kills: Cell<u64>,
    pub stop: Cell<bool>,
}

/// One client.
pub(crate) struct Worker {
    aim: Aim,
    name: String,
    tool: &'static str,
    /// Nobody else calls its server's process or session.
    alone: bool,
    client: Client,
    /// The process that answers, and its count.
    seen: Option<(u64, u64)>,
    /// A call was lost since the last answer: the server may have counted it.
    lost: u64,
    number: u64,
    /// Kills when it began to connect: a connection that is older than the last one leads nowhere.
    connected: u64,
    pub answered: Rc<Cell<u64>>,
    board: Rc<Board>,
}

impl Worker {
    /// A client of this path.
    pub(crate) async fn start(gate: &Gate, path: &str, era: Era, alone: bool, name: &str, board: &Rc<Board>) -> Self {
        let aim = gate.aim(path, era);
        let client = aim.client().await.expect("a session");
        let tool = match (path, name.starts_with("web")) {
            ("/mcp", true) => "web__count",
            ("/mcp", false) => "counter__count",
            _ => "count",
        };
        let (name, board) = (name.to_owned(), Rc::clone(board));
        Self {
            aim,
            name,
            tool,
            alone,
            client,
            seen: None,
            lost: 0,
            number: 0,
            connected: 0,
            answered: Rc::default(),
            board,
        }
    }

    /// Calls until told to stop.
    pub(crate) async fn run(mut self) {
        while !self.board.stop.get() {
            self.turn().await;
        }
    }

    async fn turn(&mut self) {
        self.number += 1;
        let token = format!("{}-{}", self.name, self.number);
        let (pad, long) = PADS[usize::try_from(self.number).expect("a small number") % PADS.len()];
        let answer = self.client.call(self.tool, json!({"token": token, "pad": pad, "long": "y".repeat(long)})).await;
        let is_last = answer.as_ref().is_ok_and(|answer| answer.head.is_last());
        match self.judge(answer) {
            Ok(()) => {
                self.board.calls.set(self.board.calls.get() + 1);
                self.answered.set(self.answered.get() + 1);
                self.lost = 0;
            }
            Err(_) if self.board.kills.get() > self.connected => {
                self.board.excused.set(self.board.excused.get() + 1);
                self.lost += 1;
                return self.connect().await;
            }
            Err(problem) => {
                self.board.failures.borrow_mut().push(format!("{token}: {problem}"));
                self.lost += 1;
                return self.connect().await;
            }
        }
        if is_last {
            self.connect().await;
        }
    }

    /// The first connection may go to a process that is killed before it answers the handshake.
    async fn connect(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.connected = self.board.kills.get();
            match self.client.reconnect(&self.aim.target).await {
                Ok(()) => return,
                Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(problem) => {
                    self.board.failures.borrow_mut().push(format!("{} cannot connect: {problem}", self.name));
                    return self.board.stop.set(true);
                }
            }
        }
    }

    fn judge(&mut self, answer: io::Result<toolgate_tests::mcp::Answer>) -> Result<(), String> {
        let answer = answer.map_err(|problem| problem.to_string())?;
        if !answer.succeeded() {
            return Err(format!("{} {}", answer.head.status, answer.body));
        }
        let text = answer.body["result"]["content"][0]["text"].as_str().unwrap_or_default();
        let counted: Value = serde_json::from_str(text).map_err(|problem| format!("{problem}: {text}"))?;
        let (pid, count) = (counted["pid"].as_u64().unwrap_or(0), counted["count"].as_u64().unwrap_or(0));
        if let Some((known, before)) = self.seen {
            let expected = before + 1..=before + 1 + self.lost;
            let goes_on = if self.alone { expected.contains(&count) } else { count > before };
            if pid != known || !goes_on {
                return Err(format!("process {pid} counts {count} after process {known} counted {before}"));
            }
        }
        self.seen = Some((pid, count));
        Ok(())
    }
}
