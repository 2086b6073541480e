//! Ids of tasks wherever messages have them.

use std::cell::RefCell;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::envelope::scan;

/// A server's message for a client that knows the tasks `mine` and `new`.
fn told(message: &Value) -> (Turned, Vec<(Said, String)>) {
    let text = message.to_string();
    let asked = RefCell::new(Vec::new());
    let turned = outward(text.as_bytes(), &scan(text.as_bytes()).expect("a message"), &mut |said, id| {
        asked.borrow_mut().push((said, id.to_owned()));
        (said == Said::Made || id == "mine").then(|| format!("of-ann-{id}"))
    });
    (turned, asked.into_inner())
}

fn passes(message: &Value, wanted: &Value) {
    match told(message).0 {
        Turned::Same => assert_eq!(message, wanted),
        Turned::Into(text) => assert_eq!(serde_json::from_slice::<Value>(&text).expect("JSON"), *wanted),
        Turned::Nothing => panic!("{message} is lost"),
    }
}

fn result(result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "result": result})
}

fn notification(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

#[test]
fn a_task_that_was_made_gets_its_client_s_id() {
    let made = |id| result(&json!({"task": {"taskId": id, "status": "working"}}));
    passes(&made("new"), &made("of-ann-new"));
    let made = |id| result(&json!({"resultType": "task", "taskId": id, "ttlMs": null}));
    passes(&made("new"), &made("of-ann-new"));
    // Only the answer to the call says that the task is its client's.
    let known = |id| result(&json!({"resultType": "complete", "taskId": id, "status": "working"}));
    passes(&known("mine"), &known("of-ann-mine"));
    passes(&known("new"), &known("new"));
}

#[test]
fn of_a_list_a_client_sees_its_own() {
    let all = json!([{"taskId": "hers"}, {"taskId": "mine", "status": "working"}, {"status": "odd"}, 7]);
    let wanted = json!({"tasks": [{"taskId": "of-ann-mine", "status": "working"}], "nextCursor": "c"});
    passes(&result(&json!({"tasks": all, "nextCursor": "c"})), &result(&wanted));
    passes(&result(&json!({"tasks": [{"taskId": "hers"}]})), &result(&json!({"tasks": []})));
}

#[test]
fn what_belongs_to_a_task_says_so_by_the_client_s_id() {
    let meta = |id| json!({"_meta": {RELATED: {"taskId": id}}, "content": []});
    passes(&result(&meta("mine")), &result(&meta("of-ann-mine")));
    passes(
        &notification("notifications/progress", &meta("mine")),
        &notification("notifications/progress", &meta("of-ann-mine")),
    );
    let ask = |id| json!({"jsonrpc": "2.0", "id": 4, "method": "elicitation/create", "params": meta(id)});
    passes(&ask("mine"), &ask("of-ann-mine"));
    passes(&ask("its own"), &ask("its own"));
}

#[test]
fn how_a_task_is_hears_whoever_it_belongs_to() {
    for method in ["notifications/tasks/status", "notifications/tasks"] {
        let says = |id| notification(method, &json!({"taskId": id, "status": "working"}));
        passes(&says("mine"), &says("of-ann-mine"));
        assert_eq!(told(&says("hers")).0, Turned::Nothing);
    }
    let acknowledged = |ids: Value| {
        notification("notifications/subscriptions/acknowledged", &json!({"notifications": {"taskIds": ids}}))
    };
    passes(&acknowledged(json!(["mine", "x"])), &acknowledged(json!(["of-ann-mine", "x"])));
}

#[test]
fn tasks_of_the_client_s_own_are_its_own() {
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let asks = json!({"jsonrpc": "2.0", "id": 4, "method": method, "params": {"taskId": "mine"}});
        assert_eq!(told(&asks).0, Turned::Same, "{method}");
    }
    let status = notification("notifications/tasks/status", &json!({"taskId": "of-ann-mine", "status": "working"}));
    let text = status.to_string();
    let envelope = scan(text.as_bytes()).expect("a message");
    assert_eq!(inward(text.as_bytes(), &envelope, &mut |_| panic!("nobody is asked")), Ok(None));
}

fn sent(message: &Value) -> Result<Value, Unknown> {
    let text = message.to_string();
    let envelope = scan(text.as_bytes()).expect("a message");
    let own = inward(text.as_bytes(), &envelope, &mut |id| id.strip_prefix("of-ann-").map(str::to_owned))?;
    Ok(own.map_or_else(|| message.clone(), |own| serde_json::from_slice(&own).expect("JSON")))
}

#[test]
fn a_request_about_a_task_names_one_of_its_client_s() {
    for method in ["tasks/get", "tasks/result", "tasks/cancel", "tasks/update", "tasks/pause"] {
        let asks = |id: &str| json!({"jsonrpc": "2.0", "id": 4, "method": method, "params": {"taskId": id, "x": 1.0}});
        assert_eq!(sent(&asks("of-ann-mine")), Ok(asks("mine")), "{method}");
        assert_eq!(sent(&asks("mine")), Err(Unknown("mine".to_owned())), "{method}");
    }
    let listens = |ids: Value| json!({"jsonrpc": "2.0", "id": 4, "method": "subscriptions/listen", "params": {"notifications": {"taskIds": ids}}});
    assert_eq!(sent(&listens(json!(["of-ann-a", "b", "of-ann-c", 7]))), Ok(listens(json!(["a", "c"]))));
    assert_eq!(sent(&listens(json!(["b"]))), Ok(listens(json!([]))));
    let answers = |id: &str| result(&json!({"_meta": {RELATED: {"taskId": id}}, "action": "accept"}));
    assert_eq!(sent(&answers("of-ann-mine")), Ok(answers("mine")));
    assert_eq!(sent(&answers("mine")), Ok(answers("mine")), "it may be a task of the client's own");
}

#[test]
fn a_call_may_become_a_task_where_its_client_says_so() {
    let is_one = |method: &str, params: Value| {
        let text = json!({"jsonrpc": "2.0", "id": 4, "method": method, "params": params}).to_string();
        concerns(text.as_bytes(), &scan(text.as_bytes()).expect("a message"))
    };
    assert!(is_one("tools/call", json!({"name": "a", "task": {"ttl": 1}})));
    assert!(!is_one("tools/call", json!({"name": "a", "arguments": {"task": {}}})));
    let declares = |all: Value| json!({"name": "a", "_meta": {"io.modelcontextprotocol/clientCapabilities": all}});
    assert!(is_one("tools/call", declares(json!({"extensions": {TASKS_EXTENSION: {}}}))));
    assert!(!is_one("tools/call", declares(json!({"extensions": {"a/b": {}}, "elicitation": {}}))));
    assert!(!is_one("tools/call", declares(json!({}))));
    for method in ["tasks/get", "tasks/list", "tasks/anything"] {
        assert!(is_one(method, json!({})), "{method}");
    }
    assert!(is_one("subscriptions/listen", json!({"notifications": {"taskIds": ["a"]}})));
    assert!(!is_one("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})));
    assert!(!is_one("ping", json!({})));
}

proptest! {
    /// Whatever a server's ids look like, they come back as they were, and nothing else of the message changes.
    #[test]
    fn ids_come_back_as_they_were(id in "\\PC{0,12}", other in "\\PC{0,12}") {
        let made = result(&json!({"task": {"taskId": id, "status": other}, "x": other}));
        let text = made.to_string();
        let named = outward(text.as_bytes(), &scan(text.as_bytes()).unwrap(), &mut |said, id| {
            (said == Said::Made).then(|| format!("of-ann-{id}"))
        });
        let Turned::Into(named) = named else { panic!("a name") };
        let shown: Value = serde_json::from_slice(&named).unwrap();
        let asks = |id: &Value| json!({"jsonrpc": "2.0", "id": 4, "method": "tasks/get", "params": {"taskId": id, "x": other}});
        prop_assert_eq!(sent(&asks(&shown["result"]["task"]["taskId"])), Ok(asks(&json!(id))));
        prop_assert_eq!(&shown["result"]["x"], &json!(other));
    }
}
