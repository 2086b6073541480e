//! `toolgate record`: a watch of everything, written into a file line by line.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use tokio::time::sleep;
use toolgate_admin_api::Exit;

use super::Context;
use super::interrupt::Interrupt;
use crate::args::Record;
use crate::client::admin::{AdminClient, LineStream};
use crate::failure::Failure;
use crate::output;

/// Everything, as often as the console asks.
const ROUTE: &str =
    "/v1/watch?topics=overview,servers,sessions,tools,limits,clients,health,calls,queues,config&interval=1000";

/// Records until the time is up, the daemon ends, or somebody says so.
pub(super) async fn run(context: &Context, record: &Record) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen()?;
    let stream = AdminClient::view(&context.runtime_dir).await?.follow(ROUTE).await?;
    let name = record.file.display();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&record.file);
    let file = file.map_err(|error| Failure::local(format!("{name} cannot be made"), error))?;
    let mut tape = Tape { file: BufWriter::new(file), lines: 0 };
    let time_is_up = async {
        match record.seconds {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = tape.fill(stream) => ended,
        () = time_is_up => Ok(()),
        _ = interrupt.came() => Ok(()),
    };
    let written = tape.file.flush().map_err(|error| Failure::local(format!("{name} cannot be written"), error));
    output::line(&format!("{} lines are in {name}; `toolgate replay` shows them.", tape.lines));
    ended.and(written).map(|()| Exit::Done)
}

struct Tape {
    file: BufWriter<File>,
    lines: u64,
}

impl Tape {
    /// Until the daemon has no more.
    async fn fill(&mut self, mut stream: LineStream) -> Result<(), Failure> {
        while let Some(line) = stream.next().await? {
            let written = self.file.write_all(&line).and_then(|()| self.file.write_all(b"\n"));
            written.map_err(|error| Failure::local("The recording cannot be written", error))?;
            self.lines += 1;
        }
        Ok(())
    }
}
