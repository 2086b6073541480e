//! Host and Origin hold on every listener, whatever it serves.

use toolgate_tests::gate::{Gate, free_port};
use toolgate_tests::http::{Target, request};

use crate::door::setup;

/// The status of a request with these names.
async fn status(target: &Target, method: &str, path: &str, host: &str, origin: Option<&str>) -> u16 {
    let mut headers = vec![("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
    headers.extend(origin.map(|origin| ("Origin", origin)));
    let body: &[u8] = if method == "POST" { br#"{"method":"get_health_status"}"# } else { b"" };
    let raw = request(method, path, host, &headers, body);
    let (head, _) = target.connect().await.expect("a connection").exchange(&raw).await.expect("an answer");
    head.status
}

/// A listener for operators, one for the same under a name, and one that sends browsers on.
async fn gate() -> (toolgate_tests::fake::http::Http, Gate, [u16; 3]) {
    let (web, setup) = setup().await;
    let ports = [free_port(), free_port(), free_port()];
    let served = "serve = [\"health\", \"ready\", \"metrics\", \"status\"]";
    let [internal, named, plain] = ports;
    let tables = format!(
        "[listener.internal]\naddress = \"127.0.0.1:{internal}\"\n{served}\n\
         [listener.named]\naddress = \"127.0.0.1:{named}\"\n{served}\nhosts = [\"ops.example\"]\n\
         [listener.plain]\naddress = \"127.0.0.1:{plain}\"\nserve = []\nredirect_to_https = 443\nhosts = [\"ops.example\"]\n"
    );
    (web, setup.table(&tables).start().await, ports)
}

const PATHS: [(&str, &str); 4] = [("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics"), ("POST", "/mcp")];

#[tokio::test]
async fn health_metrics_and_status_answer_to_their_own_names_only() {
    let (_web, _gate, [internal, named, _]) = gate().await;
    for (port, own, origin) in
        [(internal, "localhost", "http://127.0.0.1"), (named, "ops.example", "https://ops.example")]
    {
        let target = Target::plain(port);
        for (method, path) in PATHS {
            let ask = async |host: &str, origin: Option<&str>| status(&target, method, path, host, origin).await;
            assert_eq!(ask(own, None).await, 200, "{path}");
            assert_eq!(ask(own, Some(origin)).await, 200, "{path}");
            for foreign in ["rebound.example", "ops.example.evil", "192.0.2.1"] {
                assert_eq!(ask(foreign, None).await, 421, "{path} {foreign}");
            }
            for foreign in ["https://rebound.example", "null", "http://ops.example.evil"] {
                assert_eq!(ask(own, Some(foreign)).await, 403, "{path} {foreign}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_is_sent_on_to_a_name_that_is_not_the_listeners() {
    let (_web, _gate, [.., plain]) = gate().await;
    let target = Target::plain(plain);
    assert_eq!(status(&target, "GET", "/mcp", "ops.example", None).await, 301);
    assert_eq!(status(&target, "GET", "/mcp", "evil.example", None).await, 421);
}
