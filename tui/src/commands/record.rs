//! `toolgate record`: a watch of everything and the calls that end, written into a file line by line.

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use tokio::time::sleep;
use toolgate_admin_api::{Exit, TailLine};

use super::Context;
use super::interrupt::Interrupt;
use crate::args::Record;
use crate::client::admin::{AdminClient, LineStream};
use crate::failure::Failure;
use crate::output;

/// Everything, as often as the console asks.
const ROUTE: &str =
    "/v1/watch?topics=overview,servers,sessions,tools,limits,clients,health,calls,queues,config&interval=1000";

/// Calls as they end, as many as the daemon tells.
const TAIL: &str = "/v1/requests/tail?rate=100";

/// Records until the time is up, the daemon ends, or somebody says so.
pub(super) async fn run(context: &Context, record: &Record) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen()?;
    let stream = AdminClient::view(&context.runtime_dir).await?.follow(ROUTE).await?;
    let name = record.file.display();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&record.file);
    let file = file.map_err(|error| Failure::local(format!("{name} cannot be made"), error))?;
    let calls = AdminClient::view(&context.runtime_dir).await?.follow(TAIL).await;
    let tape = Tape { file: RefCell::new(BufWriter::new(file)), lines: Cell::new(0) };
    let time_is_up = async {
        match record.seconds {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = tape.fill(stream) => ended,
        // Where too many follow the calls already, or they end before it, the watch is recorded all the same.
        failed = tape.fill_calls(calls) => Err(failed),
        () = time_is_up => Ok(()),
        _ = interrupt.came() => Ok(()),
    };
    let written =
        tape.file.borrow_mut().flush().map_err(|error| Failure::local(format!("{name} cannot be written"), error));
    output::line(&format!("{} lines are in {name}; `toolgate replay` shows them.", tape.lines.get()));
    ended.and(written).map(|()| Exit::Done)
}

struct Tape {
    file: RefCell<BufWriter<File>>,
    lines: Cell<u64>,
}

impl Tape {
    /// Until the daemon has no more.
    async fn fill(&self, mut stream: LineStream) -> Result<(), Failure> {
        while let Some(line) = stream.next().await? {
            self.put(&line)?;
        }
        Ok(())
    }

    /// Writes calls for as long as there are any; ends only where nothing can be written.
    async fn fill_calls(&self, calls: Result<LineStream, Failure>) -> Failure {
        if let Ok(mut calls) = calls {
            while let Ok(Some(line)) = calls.next().await {
                // That nothing happens, and what was left out, the watch tells in the same words.
                let is_call = matches!(serde_json::from_slice(&line), Ok(TailLine::Request(_)));
                if is_call && let Err(failure) = self.put(&line) {
                    return failure;
                }
            }
        }
        std::future::pending().await
    }

    fn put(&self, line: &[u8]) -> Result<(), Failure> {
        let mut file = self.file.borrow_mut();
        let written = file.write_all(line).and_then(|()| file.write_all(b"\n"));
        written.map_err(|error| Failure::local("The recording cannot be written", error))?;
        self.lines.set(self.lines.get() + 1);
        Ok(())
    }
}
