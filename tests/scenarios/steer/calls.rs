//! A call that is ended by its id: its client reads so, its server may stop, and its life is told.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::wait;

use crate::stage::{PATHS, change, held, newest, start, toolgate, until_running};

#[tokio::test]
async fn a_call_ends_by_its_id_and_others_go_on() {
    let (_three, gate) = start().await;
    for path in PATHS {
        let clients = [Caller::legacy(&gate, path).await, Caller::modern(&gate, path)];
        for client in &clients {
            let (ended, other) = (held(client, path), held(&clients[1], path));
            until_running(&gate, 2).await;
            let calls = wait::until("both calls in the table", || async {
                let (_, calls) = gate.control("GET", "/v1/calls").await;
                (calls["total"] == 2).then(|| calls["calls"].clone())
            })
            .await;
            // The one that came first may be either: the client that is meant tells itself by what it reads.
            let mut ids: Vec<_> = calls
                .as_array()
                .expect("a list")
                .iter()
                .map(|call| call["id"].as_str().expect("an id").to_owned())
                .collect();
            let id = ids.remove(0);
            let outcome = change(&gate, "POST", &format!("/v1/calls/{id}/cancel"), json!({"dry_run": true})).await;
            assert_eq!((&outcome["applied"], &outcome["id"]), (&json!(false), &json!(id)), "{path}: {outcome}");
            let (code, said) = toolgate(&gate, &["calls", "cancel", &id, "--reason", "it hangs"]).await;
            assert!(code == 0 && said.contains("has ended"), "{said}");
            until_running(&gate, 1).await;
            let record = newest(&gate).await;
            assert_eq!((&record["action"], &record["target"]), (&json!("call.cancel"), &json!(id)), "{record}");
            change(&gate, "POST", &format!("/v1/calls/{}/cancel", ids[0]), json!({})).await;
            for call in [ended, other] {
                let answer = call.await.expect("no panic");
                assert_eq!(answer["error"]["data"]["reason"], "stopped", "{path}: {answer}");
                assert_eq!(answer["id"], 7, "{path}: {answer}");
            }
            let (code, said) = wait::until("the life of the call", || async {
                Some(toolgate(&gate, &["why", &id]).await).filter(|(_, said)| said.contains("has ended"))
            })
            .await;
            assert!(code == 0 && said.contains("stopped") && said.contains("tools/call"), "{path}: {said}");
            let (status, _) = gate.control_with("POST", &format!("/v1/calls/{id}/cancel"), &json!({})).await;
            assert_eq!(status, 404);
        }
    }
}
