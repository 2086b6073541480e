//! Answers that do not end: the gate reads no more of them than it may pass on, and holds no more than it may.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::faulty::{Fault, Faulty};
use toolgate_tests::gate::Setup;
use toolgate_tests::wait;

use crate::stage::{address, call};

/// What is on its way between two sockets at most, and then some.
const ON_ITS_WAY: usize = 24 << 20;

#[tokio::test]
async fn an_answer_beyond_max_result_is_not_read_to_its_end() {
    let behind = Http::start(Speaks::Both).await;
    let faulty = Faulty::before(address(&behind)).await;
    let lines = format!("endpoints = \"http://{}/mcp\"\nmax_result = \"2KiB\"", faulty.address);
    let gate = Setup::default().server("bad", &lines).http("other", &behind.url).start().await;
    for (path, tool) in [("/mcp/bad", "echo"), ("/mcp", "bad__echo")] {
        for announced in [true, false] {
            let client = Caller::modern(&gate, path);
            wait::until("a call", async || {
                client.call("1", tool, json!({})).await.answer().await.get("result").cloned()
            })
            .await;
            let before = faulty.poured();
            faulty.set(Fault::Endless { announced });
            let answer = client.call("7", tool, json!({})).await.answer().await;
            assert_eq!((&answer["id"], &answer["result"]["isError"]), (&json!(7), &json!(true)), "{answer}");
            assert!(answer["result"].to_string().contains("passes on 2048 at most"), "{answer}");
            faulty.set(Fault::None);
            assert!(faulty.poured() - before < ON_ITS_WAY, "{path}: {} bytes", faulty.poured() - before);
        }
    }
}

#[tokio::test]
async fn long_answers_have_no_more_memory_than_there_is_for_all_of_them() {
    let behind = Http::start(Speaks::Both).await;
    let faulty = Faulty::before(address(&behind)).await;
    let lines = format!("endpoints = \"http://{}/mcp\"\ntool.echo.cache.ttl = \"1s\"", faulty.address);
    let setup = Setup::default().server("bad", &lines).daemon("max_answer_memory = \"2MiB\"");
    let gate = setup.start().await;
    let client = Caller::modern(&gate, "/mcp/bad");
    assert!(call(&client).await.get("result").is_some(), "{}", gate.log());
    for _ in 0..2 {
        faulty.set(Fault::Endless { announced: false });
        let before = faulty.poured();
        let answer = client.call("7", "echo", json!({"other": before})).await.answer().await;
        assert_eq!(answer["error"]["data"]["reason"], "overloaded", "{answer}");
        assert!(faulty.poured() - before < ON_ITS_WAY, "{} bytes", faulty.poured() - before);
        faulty.set(Fault::None);
        // What it held is there again.
        let long = client.call("8", "long", json!({"bytes": 1 << 20})).await.answer().await;
        assert!(long.get("result").is_some());
    }
}
