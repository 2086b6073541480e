//! Calls that are made once more: only where nothing was sent, or where server and operator say that it does no harm.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::record::Offer;
use toolgate_tests::faulty::Fault;

use crate::stage::{Two, call};

const CALLS: usize = 40;

/// How many of some calls were answered.
async fn answered(client: &Caller, tool: &str) -> usize {
    let mut answered = 0;
    for _ in 0..CALLS {
        let text = client.call("1", tool, json!({})).await.text().await;
        answered += usize::from(text.contains(r#""result""#));
    }
    answered
}

#[tokio::test]
async fn what_could_not_be_sent_goes_to_another_endpoint() {
    let two = Two::start(Speaks::Both, [1, 1], "retry.budget = \"100%\"").await;
    let client = Caller::modern(&two.gate, "/mcp/two");
    assert!(call(&client).await.get("result").is_some());
    two.faulty[0].set(Fault::Gone);
    assert_eq!(answered(&client, "echo").await, CALLS);
}

#[tokio::test]
async fn what_was_sent_is_repeated_where_both_say_so_and_never_else() {
    let lines = "retry = { budget = \"100%\", idempotent = [\"get_*\"] }";
    let two = Two::start(Speaks::Both, [1, 1], lines).await;
    let client = Caller::modern(&two.gate, "/mcp/two");
    let offer =
        |annotations| Offer { names: ["get_it", "do_it"].map(str::to_owned).to_vec(), annotations, ..Offer::default() };
    for behind in &two.behind {
        behind.record.offer(&offer(json!({"readOnlyHint": true})));
    }
    assert!(call(&client).await.get("result").is_some());
    two.faulty[0].set(Fault::Resets);
    assert_eq!(answered(&client, "get_it").await, CALLS);
    let others = answered(&client, "do_it").await;
    assert!((1..CALLS).contains(&others), "{others} calls that only the server vouches for were answered");

    // A server that vouches for nothing.
    let two = Two::start(Speaks::Both, [1, 1], lines).await;
    let client = Caller::modern(&two.gate, "/mcp/two");
    for behind in &two.behind {
        behind.record.offer(&offer(json!({"idempotentHint": false})));
    }
    assert!(call(&client).await.get("result").is_some());
    two.faulty[0].set(Fault::Resets);
    let others = answered(&client, "get_it").await;
    assert!((1..CALLS).contains(&others), "{others} calls that only the operator vouches for were answered");
}

#[tokio::test]
async fn further_tries_end_with_their_budget() {
    let two = Two::start(Speaks::Both, [1, 1], "retry = { attempts = 2, budget = \"0%\" }").await;
    let client = Caller::modern(&two.gate, "/mcp/two");
    assert!(call(&client).await.get("result").is_some());
    two.faulty[0].set(Fault::Gone);
    let mut missed = 0;
    for _ in 0..3 {
        missed += CALLS - answered(&client, "echo").await;
    }
    assert!(missed > 0, "ten tries are saved up, and no more are earned");
}
