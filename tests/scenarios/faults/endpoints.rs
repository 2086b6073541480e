//! Several endpoints of one server: calls are shared out, sessions stick, and one that fails is left out.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::faulty::Fault;
use toolgate_tests::gate::Setup;
use toolgate_tests::wait;

use crate::stage::{Two, call, health};

const CALLS: usize = 120;

async fn works(client: &Caller) {
    let answer = call(client).await;
    assert!(answer.get("result").is_some(), "{answer}");
}

#[tokio::test]
async fn calls_are_shared_out_by_weight_and_sessions_stick() {
    let two = Two::start(Speaks::Both, [1, 3], "").await;
    let client = Caller::modern(&two.gate, "/mcp/two");
    for _ in 0..CALLS {
        works(&client).await;
    }
    let [light, heavy] = two.shares();
    assert!(light + heavy == CALLS && (10..=50).contains(&light), "{light} and {heavy}");
    for at in 0..6 {
        two.behind.iter().for_each(|behind| behind.record.clear());
        let client = Caller::legacy(&two.gate, "/mcp/two").await;
        for _ in 0..10 {
            works(&client).await;
        }
        let shares = two.shares();
        assert!(shares.contains(&10) && shares.contains(&0), "session {at}: {shares:?}");
    }
}

#[tokio::test]
async fn busy_endpoints_get_less() {
    let two = Two::start(Speaks::Both, [1, 1], "").await;
    let folder = tempfile::tempdir().expect("a folder");
    let go = folder.path().join("go");
    let mut held = Vec::new();
    for _ in 0..20 {
        let client = Caller::modern(&two.gate, "/mcp/two");
        let arguments = json!({ "until": go });
        let mut reply = client.call_with_progress("1", "1", "hold", arguments).await;
        reply.message().await;
        held.push(reply);
    }
    // Of two the less busy one is taken: they cannot drift apart.
    let [one, other] = two.shares();
    assert!(one.abs_diff(other) <= 1, "{one} and {other}");
    std::fs::write(&go, "").expect("a file");
    for reply in held {
        assert!(reply.answer().await.get("result").is_some());
    }
}

#[tokio::test]
async fn an_endpoint_on_which_many_listen_gets_its_share_of_calls() {
    let two = Two::start(Speaks::Both, [1, 1], "").await;
    // All that listen do so at the first one.
    two.gate.control_with("POST", "/v1/servers/two/drain", &json!({ "endpoint": two.url(1) })).await;
    let mut streams = Vec::new();
    for _ in 0..15 {
        let session = Caller::legacy(&two.gate, "/mcp/two").await;
        let stream = session.stream().await;
        assert_eq!(stream.head.status, 200);
        streams.push((session, stream));
        let subscriber = Caller::modern(&two.gate, "/mcp/two");
        let wanted = json!({"notifications": {"toolsListChanged": true}});
        let mut subscription = subscriber.request("9", "subscriptions/listen", wanted).await;
        assert_eq!(subscription.message().await["method"], "notifications/subscriptions/acknowledged");
        streams.push((subscriber, subscription));
    }
    two.gate.control_with("POST", "/v1/servers/two/resume", &json!({})).await;
    let in_flight = |endpoints: [serde_json::Value; 2]| endpoints.map(|endpoint| endpoint["in_flight"].clone());
    assert_eq!(in_flight(two.endpoints().await), [json!(0), json!(0)], "who listens is no call");
    let client = Caller::modern(&two.gate, "/mcp/two");
    for _ in 0..CALLS {
        works(&client).await;
    }
    let [one, other] = two.shares();
    assert!(one >= CALLS / 4 && other >= CALLS / 4, "{one} and {other}");
    // A call that answers as a stream of events is one, for as long as that lasts.
    let folder = tempfile::tempdir().expect("a folder");
    let go = folder.path().join("go");
    let mut held = client.call_with_progress("1", "1", "hold", json!({ "until": go })).await;
    held.message().await;
    let busy = in_flight(two.endpoints().await);
    assert!(busy == [json!(1), json!(0)] || busy == [json!(0), json!(1)], "{busy:?}");
    std::fs::write(&go, "").expect("a file");
    assert!(held.answer().await.get("result").is_some());
    drop(streams);
    wait::until("the end of all that listen and of the call", async || {
        (in_flight(two.endpoints().await) == [json!(0), json!(0)]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_whose_breaker_is_open_gets_no_calls_and_the_server_goes_on() {
    let lines = "breaker = { failures = 3, open_for = \"200ms\", max_open = \"300ms\" }\nretry.attempts = 1";
    let two = Two::start(Speaks::Both, [1, 1], lines).await;
    let client = Caller::modern(&two.gate, "/mcp/two");
    works(&client).await;
    two.faulty[0].set(Fault::Fails);
    wait::until("an open breaker", || async {
        call(&client).await;
        (two.endpoints().await[0]["breaker"]["state"] == "open").then_some(())
    })
    .await;
    let told = health(&two.gate).await["checks"]["server:two"].clone();
    assert!(
        told["message"].as_str().is_some_and(|text| text.starts_with("endpoint 1 of 2 is refused calls")),
        "{told}"
    );
    let (_, status) = two.gate.control("GET", "/v1/servers").await;
    assert_eq!(status[0]["state"], "degraded", "{status}");
    two.faulty[0].set(Fault::None);
    wait::until("a closed breaker", || async {
        works(&client).await;
        (two.endpoints().await[0]["breaker"]["state"] == "closed").then_some(())
    })
    .await;
}

#[tokio::test]
async fn checks_take_an_endpoint_out_and_back_in_and_leave_no_session_behind() {
    let lines = "health = { interval = \"100ms\", timeout = \"200ms\", fall = 2, rise = 2 }\n\
                 timeout = { connect = \"1s\", first_byte = \"20s\" }\nretry.attempts = 1";
    for (speaks, asked) in [(Speaks::Legacy, "ping"), (Speaks::Modern, "server/discover")] {
        let two = Two::start(speaks, [1, 1], lines).await;
        // It becomes known which era it speaks.
        let client = match speaks {
            Speaks::Legacy => Caller::legacy(&two.gate, "/mcp/two").await,
            _ => Caller::modern(&two.gate, "/mcp/two"),
        };
        works(&client).await;
        for behind in &two.behind {
            wait::until("a check", || async { (!behind.record.of(asked).is_empty()).then_some(()) }).await;
        }
        for fault in [Fault::Hangs, Fault::Gone, Fault::Babbles, Fault::Fails] {
            two.faulty[1].set(fault);
            wait::until("an endpoint that is out", || async {
                let trouble = two.endpoints().await[1]["trouble"].clone();
                (trouble == "does not answer checks").then_some(())
            })
            .await;
            let client = Caller::new(&two.gate, "/mcp/two", toolgate_tests::mcp::Era::Modern);
            for _ in 0..10 {
                works(&client).await;
            }
            two.faulty[1].set(Fault::None);
            wait::until("an endpoint that is back", || async {
                let endpoint = two.endpoints().await[1].clone();
                (endpoint.get("trouble").is_none() && endpoint["last_check"].get("problem").is_none()).then_some(())
            })
            .await;
        }
        if speaks == Speaks::Legacy {
            let opened = two.behind[0].record.of("initialize").len();
            wait::until("sessions that were ended", || async {
                let ended = two.behind[0].record.all().iter().filter(|said| said.message["http"] == "DELETE").count();
                (ended + 3 >= opened).then_some(())
            })
            .await;
        }
        let changes = two.gate.log().matches("an endpoint does not answer").count();
        assert_eq!(changes, 4, "told on change only");
    }
}

#[tokio::test]
async fn a_session_s_call_that_is_given_up_is_cancelled_where_it_runs_and_in_its_session() {
    // The answer to a tool that is cached is read on its way.
    let lines = "timeout.first_byte = \"300ms\"\ntool.echo.cache = { ttl = \"5m\" }";
    let two = Two::start(Speaks::Legacy, [1, 1], lines).await;
    for _ in 0..4 {
        two.behind.iter().for_each(|behind| behind.record.clear());
        let client = Caller::legacy(&two.gate, "/mcp/two").await;
        let own = usize::from(two.behind[0].record.of("initialize").is_empty());
        two.faulty.iter().for_each(|faulty| faulty.set(Fault::Opens));
        let (before, others) = (two.faulty[own].heard().len(), two.faulty[1 - own].heard().len());
        let answer = call(&client).await;
        assert_eq!(answer["error"]["code"], -31504, "{answer}");
        let heard = two.faulty[own].heard().split_off(before);
        let [called, cancelled] = heard.as_slice() else { panic!("a call and its cancellation: {heard:?}") };
        assert!(called.body.contains("tools/call") && cancelled.body.contains("notifications/cancelled"), "{heard:?}");
        for header in ["mcp-session-id", "mcp-protocol-version"] {
            assert!(called.headers.get(header).is_some(), "{heard:?}");
            assert_eq!(called.headers.get(header), cancelled.headers.get(header), "{heard:?}");
        }
        assert_eq!(two.faulty[1 - own].heard().len(), others, "the other endpoint hears nothing of it");
        two.faulty.iter().for_each(|faulty| faulty.set(Fault::None));
        client.end().await;
    }
}

#[tokio::test]
async fn a_server_whose_connections_are_all_in_use_passes_its_checks() {
    for speaks in [Speaks::Modern, Speaks::Legacy] {
        let server = Http::start(speaks).await;
        let lines = format!(
            "{}pool = {{ max_connections = 1, max_per_endpoint = 1 }}\ntimeout.connect = \"100ms\"\n\
             health = {{ interval = \"1h\", fall = 1 }}",
            server.endpoints()
        );
        let gate = Setup::default().server("busy", &lines).daemon("max_server_connections = 1").start().await;
        let client = match speaks {
            Speaks::Legacy => Caller::legacy(&gate, "/mcp/busy").await,
            _ => Caller::modern(&gate, "/mcp/busy"),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let go = folder.path().join("go");
        let mut held = client.call_with_progress("1", "1", "hold", json!({ "until": go })).await;
        held.message().await;
        for _ in 0..3 {
            let (_, outcome) = gate.control_with("POST", "/v1/servers/busy/check", &json!({})).await;
            let check = &outcome["checked"][0]["last_check"];
            assert!(check["age_ms"].is_u64() && check.get("problem").is_none(), "{outcome}");
        }
        std::fs::write(&go, "").expect("a file");
        assert!(held.answer().await.get("result").is_some());
        works(&client).await;
    }
}
