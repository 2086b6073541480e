//! How many sessions a client may have, and what servers hear of their end.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait::until;

use crate::stage::Stage;

#[tokio::test]
async fn a_client_that_leaks_sessions_is_told_and_others_are_not_kept_out() {
    let stage = Stage::with(|setup| setup.daemon("max_sessions_per_client = 2"), "").await;
    for path in ["/mcp/web", "/mcp/pair"] {
        let mut open = Vec::new();
        while open.len() < 2 {
            let reply = Caller::new(&stage.gate, path, Era::Legacy).initialize().await;
            if reply.head.status != 200 {
                break;
            }
            open.push(reply.head.header("mcp-session-id").expect("a session").to_owned());
        }
        let refused = Caller::new(&stage.gate, path, Era::Legacy).initialize().await;
        assert_eq!(refused.head.status, 503, "{path}");
        assert!(refused.head.header("retry-after").is_some(), "{path}");
        let answer = refused.answer().await;
        assert_eq!(answer["error"]["data"]["reason"], "no-room", "{path}");
        let told = answer["error"]["message"].as_str().expect("a message");
        assert!(told.contains("2 open sessions") && told.contains("DELETE"), "{path}: {told}");
        let other = stage.other(Caller::new(&stage.gate, path, Era::Legacy)).opened().await;
        assert_eq!(other.end().await, 200, "{path}");
        for session in open {
            let mut client = Caller::new(&stage.gate, path, Era::Legacy);
            client.session = Some(session);
            assert_eq!(client.end().await, 200, "{path}");
        }
        assert_eq!(Caller::legacy(&stage.gate, path).await.end().await, 200, "{path}: there is room again");
    }
    // The session that the server had opened before ours was refused is not left there.
    until("five sessions to be ended there", async || {
        let all = stage.web.record.all();
        (all.iter().filter(|received| received.message["http"] == "DELETE").count() == 5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_hears_of_sessions_that_idled_out_or_lost_their_server() {
    let mut stage = Stage::with(|setup| setup.daemon("session_timeout = \"1s\""), "").await;
    let idle = stage.legacy("/mcp/web").await;
    let ended = stage.web.record.until("DELETE", |received| received.message["http"] == "DELETE").await;
    assert_eq!(idle.request("1", "ping", json!({})).await.head.status, 404);
    let busy = stage.legacy("/mcp/web").await;
    let _stream = busy.stream().await;
    let lines = format!("{}timeout = {{ connect = \"9s\" }}\n", stage.web.endpoints());
    stage.gate.change(|setup| setup.server("web", &lines));
    stage.gate.reload().await;
    stage
        .web
        .record
        .until("another DELETE", |received| received.message["http"] == "DELETE" && received.who != ended.who)
        .await;
}
