//! A gate with two more listeners: one that operators look at, and one for everybody.

use std::process::Command;

use serde_json::Value;
use toolgate_tests::gate::{Gate, Setup, free_port, program};
use toolgate_tests::http::{Target, request};
use toolgate_tests::wait;

pub(crate) struct Stage {
    pub(crate) gate: Gate,
    internal: u16,
    outside: u16,
}

impl Stage {
    pub(crate) async fn start(setup: Setup) -> Self {
        let (internal, outside) = (free_port(), free_port());
        let setup = setup
            .table(&format!(
                "[listener.internal]\naddress = \"127.0.0.1:{internal}\"\nserve = [\"health\", \"ready\", \"status\"]\n"
            ))
            .table(&format!(
                "[listener.outside]\naddress = \"127.0.0.1:{outside}\"\nserve = [\"health\", \"ready\"]\n"
            ));
        let stage = Self { gate: setup.start().await, internal, outside };
        // The other listeners and the thread that watches begin a moment later than the first listener.
        wait::until("the process to be read", async || {
            stage.health().await["system"]["descriptors"].as_u64().filter(|open| *open > 0).map(drop)
        })
        .await;
        wait::until("the sockets", async || {
            stage.gate.runtime_dir().join("control/control.sock").exists().then_some(())
        })
        .await;
        stage
    }

    /// A page of the listener that operators look at.
    pub(crate) async fn page(&self, path: &str) -> (u16, Value) {
        asked(self.internal, "GET", path, b"").await
    }

    /// A page of the listener for everybody.
    pub(crate) async fn public(&self, path: &str) -> (u16, Value) {
        asked(self.outside, "GET", path, b"").await
    }

    /// What an agent that watches is answered.
    pub(crate) async fn inquire(&self, body: &str) -> (u16, Value) {
        asked(self.internal, "POST", "/mcp", body.as_bytes()).await
    }

    pub(crate) async fn health(&self) -> Value {
        self.page("/health").await.1
    }

    /// Waits until a check has this status, and says what health was then.
    pub(crate) async fn until(&self, check: &str, status: &str) -> Value {
        wait::until(&format!("{check} to be {status}"), async || {
            let health = self.health().await;
            (health["checks"][check]["status"] == status).then_some(health)
        })
        .await
    }

    /// Waits until an alert fires, and gives it.
    pub(crate) async fn alert(&self, id: &str) -> Value {
        wait::until(&format!("the alert {id}"), async || {
            let alerts = self.alerts().await;
            alerts.into_iter().find(|alert| alert["id"] == id && alert.get("recovered_ms").is_none())
        })
        .await
    }

    pub(crate) async fn alerts(&self) -> Vec<Value> {
        let (_, health) = self.gate.control("GET", "/v1/health").await;
        health["alerts"].as_array().expect("a list").clone()
    }

    /// What `toolgate` says, and its exit status.
    pub(crate) fn toolgate(&self, words: &[&str]) -> (i32, String) {
        let output = Command::new(program("toolgate"))
            .arg("--socket-dir")
            .arg(self.gate.runtime_dir())
            .args(words)
            .output()
            .expect("toolgate");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().expect("no signal"), text(&output.stdout) + &text(&output.stderr))
    }
}

/// One exchange on a connection of its own; status 0 where nobody listens.
async fn asked(port: u16, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    let Ok(mut connection) = Target::plain(port).connect().await else { return (0, Value::Null) };
    let raw = request(method, path, &format!("localhost:{port}"), &[], body);
    let Ok((head, body)) = connection.exchange(&raw).await else { return (0, Value::Null) };
    (head.status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}
