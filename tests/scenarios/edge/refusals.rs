//! The HTTP status of a refusal, where the operator decides on it.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::Setup;

#[tokio::test]
async fn the_listener_decides_on_the_status_of_refusals() {
    let web = Http::start(Speaks::Both).await;
    for (configured, legacy, modern) in [("auto", 200, 503), ("200", 200, 200), ("429", 429, 429), ("503", 503, 503)] {
        let gate = Setup::default()
            .server("web", &web.endpoints())
            .listener(&format!("refusal_status = \"{configured}\""))
            .limit("{ per = \"client\", rate = \"1/h\", burst = 1 }")
            .start()
            .await;
        let old = Caller::legacy(&gate, "/mcp/web").await;
        let new = Caller::modern(&gate, "/mcp/web");
        assert_eq!(new.call("1", "echo", json!({})).await.head.status, 200, "{configured}");
        for (client, status) in [(&old, legacy), (&new, modern)] {
            let reply = client.call("2", "echo", json!({})).await;
            assert_eq!(reply.head.status, status, "{configured}");
            assert!(reply.head.header("retry-after").is_some(), "{configured}");
            let answer = reply.answer().await;
            assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(2), &json!(-31429)), "{configured}");
            // What is no refusal keeps its status.
            let other = client.clone().with("Accept", "text/html").request("3", "tools/list", json!({})).await;
            assert_eq!(other.head.status, 406, "{configured}");
        }
    }
}
