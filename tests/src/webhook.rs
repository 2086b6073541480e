//! A webhook that remembers what it was sent, and that can be away.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::door::Door;
use crate::fake::http::{plain, read_request};

#[derive(Debug, Default)]
struct Seen {
    /// What was taken, in order.
    taken: Vec<Value>,
    /// How often something was refused.
    refused: usize,
    /// The status of answers; 0: 200.
    status: u16,
    /// `Authorization` of the last request.
    authorization: Option<String>,
}

/// A running webhook.
pub struct Webhook {
    /// Where it is.
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    door: Door,
}

impl Webhook {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let met = Arc::clone(&seen);
        let door = Door::open(move |socket| connection(socket, Arc::clone(&met))).await;
        Self { address: door.address, seen, door }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/alerts?token=secret", self.address)
    }

    /// Takes everything with this status from now on; only 200 remembers it.
    pub fn answer(&self, status: u16) {
        self.with(|seen| seen.status = status);
    }

    /// Nobody listens any more.
    pub fn leave(&mut self) {
        self.door.leave();
    }

    /// It is there again, at the same address.
    ///
    /// # Panics
    /// When somebody else has its port by now.
    pub fn come_back(&mut self) {
        self.door.come_back();
    }

    /// What it took, in order.
    #[must_use]
    pub fn taken(&self) -> Vec<Value> {
        self.with(|seen| seen.taken.clone())
    }

    /// How often it refused something.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.with(|seen| seen.refused)
    }

    /// `Authorization` of the last request.
    #[must_use]
    pub fn authorization(&self) -> Option<String> {
        self.with(|seen| seen.authorization.clone())
    }

    fn with<T>(&self, read: impl FnOnce(&mut Seen) -> T) -> T {
        read(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn connection(mut socket: TcpStream, seen: Arc<Mutex<Seen>>) -> std::io::Result<()> {
    let mut held = Vec::new();
    while let Some(request) = read_request(&mut socket, &mut held).await? {
        let status = {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.authorization = request.headers["authorization"].as_str().map(str::to_owned);
            if seen.status == 0 || seen.status == 200 {
                seen.taken.push(serde_json::from_str(&request.body).unwrap_or(Value::Null));
                200
            } else {
                seen.refused += 1;
                seen.status
            }
        };
        socket.write_all(&plain(status, "", "{}")).await?;
    }
    Ok(())
}
