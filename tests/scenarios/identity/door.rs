//! What the scenarios share in which a connection or an address says who calls.

use serde_json::{Value, json};
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::http::Target;
use toolgate_tests::mcp::Era;

pub(crate) const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

/// One server, `web`, and a gate before it that is not started yet.
pub(crate) async fn setup() -> (Http, Setup) {
    let web = Http::start(Speaks::Both).await;
    let setup = Setup::default().server("web", &web.endpoints());
    (web, setup)
}

/// A client without any credential but what the target shows.
pub(crate) fn client(gate: &Gate, target: Target, era: Era) -> Caller {
    Caller::new(gate, "/mcp/web", era).through(target)
}

/// What a client says first in its era, so that it is its identity that decides.
pub(crate) async fn first(client: &Caller, era: Era) -> Reply {
    match era {
        Era::Legacy => client.initialize().await,
        Era::Modern => client.call("0", "echo", json!({})).await,
    }
}

/// A refusal: status, code and reason; the request is answered under its own id.
pub(crate) async fn refused(reply: Reply, status: u16, reason: &str) -> Value {
    let head = reply.head.clone();
    let answer = reply.answer().await;
    assert_eq!(head.status, status, "{answer}");
    let code = -31_000 - i64::from(status);
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["data"]["reason"]),
        (&json!(code), &json!(reason)),
        "{answer}"
    );
    assert_eq!(answer["id"], 0, "{answer}");
    let challenge = head.header("www-authenticate");
    assert_eq!(challenge.is_some(), status == 401, "{challenge:?}");
    answer
}

/// An answer of the server.
pub(crate) async fn answered(reply: Reply) -> Value {
    let status = reply.head.status;
    let answer = reply.answer().await;
    assert!(status == 200 && answer.get("result").is_some(), "{status} {answer}");
    answer
}

/// The clients that the gate knows, by their ids.
pub(crate) async fn known(gate: &Gate) -> Vec<String> {
    let (status, clients) = gate.control("GET", "/v1/clients").await;
    assert_eq!(status, 200, "{clients}");
    let rows = clients["clients"].as_array().expect("rows");
    rows.iter().filter_map(|row| row["id"].as_str()).map(ToOwned::to_owned).collect()
}
