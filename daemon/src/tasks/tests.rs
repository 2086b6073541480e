//! Ids of tasks as clients see them.

use serde_json::{Value, json};

use super::*;
use crate::body::Body;
use crate::config::settings::{SealKey, Sealing};
use crate::relay::listed::Reader;

fn whose(tasks: &Arc<Tasks>, client: &str, server: &str) -> Whose {
    Whose { tasks: Arc::clone(tasks), owner: (client.into(), server.into()), merged: false }
}

/// The id of a task that a server has just made, as its client sees it.
fn made(whose: &Whose, own: &str) -> String {
    let text = json!({"jsonrpc": "2.0", "id": 1, "result": {"task": {"taskId": own}}}).to_string();
    let seen = whose.outward(text.into()).expect("an answer");
    let seen: Value = serde_json::from_slice(&seen).expect("JSON");
    seen["result"]["task"]["taskId"].as_str().expect("an id").to_owned()
}

/// The id by which the server is asked.
fn asked(whose: &Whose, shown: &str) -> Result<String, String> {
    let text = json!({"jsonrpc": "2.0", "id": 1, "method": "tasks/cancel", "params": {"taskId": shown}}).to_string();
    let message = Message::parse(text.into()).expect("a message");
    let named = whose.inward(&message).map_err(|failure| failure.message.clone())?.expect("a name");
    Ok(named.envelope.task_id_str(&named.bytes).expect("an id").into_owned())
}

#[test]
fn a_task_opens_to_its_client_at_its_server_and_to_nobody_else() {
    let tasks = Tasks::new(&Arc::new(Seal::random()));
    let ann = whose(&tasks, "key:ann", "web");
    let shown = made(&ann, "task-1");
    assert_eq!(asked(&ann, &shown).as_deref(), Ok("task-1"));
    assert_eq!(made(&ann, "task-1"), shown, "an answer that is read again says the same");
    let bob = whose(&tasks, "key:bob", "web");
    for (other, id) in [(&bob, &*shown), (&whose(&tasks, "key:ann", "pipe"), &shown), (&ann, "task-1"), (&ann, "")] {
        let refused = asked(other, id).expect_err("it is not its own");
        assert!(refused.starts_with("Unknown task: "), "{refused}");
    }
    // The same id of the server's is another task's where its server says so.
    let his = made(&bob, "task-1");
    assert_ne!(his, shown);
    assert_eq!(asked(&bob, &his).as_deref(), Ok("task-1"));
    // What is sealed for her is no task.
    assert!(asked(&ann, &tasks.seal.seal("key:ann", b"task-1")).is_err());
}

#[test]
fn an_id_outlives_the_process_and_its_key_and_is_told_as_it_was_asked_by() {
    let seal = |byte, before| Sealing {
        key: Some(SealKey::new([byte; 32])),
        other_key: Some(SealKey::new([before; 32])),
        ..Sealing::default()
    };
    let shown = made(&whose(&Tasks::new(&Arc::new(Seal::start(None, &seal(1, 2)))), "key:ann", "web"), "task-1");
    let tasks = Tasks::new(&Arc::new(Seal::start(None, &seal(2, 1))));
    let ann = whose(&tasks, "key:ann", "web");
    let status = Bytes::from_static(
        br#"{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"task-1","status":"working"}}"#,
    );
    assert_eq!(ann.outward(status.clone()), None, "nobody knows whose it is");
    assert_eq!(asked(&ann, &shown).as_deref(), Ok("task-1"));
    let told = ann.outward(status.clone()).expect("it is hers");
    assert!(String::from_utf8_lossy(&told).contains(&format!("\"{shown}\"")));
    assert_eq!(whose(&tasks, "key:bob", "web").outward(status), None);
}

#[test]
fn in_a_merged_view_ids_lead_to_their_server() {
    let tasks = Tasks::new(&Arc::new(Seal::random()));
    let ann = Whose { merged: true, ..whose(&tasks, "key:ann", "web") };
    let shown = made(&ann, "task-1");
    let (server, own) = names::split(&shown).expect("a name of the view");
    assert_eq!((server, asked(&ann, own).as_deref()), ("web", Ok("task-1")));
    let text = json!({"jsonrpc": "2.0", "id": 1, "result": {"_meta": {
        "io.modelcontextprotocol/related-task": {"taskId": shown}}}});
    let answer = Message::parse(text.to_string().into()).expect("a message");
    let named = ann.inward(&answer).expect("an answer").expect("it names one");
    assert!(String::from_utf8_lossy(&named.bytes).contains("\"task-1\""));
}

#[test]
fn of_a_stream_only_what_names_tasks_is_written_anew() {
    let tasks = Tasks::new(&Arc::new(Seal::random()));
    let ann = whose(&tasks, "key:ann", "web");
    let shown = made(&ann, "task-1");
    let status = |id: &str| {
        let params = format!(r#"{{"taskId":"{id}","x": 1.0}}"#);
        format!(
            "id: 7\nevent: message\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tasks/status\",\"params\":{params}}}\n\n"
        )
    };
    let other = ": alive\n\nid:6\ndata:{\"jsonrpc\": \"2.0\", \"method\": \"m\"}\n\n";
    let text = [other, &status("task-1"), &status("hers"), other].concat();
    let Body::Full(seen) = Reader::of_tasks(ann).through(Body::from(text), true) else { panic!("a body") };
    assert_eq!(String::from_utf8_lossy(&seen), [other, &status(&shown), other].concat());
}
