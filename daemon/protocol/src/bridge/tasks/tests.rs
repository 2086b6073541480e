//! Tasks of both eras, run to their end.

use super::*;
use crate::bridge::fixture::{Dice, read, value};
use crate::bridge::members::whole;
use crate::bridge::playback::Failure;
use crate::bridge::request::Declared;

fn client() -> Declared {
    Declared { capabilities: b"{\"elicitation\":{},\"roots\":{}}".to_vec(), info: None }
}

fn started() -> Polling {
    let text = br#"{"resultType":"task","taskId":"t\u0021","status":"working","ttlMs":null,"pollIntervalMs":5000}"#;
    let (polling, step) = Polling::new(b"9", &client(), text, whole(text)).expect("a task");
    assert_eq!(step, Step::Wait(5_000));
    polling
}

fn got(polling: &mut Polling, task: &str, ids: &mut usize) -> Step {
    polling.got(task.as_bytes(), whole(task.as_bytes()), &mut || {
        *ids += 1;
        ids.to_string().into_bytes()
    })
}

fn answer(polling: &mut Polling, response: &str) -> Step {
    let text = format!(r#"{{"jsonrpc":"2.0",{response}}}"#);
    polling.answered(text.as_bytes(), &read(text.as_bytes()))
}

#[test]
fn a_task_is_asked_for_until_it_has_a_result() {
    let (mut polling, mut ids) = (started(), 0);
    assert_eq!(
        String::from_utf8_lossy(&polling.get(b"1")),
        r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"roots":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}},"taskId":"t\u0021"}}"#
    );
    for (interval, wait) in [("", 1_000), (r#","pollIntervalMs":1"#, 100), (r#","pollIntervalMs":9e9"#, 1_000)] {
        assert_eq!(got(&mut polling, &format!(r#"{{"status":"working"{interval}}}"#), &mut ids), Step::Wait(wait));
    }
    let done = r#"{"resultType":"complete","status":"completed","result":{"resultType":"complete","content":[1.0],"structuredContent":[2]}}"#;
    let wanted = br#"{"jsonrpc":"2.0","id":9,"result":{"content":[1.0],"structuredContent":{"result":[2]}}}"#;
    assert_eq!(got(&mut polling, done, &mut ids), Step::Answer(wanted.to_vec()));
    let failed = r#"{"status":"failed","error":{"code":-32021,"message":"m","x":1.0}}"#;
    let wanted = br#"{"jsonrpc":"2.0","id":9,"error":{"code":-32600,"message":"m","x":1.0}}"#;
    assert_eq!(got(&mut polling, failed, &mut ids), Step::Answer(wanted.to_vec()));
}

#[test]
fn a_question_is_asked_once_however_often_it_is_repeated() {
    let (mut polling, mut ids) = (started(), 0);
    let both =
        r#"{"status":"input_required","inputRequests":{"a":{"method":"roots/list"},"b":{"method":"roots/list"}}}"#;
    let Step::Ask(asked) = got(&mut polling, both, &mut ids) else { panic!("questions") };
    assert_eq!(asked.len(), 2);
    assert_eq!(answer(&mut polling, r#""id":2,"result":{"roots":[2]}"#), Step::Nothing);
    let Step::Update(responses) = answer(&mut polling, r#""id":1,"result":{"roots":[1]}"#) else { panic!("an update") };
    assert_eq!(responses, br#"{"a":{"roots":[1]},"b":{"roots":[2]}}"#);
    let update = value(&polling.update(b"7", &responses));
    assert_eq!((&update["method"], &update["params"]["taskId"]), (&"tasks/update".into(), &"t!".into()));
    assert_eq!(got(&mut polling, both, &mut ids), Step::Wait(1_000));
    let more = both.replace("\"b\"", "\"c\"");
    let Step::Ask(asked) = got(&mut polling, &more, &mut ids) else { panic!("one more question") };
    assert_eq!((asked.len(), &value(&asked[0])["id"]), (1, &ids.into()));
    assert_eq!(ids, 3, "no id is minted for what is not asked");
    assert_eq!(polling.end(), [ids.to_string().into_bytes()]);
    assert_eq!(value(&polling.cancel(b"8"))["method"], "tasks/cancel");
}

#[test]
fn a_task_that_cannot_end_well_fails() {
    for (task, wanted) in [
        (r#"{"status":"cancelled"}"#, Failure::TaskCancelled),
        (
            r#"{"status":"input_required","inputRequests":{"s":{"method":"sampling/createMessage","params":{}}}}"#,
            Failure::Undeclared(crate::bridge::capabilities::Ask::Sampling),
        ),
    ] {
        assert_eq!(got(&mut started(), task, &mut 0), Step::Fail(wanted, vec![]), "{task}");
    }
    for task in
        ["{}", r#"{"status":"completed"}"#, r#"{"status":"failed","error":1}"#, r#"{"status":"input_required"}"#]
    {
        let step = got(&mut started(), task, &mut 0);
        assert!(matches!(step, Step::Fail(Failure::Malformed(_), _)), "{task}: {step:?}");
    }
    assert!(Polling::new(b"9", &client(), b"{}", whole(b"{}")).is_err());
}

#[test]
fn in_a_thousand_tasks_no_question_is_asked_or_answered_twice() {
    let mut answered = 0;
    for seed in 1..=1_000 {
        let (mut dice, mut polling, mut ids) = (Dice::new(seed), started(), 0);
        let (mut keys, mut seen) = (0, std::collections::BTreeSet::new());
        for _ in 0..dice.below(12) {
            keys += dice.below(3);
            // The server is behind: it repeats some of what was answered.
            let from = keys - dice.below(keys.min(4) + 1);
            let requests: Vec<String> =
                (from..keys).map(|key| format!(r#""k{key}":{{"method":"roots/list"}}"#)).collect();
            let task = format!(r#"{{"status":"input_required","inputRequests":{{{}}}}}"#, requests.join(","));
            let first = ids + 1;
            let Step::Ask(asked) = got(&mut polling, &task, &mut ids) else { continue };
            let mut open: Vec<String> = asked.iter().map(|message| value(message)["id"].to_string()).collect();
            while !open.is_empty() {
                let id = open.swap_remove(dice.below(open.len()));
                let step = answer(&mut polling, &format!(r#""id":{id},"result":{{"n":{id}}}"#));
                let stray = answer(&mut polling, &format!(r#""id":{id},"result":{{"n":0}}"#));
                assert_eq!(stray, Step::Nothing, "seed {seed}");
                let Step::Update(responses) = step else { continue };
                assert!(open.is_empty(), "seed {seed}: not all were answered");
                for (key, response) in value(&responses).as_object().expect("responses") {
                    assert!(seen.insert(key.clone()), "seed {seed}: {key} was answered twice");
                    assert!(response["n"].as_u64().is_some_and(|id| id >= first as u64), "seed {seed}");
                    answered += 1;
                }
            }
        }
        assert_eq!(polling.end(), Vec::<Vec<u8>>::new(), "seed {seed}");
    }
    assert!(answered > 3_000, "the schedules are too tame: {answered}");
}

#[test]
fn a_modern_server_says_that_it_makes_tasks() {
    assert!(are_offered(br#"{"extensions":{"a/b":{},"io.modelcontextprotocol\/tasks":{}}}"#));
    for without in ["{}", r#"{"extensions":{"a/b":{}}}"#, r#"{"tasks":{}}"#, "null"] {
        assert!(!are_offered(without.as_bytes()), "{without}");
    }
}

#[test]
fn a_legacy_server_runs_a_tool_as_a_task() {
    let tools = br#"[{"execution":{"taskSupport":"required"}},{"execution":{"taskSupport":"optional"}},{}]"#;
    let required: Vec<bool> =
        crate::json::elements(tools, whole(tools)).map(|tool| legacy::is_required(tools, tool)).collect();
    assert_eq!(required, [true, false, false]);
    assert!(legacy::are_offered(br#"{"tasks":{"requests":{"tools":{"call":{}}}}}"#));
    assert!(!legacy::are_offered(br#"{"tasks":{"list":{}}}"#));

    let call = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","arguments":{"x":1.0}}}"#;
    assert_eq!(
        String::from_utf8_lossy(&legacy::as_task(call, &read(call))),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","arguments":{"x":1.0},"task":{}}}"#
    );
    let made = br#"{"task":{"taskId":"t\u0021","status":"working"}}"#;
    let task = legacy::task_id(made, whole(made)).expect("a task");
    assert_eq!(
        String::from_utf8_lossy(&legacy::result_request(b"2", task)),
        r#"{"jsonrpc":"2.0","id":2,"method":"tasks/result","params":{"taskId":"t\u0021"}}"#
    );
    assert_eq!(value(&legacy::cancel_request(b"3", task))["method"], "tasks/cancel");
    let at_once = br#"{"content":[]}"#;
    assert_eq!(legacy::task_id(at_once, whole(at_once)), None);
}

#[test]
fn handles_of_tasks_do_not_cross() {
    for method in Method::all().filter(|method| method.as_str().starts_with("tasks/")) {
        for era in [Era::Legacy, Era::Modern] {
            // The era that sends it is the other one.
            let from = if era == Era::Legacy { Era::Modern } else { Era::Legacy };
            assert_eq!(refusal(method, era).is_some(), method.exists_in(from), "{}", method.as_str());
        }
    }
    assert_eq!(refusal(Method::ToolsCall, Era::Modern), None);
}
