//! A gate before a server that keeps what it was shown.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::Received;
use toolgate_tests::gate::Gate;
use toolgate_tests::http::request;
use toolgate_tests::mcp::Era;

/// Both eras: a legacy client's conversation passes as it is, and so does a modern one's.
pub(crate) const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

/// A client with this key, with a session where its era has them.
pub(crate) async fn client(gate: &Gate, path: &str, era: Era, key: &str) -> Caller {
    let caller = Caller::new(gate, path, era).with("Authorization", &format!("Bearer {}", gate.key_of(key)));
    if era == Era::Legacy { caller.opened().await } else { caller }
}

/// The answer to a call of `echo`.
pub(crate) async fn echo(client: &Caller, tool: &str) -> Value {
    client.call("7", tool, json!({"text": "x"})).await.answer().await
}

/// What a server was shown with the messages of this method, in order.
pub(crate) fn shown(server: &Http, method: &str, header: &str) -> Vec<String> {
    server.record.of(method).iter().map(|received| value(received, header)).collect()
}

pub(crate) fn value(received: &Received, header: &str) -> String {
    received.headers[header].as_str().unwrap_or_default().to_owned()
}

/// What `/health` says of a server.
pub(crate) async fn health(gate: &Gate, server: &str) -> Value {
    let mut connection = gate.target().connect().await.expect("a connection");
    let (_, body) = connection.exchange(&request("GET", "/health", "localhost", &[], b"")).await.expect("an answer");
    serde_json::from_slice::<Value>(&body).expect("JSON")["checks"][format!("server:{server}")].clone()
}
