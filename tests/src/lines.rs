//! Answers without an end of the admin sockets, line by line.

use std::io;
use std::path::Path;

use serde_json::Value;

use crate::http::{Connection, request};
use crate::wait;

/// A watch or a tail under way.
pub struct Lines {
    connection: Connection,
    held: Vec<u8>,
}

impl Lines {
    /// Follows a path on the view socket below `runtime_dir`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn follow(runtime_dir: &Path, path: &str) -> Self {
        let socket = runtime_dir.join("view/view.sock");
        let mut connection = wait::until("the view socket", async || Connection::unix(&socket).await.ok()).await;
        let head = connection.begin(&request("GET", path, "localhost", &[], b"")).await.expect("a head");
        assert_eq!(head.status, 200, "{path}");
        Self { connection, held: Vec::new() }
    }

    /// The next line as it came.
    pub async fn raw(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let rest = self.held.split_off(end + 1);
                return Ok(std::mem::replace(&mut self.held, rest));
            }
            let piece = self.connection.chunk().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.held.extend(piece);
        }
    }

    /// The next line.
    ///
    /// # Panics
    /// When there is none within [`wait::PATIENCE`].
    pub async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(wait::PATIENCE, self.raw()).await.expect("a line in time").expect("a line");
        serde_json::from_slice(&line).expect("a line of JSON")
    }

    /// The first line that says what is wanted.
    ///
    /// # Panics
    /// When none does in time.
    pub async fn until<T>(&mut self, what: &str, said: impl Fn(&Value) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = said(&self.next().await) {
                    return found;
                }
            }
        };
        tokio::time::timeout(wait::PATIENCE, found).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// The first answer about a topic that fits.
    pub async fn topic(&mut self, topic: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.until(topic, |line| (line["topic"] == topic && fits(&line["data"])).then(|| line["data"].clone())).await
    }
}
