//! The fake over stdin and stdout: what the binary `fake` runs. SIGUSR1 makes it say that its tools changed.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::record::Record;
use super::{Fake, Said, Speaks, lock};
use crate::gate::program;

/// Status of a process that was told to `exit`.
pub const EXIT_STATUS: i32 = 3;

/// A server that a gate can be configured with, and what reached it.
#[derive(Debug, Clone)]
pub struct Stdio {
    /// Of all its instances.
    pub record: Record,
    speaks: Speaks,
}

impl Stdio {
    /// A server that no gate knows yet.
    #[must_use]
    pub fn new(speaks: Speaks) -> Self {
        Self { record: Record::create(), speaks }
    }

    /// The line of its table that says how it is started.
    #[must_use]
    pub fn command(&self) -> String {
        let speaks = match self.speaks {
            Speaks::Legacy => "legacy",
            Speaks::Modern => "modern",
            Speaks::Touchy => "touchy",
            Speaks::Mute => "mute",
            Speaks::Both => "both",
        };
        let (program, record) = (program("fake"), self.record.path());
        format!("command = [\"{}\", \"{}\", {speaks:?}]\n", program.display(), record.display())
    }
}

/// Serves until stdin ends.
///
/// # Panics
/// When stdout is gone.
pub async fn serve(record: &Path, speaks: Speaks) {
    let record = Record::open(record);
    let fake = Arc::new(Fake::new(speaks, record.clone()));
    let who = std::process::id().to_string();
    let (out, mut said) = mpsc::unbounded_channel();
    lock(&fake.streams).push((None, out.clone()));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut stdout = tokio::io::stdout();
    let mut told = signal(SignalKind::user_defined1()).expect("a handler of signals");
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { break };
                record.write(&who, &json!({}), &line);
                let (fake, out) = (Arc::clone(&fake), out.clone());
                tokio::spawn(async move { fake.take(&line, &out).await });
            }
            _ = told.recv() => {
                for modern in [false, true] {
                    fake.announce(modern, "notifications/tools/list_changed", &Value::Null);
                }
            }
            Some(said) = said.recv() => {
                let bytes = match said {
                    Said::Message(text) | Said::Status(_, text) => text.into_bytes(),
                    Said::Raw(bytes) | Said::Body(_, bytes) => bytes,
                    Said::End => std::process::exit(EXIT_STATUS),
                };
                stdout.write_all(&[&bytes[..], b"\n"].concat()).await.expect("stdout");
                stdout.flush().await.expect("stdout");
            }
        }
    }
    record.write(&who, &json!({}), r#"{"closed":true}"#);
}
