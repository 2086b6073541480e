//! Who is next when a server is busy, who gives way, and what an overloaded gate refuses.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::load::Aim;
use toolgate_tests::mcp::{Answer, Client, Era};
use toolgate_tests::wait;

const TIERS: &str = "[tier.free]\n[tier.paid]\nweight = 4\n";

/// A gate with clients of two tiers in front of a server that takes one call at a time.
async fn gate(server: &Http, queue: &str) -> Gate {
    let lines = format!("{}max_calls = 1\nqueue = {{ timeout = \"60s\", {queue} }}", server.endpoints());
    Setup::default()
        .server("fake", &lines)
        .table(TIERS)
        .key("greedy", "tier = \"free\"")
        .key("modest", "tier = \"free\"")
        .key("payer", "tier = \"paid\"")
        .start()
        .await
}

fn aim(gate: &Gate, key: &str, era: Era) -> Aim {
    Aim { key: Some(gate.key_of(key)), ..gate.aim("/mcp/fake", era) }
}

/// A call on a connection of its own, that is held by the server until the file is there.
fn call(gate: &Gate, key: &str, go: &Path) -> JoinHandle<Answer> {
    let (aim, arguments) = (aim(gate, key, Era::Modern), json!({"until": go, "who": key}));
    tokio::spawn(async move {
        let mut client: Client = aim.client().await.expect("a client");
        client.call("hold", arguments).await.expect("an answer")
    })
}

async fn queue(gate: &Gate) -> Value {
    let (status, answer) = gate.control("GET", "/v1/queues").await;
    assert_eq!(status, 200, "{answer}");
    answer["servers"][0].clone()
}

async fn until_waiting(gate: &Gate, number: u64) -> Value {
    wait::until(&format!("{number} calls to wait"), || async {
        Some(queue(gate).await).filter(|queue| queue["waiting"] == number)
    })
    .await
}

/// Calls again and again until an answer says what was waited for.
async fn call_until<T>(what: &str, client: &mut Client, said: impl AsyncFn(Answer) -> Option<T>) -> T {
    let deadline = Instant::now() + wait::PATIENCE;
    loop {
        let answer = client.call("echo", json!({})).await.expect("an answer");
        if let Some(found) = said(answer).await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
    }
}

/// The clients of the calls that wait, in their order.
fn order(queue: &Value) -> Vec<&str> {
    let calls = queue["calls"].as_array().expect("a list");
    for (position, call) in calls.iter().enumerate() {
        assert_eq!(call["position"], position, "{queue}");
        assert!(call["waited_ms"].as_u64() <= queue["oldest_ms"].as_u64(), "{queue}");
    }
    calls.iter().filter_map(|call| call["client"].as_str()?.strip_prefix("key:")).collect()
}

#[tokio::test]
async fn a_flood_of_one_client_holds_up_others_by_a_call_each() {
    let server = Http::start(Speaks::Modern).await;
    let gate = gate(&server, "max_size = 100").await;
    let go = server.record.path().with_extension("go");
    let mut calls = vec![call(&gate, "greedy", &go)];
    server.record.until_called("hold").await;
    calls.extend((0..20).map(|_| call(&gate, "greedy", &go)));
    until_waiting(&gate, 20).await;
    calls.push(call(&gate, "modest", &go));
    until_waiting(&gate, 21).await;
    calls.push(call(&gate, "payer", &go));
    let seen = until_waiting(&gate, 22).await;
    let foretold = order(&seen);
    assert!(foretold[..3].contains(&"payer") && foretold[..3].contains(&"modest"), "{foretold:?}");
    assert_eq!((&seen["in_flight"], &seen["cap"], &seen["max_size"]), (&json!(1), &json!(1), &json!(100)), "{seen}");
    assert_eq!(seen["tiers"][0], json!({"tier": "free", "weight": 1, "waiting": 21, "clients": 2}), "{seen}");
    assert_eq!(seen["tiers"][1], json!({"tier": "paid", "weight": 4, "waiting": 1, "clients": 1}), "{seen}");
    // Whoever goes away is in nobody's way.
    let gone = calls.remove(20);
    gone.abort();
    until_waiting(&gate, 21).await;
    std::fs::write(&go, "").expect("a file");
    for call in calls {
        let answer = call.await.expect("a caller");
        assert!(answer.succeeded(), "{answer:?}\n{}", gate.log());
    }
    let reached = server.record.of("tools/call");
    let order: Vec<_> = reached.iter().filter_map(|call| call.message["params"]["arguments"]["who"].as_str()).collect();
    assert_eq!(order[1..4], foretold[..3], "served as it was foretold");
    assert_eq!(order.len(), 22);
}

#[tokio::test]
async fn a_full_queue_makes_room_for_whoever_has_less() {
    let server = Http::start(Speaks::Modern).await;
    let gate = gate(&server, "max_size = 3").await;
    let go = server.record.path().with_extension("go");
    let mut calls = vec![call(&gate, "greedy", &go)];
    server.record.until_called("hold").await;
    let mut greedy: Vec<_> = (0..3).map(|_| call(&gate, "greedy", &go)).collect();
    until_waiting(&gate, 3).await;
    let refused = call(&gate, "greedy", &go).await.expect("a caller");
    assert_eq!(refused.body["error"]["data"]["reason"], "queue-full", "{refused:?}");
    assert!(refused.head.header("retry-after").is_some(), "{refused:?}");
    calls.push(call(&gate, "modest", &go));
    let displaced =
        wait::until("one of the greedy to give way", async || greedy.iter().position(JoinHandle::is_finished)).await;
    let displaced = greedy.remove(displaced).await.expect("a caller");
    assert_eq!(displaced.body["error"]["data"]["reason"], "queue-full", "{displaced:?}");
    let said = displaced.body["error"]["message"].as_str().expect("a sentence");
    assert!(said.contains("others had fewer") && said.contains("Nothing was done"), "{said}");
    until_waiting(&gate, 3).await;
    std::fs::write(&go, "").expect("a file");
    for call in calls.into_iter().chain(greedy) {
        assert!(call.await.expect("a caller").succeeded(), "{}", gate.log());
    }
}

#[tokio::test]
async fn a_clients_calls_beyond_its_own_wait_for_it_and_for_nobody_else() {
    let server = Http::start(Speaks::Modern).await;
    let setup = Setup::default()
        .server("fake", &format!("{}max_calls = 10\nmax_calls_per_client = 2", server.endpoints()))
        .key("greedy", "")
        .key("modest", "");
    let mut gate = setup.start().await;
    let go = server.record.path().with_extension("go");
    let mut calls: Vec<_> = (0..4).map(|_| call(&gate, "greedy", &go)).collect();
    let aside = |number: u64| {
        let gate = &gate;
        wait::until("calls to wait for their own", move || async move {
            let seen = queue(gate).await;
            (seen["in_flight"] == 2 && seen["waiting_for_own"] == number).then_some(())
        })
    };
    aside(2).await;
    let mut other = aim(&gate, "modest", Era::Modern).client().await.expect("a client");
    assert!(other.call("echo", json!({})).await.expect("an answer").succeeded(), "{}", gate.log());
    // Open calls go on under the new bound, and those that wait are let in by it.
    let lines = format!("{}max_calls = 10\nmax_calls_per_client = 3", server.endpoints());
    gate.change(|setup| setup.server("fake", &lines));
    gate.reload().await;
    wait::until("one more to be let in", || async {
        let seen = queue(&gate).await;
        (seen["in_flight"] == 3 && seen["waiting_for_own"] == 1).then_some(())
    })
    .await;
    std::fs::write(&go, "").expect("a file");
    for call in calls.drain(..) {
        assert!(call.await.expect("a caller").succeeded(), "{}", gate.log());
    }
}

#[tokio::test]
async fn a_reload_changes_a_queue_and_ends_no_session() {
    let server = Http::start(Speaks::Legacy).await;
    let lines = |timeout: &str| format!("{}max_calls = 1\nqueue.timeout = \"{timeout}\"", server.endpoints());
    let mut gate = Setup::default().server("fake", &lines("60s")).start().await;
    let client = Caller::legacy(&gate, "/mcp/fake").await;
    let folder = tempfile::tempdir().expect("a folder");
    let go = folder.path().join("go");
    let call = |id: &'static str| {
        let (client, go) = (client.clone(), go.clone());
        tokio::spawn(async move { client.call(id, "hold", json!({"until": go})).await.answer().await })
    };
    let held = call("1");
    wait::until("a call to be held", async || (!server.record.of("tools/call").is_empty()).then_some(())).await;
    let waiting = call("2");
    until_waiting(&gate, 1).await;
    let introduced = server.record.of("initialize").len();
    gate.change(|setup| setup.server("fake", &lines("50ms")));
    gate.reload().await;
    let refused = waiting.await.expect("a caller");
    assert_eq!(refused["error"]["data"]["reason"], "queue-timeout", "{refused}");
    // One that comes now finds the same call in flight.
    let refused = call("3").await.expect("a caller");
    assert_eq!(refused["error"]["data"]["reason"], "queue-timeout", "{refused}");
    std::fs::write(&go, "").expect("a file");
    assert!(held.await.expect("a caller").get("result").is_some(), "{}", gate.log());
    assert!(call("4").await.expect("a caller").get("result").is_some(), "{}", gate.log());
    assert_eq!(server.record.of("initialize").len(), introduced, "the session goes on");
}

#[tokio::test]
async fn a_call_whose_client_leaves_while_it_waits_is_never_made() {
    let server = Http::start(Speaks::Both).await;
    let lines = format!("{}max_calls = 1\nqueue.timeout = \"60s\"", server.endpoints());
    let other = Http::start(Speaks::Both).await;
    let gate = Setup::default().server("fake", &lines).http("other", &other.url).start().await;
    let folder = tempfile::tempdir().expect("a folder");
    // Mirrored, hosted by the gate, and modern.
    let legacy = Caller::legacy(&gate, "/mcp/fake").await;
    let callers = [
        (legacy, "hold"),
        (Caller::legacy(&gate, "/mcp").await, "fake__hold"),
        (Caller::modern(&gate, "/mcp"), "fake__hold"),
    ];
    for (number, (caller, tool)) in callers.into_iter().enumerate() {
        server.record.clear();
        let go = folder.path().join(number.to_string());
        let call = |id: &'static str| {
            let (caller, go) = (caller.clone(), go.clone());
            tokio::spawn(async move { caller.call(id, tool, json!({"until": go, "id": id})).await.answer().await })
        };
        let held = call("1");
        wait::until("a call to be held", async || (!server.record.of("tools/call").is_empty()).then_some(())).await;
        let impatient = [call("2"), call("3")];
        until_waiting(&gate, 2).await;
        for call in impatient {
            call.abort();
        }
        until_waiting(&gate, 0).await;
        std::fs::write(&go, "").expect("a file");
        assert!(held.await.expect("a caller").get("result").is_some(), "{}", gate.log());
        let last = call("4").await.expect("a caller");
        assert!(last.get("result").is_some(), "{last}");
        assert_eq!(server.record.of("tools/call").len(), 2, "{tool}: only those whose clients stayed");
    }
}

#[tokio::test]
async fn those_who_listen_take_no_call_its_place_and_have_a_bound_of_their_own() {
    for (speaks, era) in [(Speaks::Legacy, Era::Legacy), (Speaks::Both, Era::Modern)] {
        let server = Http::start(speaks).await;
        let lines = format!(
            "{}max_calls = 1\nmax_streams = 3\nmax_streams_per_client = 2\ntimeout.connect = \"500ms\"\n\
             pool = {{ max_connections = 1 }}\nqueue.timeout = \"500ms\"",
            server.endpoints()
        );
        let gate = Setup::default().server("fake", &lines).key("other", "").start().await;
        let open = async |key: String| {
            let client = Caller::new(&gate, "/mcp/fake", era).without("Authorization");
            let client = client.with("Authorization", &format!("Bearer {key}"));
            if era == Era::Modern {
                let wanted = json!({"notifications": {"toolsListChanged": true}});
                return client.request("7", "subscriptions/listen", wanted).await;
            }
            client.opened().await.stream().await
        };
        let mut streams = vec![open(gate.key()).await, open(gate.key()).await];
        let third = open(gate.key()).await;
        let text = third.text().await;
        assert!(text.contains("You have 2 streams open"), "{era:?} {text}");
        streams.push(open(gate.key_of("other")).await);
        assert!(streams.iter().all(|stream| stream.head.is_stream()), "{}", gate.log());
        let text = open(gate.key_of("other")).await.text().await;
        assert!(text.contains("Nobody else can listen"), "{era:?} {text}");
        // The one connection for calls is nobody's who listens.
        let mut client = gate.aim("/mcp/fake", era).client().await.expect("a client");
        for _ in 0..3 {
            assert!(client.call("echo", json!({})).await.expect("an answer").succeeded(), "{}", gate.log());
        }
        drop(streams.remove(0));
        wait::until("a place to listen", async || open(gate.key()).await.head.is_stream().then_some(())).await;
    }
}

#[tokio::test]
async fn an_overloaded_gate_refuses_step_by_step_and_recovers() {
    let server = Http::start(Speaks::Legacy).await;
    let setup = Setup::default()
        .server("fake", &format!("{}max_calls = 100", server.endpoints()))
        .table(TIERS)
        .table("[overload]\nmemory_limit = \"1MiB\"")
        .key("greedy", "tier = \"free\"")
        .key("payer", "tier = \"paid\"");
    let mut gate = setup.start().await;
    let (free, paid) = (aim(&gate, "greedy", Era::Legacy), aim(&gate, "payer", Era::Legacy));
    let (mut free, mut paid) = (free.client().await.expect("a session"), paid.client().await.expect("a session"));
    assert!(free.call("echo", json!({})).await.expect("an answer").succeeded(), "{}", gate.log());
    // No gate has room in a MiB.
    let refused =
        wait::until("new sessions to be refused", || async { aim(&gate, "payer", Era::Legacy).client().await.err() })
            .await;
    assert!(refused.to_string().contains("overloaded"), "{refused}");
    let answer =
        call_until("the lowest tier to be refused", &mut free, async |answer| (!answer.succeeded()).then_some(answer))
            .await;
    assert_eq!(
        (answer.head.status, &answer.body["error"]["data"]["reason"]),
        (200, &json!("overloaded")),
        "{answer:?}"
    );
    assert!(answer.head.header("retry-after").is_some(), "{answer:?}");
    assert!(free.request("ping", json!({})).await.expect("an answer").succeeded(), "a ping is answered");
    assert!(paid.call("echo", json!({})).await.expect("an answer").succeeded(), "{}", gate.log());
    wait::until("calls at once to shrink", || async { queue(&gate).await["cap"].as_u64().filter(|cap| *cap < 100) })
        .await;
    let (_, status) = gate.control("GET", "/v1/status").await;
    assert!(status["overload"]["level"].as_u64() >= Some(3), "{status}");
    assert!(status["overload"]["reason"].as_str().is_some_and(|reason| reason.contains("memory")), "{status}");
    assert!(gate.log().contains("new sessions are refused"), "{}", gate.log());
    gate.change(|setup| setup.without_table("[overload]"));
    gate.reload().await;
    wait::until("everything to be served again", || async { (queue(&gate).await["cap"] == 100).then_some(()) }).await;
    call_until("the lowest tier to be served again", &mut free, async |answer| answer.succeeded().then_some(())).await;
    let (_, status) = gate.control("GET", "/v1/status").await;
    assert!(status.get("overload").is_none(), "{status}");
}

#[tokio::test]
async fn what_an_overloaded_gate_refuses_counts_against_no_limit() {
    let server = Http::start(Speaks::Both).await;
    let setup = Setup::default()
        .server("fake", &server.endpoints())
        .table(TIERS)
        .table("[overload]\nmemory_limit = \"1MiB\"")
        .table("[[limit]]\nname = \"few\"\nper = \"client\"\nrate = \"5/h\"\n")
        .key("greedy", "tier = \"free\"")
        .key("payer", "tier = \"paid\"");
    let mut gate = setup.start().await;
    let mut free = aim(&gate, "greedy", Era::Modern).client().await.expect("a client");
    wait::until("the gate to be overloaded", || async {
        let (_, status) = gate.control("GET", "/v1/status").await;
        (status["overload"]["level"].as_u64() >= Some(2)).then_some(())
    })
    .await;
    for _ in 0..20 {
        let shed = free.call("echo", json!({})).await.expect("an answer");
        assert_eq!((shed.head.status, &shed.body["error"]["data"]["reason"]), (503, &json!("overloaded")), "{shed:?}");
    }
    gate.change(|setup| setup.without_table("[overload]"));
    gate.reload().await;
    let first = call_until("calls not to be shed", &mut free, async |answer| {
        (answer.body["error"]["data"]["reason"] != "overloaded").then_some(answer)
    })
    .await;
    assert!(first.succeeded(), "had the shed ones been counted, nothing would be left: {first:?}");
}

#[tokio::test]
async fn what_a_server_takes_is_measured_where_it_is_asked_for() {
    let server = Http::start(Speaks::Modern).await;
    let lines = format!("{}adaptive = {{ min = 3 }}\nmax_calls = 7", server.endpoints());
    let gate = Setup::default().server("fake", &lines).start().await;
    let mut client = gate.aim("/mcp/fake", Era::Modern).client().await.expect("a client");
    let found = call_until("enough calls", &mut client, async |answer| {
        assert!(answer.succeeded(), "{answer:?}\n{}", gate.log());
        let seen = queue(&gate).await;
        seen["adaptive"]["unloaded_ms"].as_f64().map(|unloaded| (unloaded, seen.clone()))
    })
    .await;
    assert!(found.0 > 0.0, "{found:?}");
    let cap = found.1["cap"].as_u64().expect("a number");
    assert!((3..=7).contains(&cap), "{found:?}");
}
