use toolgate_protocol::list;

use super::checks::tests::{log_occupied, occupied};
use super::*;

fn learn(guard: &Guard, schema: &str) {
    let text = Bytes::from(format!(r#"{{"tools":[{{"name":"t","inputSchema":{schema}}},{{"name":"u"}}]}}"#));
    let tools = list::items(&text, json::Span::new(0, text.len()), "tools");
    guard.learn(&text, &tools, "s");
}

async fn fits(guard: &Guard, arguments: &'static str) -> bool {
    guard.check("t", &Bytes::from_static(arguments.as_bytes())).await.is_ok()
}

#[tokio::test]
async fn a_schema_holds_until_it_changes() {
    let guard = Guard::default();
    assert!(fits(&guard, "7").await && !guard.knows("t"));
    learn(&guard, r#"{"type":"object"}"#);
    assert!(guard.knows("t") && !guard.knows("u"));
    assert!(!fits(&guard, "7").await && fits(&guard, "{}").await);
    let first = Arc::clone(&guard.known.load()["t"]);
    learn(&guard, r#"{"type":"object"}"#);
    assert!(Arc::ptr_eq(&first, &guard.known.load()["t"]), "compiled once");
    learn(&guard, r#"{"type":"integer"}"#);
    assert!(fits(&guard, "7").await);
    assert_eq!(guard.violations(), 1);
    assert!(guard.told().is_empty());
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_is_told_and_calls_pass() {
    let guard = Guard::default();
    learn(&guard, r#"{"$ref":"http://127.0.0.1:1/schema"}"#);
    assert!(fits(&guard, "7").await);
    assert_eq!(guard.told().len(), 1);
    assert!(guard.told()[0].starts_with("arguments of t are not checked"), "{:?}", guard.told());
}

fn page(tools: impl Iterator<Item = (String, String)>) -> Bytes {
    let tools: Vec<String> = tools
        .map(|(name, schema)| format!(r#"{{"name":{},"inputSchema":{schema}}}"#, json::encode_str(&name)))
        .collect();
    Bytes::from(format!(r#"{{"tools":[{}]}}"#, tools.join(",")))
}

fn learn_page(guard: &Guard, page: &Bytes) {
    guard.learn(page, &list::items(page, json::Span::new(0, page.len()), "tools"), "s");
}

/// Waits until all that was learned is compiled, or given up.
fn settle(guard: &Guard) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while guard.known.load().values().any(|schema| schema.outcome.get().is_none()) {
        assert!(std::time::Instant::now() < deadline, "schemas are not compiled");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn asked() -> Asked {
    Asked { server: "s".into(), tool: "t".into(), client: "c".into() }
}

/// One test, since the places for long checks are shared by all.
#[tokio::test(start_paused = true)]
async fn what_takes_long_is_checked_elsewhere_and_holds_no_call_up_for_long() {
    let guard = Arc::new(Guard::default());
    learn(&guard, r#"{"items":{"type":"integer","pattern":"^a+$"}}"#);
    settle(&guard);
    let long = Bytes::from(format!("[{}\"x\"]", "1,".repeat(20_000)));
    let objection = guard.check("t", &long).await.expect_err("a violation");
    assert!(objection.brief().starts_with("/20000: "), "{objection:?}");
    assert!(guard.told().is_empty() && guard.violations() == 1);

    let all = occupied().await;
    let long_and_right = Bytes::from(format!("[{}1]", "1,".repeat(20_000)));
    for long in [&long, &long_and_right] {
        assert_eq!(guard.check("t", long).await, Err(Objection::NotInTime), "nobody has looked, so it does not pass");
    }
    assert_eq!((guard.counts.unchecked(), guard.violations()), (0, 1));
    assert!(guard.told()[0].starts_with("2 calls were refused: too many with long"), "{:?}", guard.told());
    drop(all);
    assert_eq!(guard.check("t", &long_and_right).await, Ok(()));

    // A call that is only logged does not wait, whoever is checked before it.
    let all = log_occupied().await;
    guard.watch(asked, &long, "t");
    assert_eq!((guard.counts.unchecked(), guard.violations()), (1, 1));
    assert!(guard.told()[0].starts_with("1 calls passed unchecked"), "{:?}", guard.told());
    drop(all);
    guard.watch(asked, &long, "t");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while guard.violations() < 2 {
        assert!(std::time::Instant::now() < deadline, "it was not checked");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[tokio::test]
async fn no_size_gets_past_the_check() {
    let guard = Arc::new(Guard::default());
    // As many values as a schema may have, about: a few hundred kilobytes of arguments are too many.
    let enumerated: Vec<String> = (0..15_000).map(|number| number.to_string()).collect();
    learn(&guard, &format!(r#"{{"properties":{{"n":{{"enum":[{}]}}}}}}"#, enumerated.join(",")));
    settle(&guard);
    let padded = Bytes::from(format!(r#"{{"n":"wrong","pad":"{}"}}"#, "x".repeat(200_000)));
    let Err(Objection::TooLarge(most)) = guard.check("t", &padded).await else { panic!("it passes") };
    assert!((100_000..200_000).contains(&most), "{most}");
    assert_eq!((guard.violations(), guard.counts.unchecked()), (1, 0));
    // What is only logged passes, and that is counted.
    guard.watch(asked, &padded, "t");
    assert_eq!((guard.violations(), guard.counts.unchecked()), (1, 1));
}

#[test]
fn what_a_server_can_make_the_gate_remember_is_bounded() {
    let guard = Guard::default();
    // Patterns of half a megabyte each, a different one for each tool.
    let pattern = |number: usize| format!(r#"{{"pattern":"^([a-z0-9]{{1,60}}{number}){{1,60}}$"}}"#);
    learn_page(&guard, &page((0..120).map(|number| (format!("t{number}"), pattern(number)))));
    settle(&guard);
    assert!(guard.room.taken() <= OF_ONE, "{}", guard.room.taken());
    let told = guard.told();
    assert!(told[0].contains("finds no room"), "{told:?}");
    assert!(told.len() == TOLD + 1 && told[TOLD].contains("more of its tools"), "{told:?}");
    // What it changes them into takes the room of what they were.
    learn_page(&guard, &page((0..120).map(|number| (format!("t{number}"), r#"{"type":"object"}"#.to_owned()))));
    settle(&guard);
    assert!(guard.told().is_empty() && guard.room.taken() < 1 << 20, "{:?} {}", guard.told(), guard.room.taken());
}

#[test]
fn names_are_bounded_in_length_and_number() {
    let guard = Guard::default();
    let long = "n".repeat(LONGEST_NAME + 1);
    learn_page(&guard, &page([(long.clone(), "{}".to_owned())].into_iter()));
    assert!(!guard.knows(&long));
    assert!(guard.told()[0].contains("names of more than"), "{:?}", guard.told());
    let guard = Guard::default();
    for half in 0..3 {
        let number = |number: usize| (format!("{half}-{number}"), "{}".to_owned());
        learn_page(&guard, &page((0..4000).map(number)));
    }
    assert_eq!(guard.known.load().len(), MOST);
    assert!(guard.too_many.load(Ordering::Relaxed));
}

#[test]
fn what_waited_too_long_to_be_compiled_is_tried_again() {
    let guard = Guard::default();
    learn(&guard, r#"{"type":"integer"}"#);
    settle(&guard);
    let busy = Arc::new(Schema::new(guard.known.load()["t"].hash, Room::default()));
    busy.set(Outcome::Busy);
    guard.known.store(Arc::new(Schemas::from_iter([("t".to_owned(), busy)])));
    assert!(guard.told()[0].contains("the next list tries again"), "{:?}", guard.told());
    learn(&guard, r#"{"type":"integer"}"#);
    settle(&guard);
    assert!(guard.told().is_empty());
}
