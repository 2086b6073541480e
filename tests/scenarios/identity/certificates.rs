//! Clients known by their certificates, and certificates that stop being good while somebody is connected.

use std::io;
use std::time::{Duration, SystemTime};

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::client_ca::{ClientCa, Shown, dns, uri};
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::http::{Connection, Target, request};
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::door::{ERAS, answered, client, first, known, refused, setup};

const AGENT: &str = "spiffe://example.org/agent/7";

const NAMED: &str = "[certificate.agents]\nsan = \"spiffe://example.org/agent/*\"\nowner = \"Agents\"\n\
    [certificate.batch]\nsubject = \"CN=batch\"\nscopes = [\"web/other\"]\n";

/// A gate that asks for certificates, as these lines of its listener have it.
async fn gate(ca: &ClientCa, auth: &str, lines: &str) -> (Http, Gate) {
    let (web, setup) = setup().await;
    (web, named(setup, ca, auth, lines).start().await)
}

fn named(setup: Setup, ca: &ClientCa, auth: &str, lines: &str) -> Setup {
    setup.auth(auth).listener(&ca.lines(lines)).table(NAMED)
}

fn agent(ca: &ClientCa) -> Shown {
    ca.issue(&[uri(AGENT)], "seven")
}

/// One request on a connection; in TLS 1.3 a server says only there that it refuses a certificate.
async fn ask(target: &Target) -> io::Result<u16> {
    let mut connection = target.connect().await?;
    ask_on(&mut connection).await.map(|(status, _)| status)
}

/// One call of the modern era: its status, and whether the connection ends with it.
async fn ask_on(connection: &mut Connection) -> io::Result<(u16, bool)> {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"name": "echo", "arguments": {}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let headers = [
        ("Accept", "application/json, text/event-stream"),
        ("Content-Type", "application/json"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "echo"),
    ];
    let raw = request("POST", "/mcp/web", "localhost", &headers, body.as_bytes());
    let (head, _) = connection.exchange(&raw).await?;
    Ok((head.status, head.is_last()))
}

/// Asks until it is refused.
async fn until_refused(connection: &mut Connection) -> (u16, bool) {
    let asking = async {
        loop {
            let asked = ask_on(connection).await.expect("an answer");
            if asked.0 != 200 {
                return asked;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(wait::PATIENCE, asking).await.expect("a refusal")
}

/// The alert by which a handshake was refused.
async fn alert(target: &Target) -> String {
    ask(target).await.expect_err("no answer").to_string()
}

#[tokio::test]
async fn a_certificate_says_who_calls_in_both_eras() {
    let ca = ClientCa::new("clients");
    let (_web, gate) = gate(&ca, "[\"certificate\"]", "tls.client_certificate = \"optional\"").await;
    let (agent, stranger) = (agent(&ca), ca.issue(&[dns("stranger.example.org")], "stranger"));
    for era in ERAS {
        answered(first(&client(&gate, gate.target_of(&agent), era), era).await).await;
        let batch = client(&gate, gate.target_of(&ca.issue(&[], "batch")), era);
        match era {
            // What it may not use does not exist for it.
            Era::Modern => {
                let answer = first(&batch, era).await.answer().await;
                assert_eq!(answer["error"]["data"]["reason"], "name-unknown", "{answer}");
            }
            Era::Legacy => drop(answered(first(&batch, era).await).await),
        }
        refused(first(&client(&gate, gate.target_of(&stranger), era), era).await, 403, "certificate-refused").await;
        refused(first(&client(&gate, gate.target().clone(), era), era).await, 403, "certificate-refused").await;
        // A credential that is not taken here is no reason to look at the certificate.
        let with_key = client(&gate, gate.target_of(&agent), era).with("X-API-Key", &gate.key());
        refused(first(&with_key, era).await, 401, "credential-refused").await;
    }
    let known = known(&gate).await;
    assert!(
        known.contains(&"certificate:agents".to_owned()) && known.contains(&"certificate:batch".to_owned()),
        "{known:?}"
    );
}

#[tokio::test]
async fn a_certificate_that_is_not_good_ends_the_handshake() {
    let (ca, other, namesake) = (ClientCa::new("clients"), ClientCa::new("others"), ClientCa::new("clients"));
    let (_web, gate) = gate(&ca, "[\"certificate\"]", "").await;
    let day = Duration::from_secs(86_400);
    let revoked = agent(&ca);
    let expired = ca.issue_with(&[uri(AGENT)], "seven", |params| {
        params.not_after = (SystemTime::now() - day).into();
    });
    let early = ca.issue_with(&[uri(AGENT)], "seven", |params| {
        params.not_before = (SystemTime::now() + day).into();
    });
    let for_servers = ca.issue_with(&[uri(AGENT)], "seven", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_eq!(ask(&gate.target_of(&revoked)).await.expect("an answer"), 200);
    ca.revoke(&[&revoked]);
    let target = gate.target_of(&revoked);
    let refusal = wait::until("the list to hold", async || ask(&target).await.err()).await;
    assert!(refusal.to_string().contains("CertificateRevoked"), "{refusal}");
    for (shown, wanted) in [
        (&expired, "CertificateExpired"),
        (&early, "CertificateExpired"),
        (&agent(&other), "UnknownCA"),
        (&agent(&namesake), "DecryptError"),
        (&for_servers, "UnsupportedCertificate"),
    ] {
        let alert = alert(&gate.target_of(shown)).await;
        assert!(alert.contains(wanted), "{wanted}: {alert}");
    }
    let alert = alert(gate.target()).await;
    assert!(alert.contains("CertificateRequired"), "{alert}");
    assert_eq!(ask(&gate.target_of(&agent(&ca))).await.expect("an answer"), 200);
}

#[tokio::test]
async fn what_is_shown_counts_and_nothing_weaker() {
    let ca = ClientCa::new("clients");
    let (_web, gate) = gate(&ca, "[\"key\", \"certificate\"]", "").await;
    let (agent, stranger) = (agent(&ca), ca.issue(&[dns("stranger.example.org")], "stranger"));
    for era in ERAS {
        // Both methods: no certificate is asked for by force.
        let missing = first(&client(&gate, gate.target().clone(), era), era).await;
        refused(missing, 401, "unauthenticated").await;
        let by_key = |target: Target, key: &str| client(&gate, target, era).with("X-API-Key", key);
        answered(first(&by_key(gate.target().clone(), &gate.key()), era).await).await;
        answered(first(&by_key(gate.target_of(&stranger), &gate.key()), era).await).await;
        refused(first(&by_key(gate.target_of(&agent), "tg_test_wrong"), era).await, 401, "credential-refused").await;
        let basic = client(&gate, gate.target_of(&agent), era).with("Authorization", "Basic YTpi");
        refused(first(&basic, era).await, 401, "unauthenticated").await;
        refused(first(&client(&gate, gate.target_of(&stranger), era), era).await, 403, "certificate-refused").await;
    }
}

#[tokio::test]
async fn a_session_is_its_clients_own_and_follows_a_renewed_certificate() {
    let ca = ClientCa::new("clients");
    let (_web, gate) = gate(&ca, "[\"certificate\"]", "any_certificate = true").await;
    let own = client(&gate, gate.target_of(&agent(&ca)), Era::Legacy).opened().await;
    let mut renewed = client(&gate, gate.target_of(&agent(&ca)), Era::Legacy);
    let mut other = client(&gate, gate.target_of(&ca.issue(&[dns("other")], "x")), Era::Legacy);
    (renewed.session, other.session) = (own.session.clone(), own.session.clone());
    answered(renewed.call("0", "echo", json!({})).await).await;
    let answer = refused(other.call("0", "echo", json!({})).await, 404, "session-unknown").await;
    assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains("never yours")), "{answer}");
    assert!(known(&gate).await.contains(&"certificate:dns:other".to_owned()));
}

/// What runs for a client when its certificate is revoked.
struct AtWork {
    call: tokio::task::JoinHandle<serde_json::Value>,
    stream: toolgate_tests::caller::Reply,
    session: Caller,
}

impl AtWork {
    async fn begin(gate: &Gate, shown: &Shown) -> Self {
        let session = client(gate, gate.target_of(shown), Era::Legacy).opened().await;
        let stream = session.stream().await;
        let caller = session.clone();
        let never = json!({"until": "/nonexistent/never"});
        let call = tokio::spawn(async move { caller.call("0", "hold", never).await.answer().await });
        wait::until("the call to run", async || {
            let (_, status) = gate.control("GET", "/v1/status").await;
            (status["calls_in_flight"].as_u64() >= Some(2)).then_some(())
        })
        .await;
        Self { call, stream, session }
    }
}

#[tokio::test]
async fn a_revoked_certificate_ends_calls_streams_and_sessions_and_leaves_others_alone() {
    let ca = ClientCa::new("clients");
    let (_web, gate) = gate(&ca, "[\"certificate\"]", "any_certificate = true").await;
    let (bad, good) = (agent(&ca), ca.issue(&[dns("good")], "good"));
    let mut open = gate.target_of(&bad).connect().await.expect("a connection");
    let mut others = gate.target_of(&good).connect().await.expect("a connection");
    assert_eq!(ask_on(&mut open).await.expect("an answer"), (200, false));
    assert_eq!(ask_on(&mut others).await.expect("an answer"), (200, false));
    let other = client(&gate, gate.target_of(&good), Era::Legacy).opened().await;
    let AtWork { call, mut stream, session } = AtWork::begin(&gate, &bad).await;

    let began = std::time::Instant::now();
    ca.revoke(&[&bad]);
    let answer = call.await.expect("no panic");
    println!("the call ended {:?} after its certificate was revoked", began.elapsed());
    assert_eq!(answer["error"]["data"]["reason"], "certificate-refused", "{answer}");
    while stream.next().await.is_some() {}
    assert_eq!(ask_on(&mut open).await.expect("an answer"), (403, true));
    // Its session is gone, for whoever comes with its name.
    let mut again = client(&gate, gate.target_of(&agent(&ca)), Era::Legacy);
    again.session = session.session;
    wait::until("the session to end", async || {
        (again.call("0", "echo", json!({})).await.head.status == 404).then_some(())
    })
    .await;
    assert_eq!(ask_on(&mut others).await.expect("an answer"), (200, false));
    answered(other.call("0", "echo", json!({})).await).await;
}

#[tokio::test]
async fn a_session_of_nobody_who_is_connected_ends_with_its_certificate_and_not_with_another_of_its_clients() {
    let ca = ClientCa::new("clients");
    let (_web, gate) = gate(&ca, "[\"certificate\"]", "").await;
    let (old, new, batch) = (agent(&ca), agent(&ca), ca.issue(&[], "batch"));
    let session = async |shown: &Shown| client(&gate, gate.target_of(shown), Era::Legacy).opened().await;
    let (of_old, _, _) = (session(&old).await, session(&new).await, session(&batch).await);
    let sessions = async || {
        let (_, listed) = gate.control("GET", "/v1/sessions").await;
        let rows = listed["sessions"].as_array().expect("rows").clone();
        let of = |client: &str| rows.iter().filter(|row| row["client"] == client).count();
        (of("certificate:agents"), of("certificate:batch"))
    };
    assert_eq!(sessions().await, (2, 1));
    ca.revoke(&[&old, &batch]);
    wait::until("the sessions to end", async || (sessions().await == (2, 0)).then_some(())).await;
    // Whoever has the new certificate goes on with what was begun under the old one.
    let renewed = of_old.through(gate.target_of(&new));
    answered(renewed.call("0", "echo", json!({})).await).await;
    ca.revoke(&[&old, &batch, &new]);
    wait::until("the sessions to end", async || (sessions().await == (0, 0)).then_some(())).await;
}

#[tokio::test]
async fn a_client_by_certificate_can_be_suspended() {
    let ca = ClientCa::new("clients");
    let (_web, gate) = gate(&ca, "[\"certificate\"]", "any_certificate = true").await;
    for (shown, id) in [(agent(&ca), "certificate%3Aagents"), (ca.issue(&[dns("x")], "x"), "certificate%3Adns%3Ax")] {
        let client = client(&gate, gate.target_of(&shown), Era::Modern);
        answered(first(&client, Era::Modern).await).await;
        let path = format!("/v1/clients/{id}/suspend");
        let (status, outcome) = gate.control_with("POST", &path, &json!({"say": "Ask SRE."})).await;
        assert_eq!(status, 200, "{outcome}");
        refused(first(&client, Era::Modern).await, 403, "suspended").await;
    }
    let (status, _) = gate.control_with("POST", "/v1/clients/certificate%3Anobody/suspend", &json!({})).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn resumption_is_no_way_around_a_list() {
    let ca = ClientCa::new("clients");
    for tickets in ["true", "false"] {
        let lines = format!("any_certificate = true\ntls.tickets = {tickets}");
        ca.revoke(&[]);
        let (_web, gate) = gate(&ca, "[\"certificate\"]", &lines).await;
        let shown = agent(&ca);
        let (resuming, anew) = (gate.resuming_target_of(&shown), gate.target_of(&shown));
        for _ in 0..2 {
            assert_eq!(ask(&resuming).await.expect("an answer"), 200);
        }
        ca.revoke(&[&shown]);
        wait::until("the list to hold", async || ask(&anew).await.err()).await;
        // Resumed without a look at the certificate, and refused all the same.
        assert_eq!(ask(&resuming).await.expect("an answer"), 403, "tickets = {tickets}");
    }
}

#[tokio::test]
async fn a_certificate_that_ends_is_refused_on_the_connection_that_it_opened() {
    let ca = ClientCa::new("clients");
    let (_web, gate) = gate(&ca, "[\"certificate\"]", "").await;
    let brief = ca.issue_with(&[uri(AGENT)], "seven", |params| {
        params.not_after = (SystemTime::now() + Duration::from_secs(3)).into();
    });
    let mut connection = gate.target_of(&brief).connect().await.expect("a connection");
    assert_eq!(ask_on(&mut connection).await.expect("an answer").0, 200);
    assert_eq!(until_refused(&mut connection).await, (403, true));
}

/// What health says of the listener's list.
async fn finding(gate: &Gate) -> (String, String) {
    // Known a moment after the first answer.
    let found = async || {
        let (_, health) = gate.control("GET", "/v1/health").await;
        health["checks"].as_array()?.iter().find(|check| check["name"] == "revocations:test").cloned()
    };
    let found = wait::until("a finding", found).await;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

#[tokio::test]
async fn a_list_that_is_broken_or_overdue_does_not_replace_a_good_one() {
    let ca = ClientCa::new("clients");
    let other = ClientCa::new("clients");
    let (_web, gate) = gate(&ca, "[\"certificate\"]", "").await;
    let (bad, good) = (agent(&ca), agent(&ca));
    assert_eq!(finding(&gate).await.0, "healthy");
    let earlier = ca.list(&[], SystemTime::now() + Duration::from_secs(3600));
    ca.revoke(&[&bad]);
    let target = gate.target_of(&bad);
    wait::until("the list to hold", async || ask(&target).await.err()).await;
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let whole = ca.list(&[], SystemTime::now() + Duration::from_secs(3600));
    let foreign = other.list(&[], SystemTime::now() + Duration::from_secs(3600));
    for list in ["", "nonsense", &whole[..whole.len() / 2], &ca.list(&[], hour_ago), &earlier, &foreign] {
        ca.write(list);
        let told = async || {
            let (status, message) = finding(&gate).await;
            (status == "warning").then_some(message)
        };
        let message = wait::until("health to say so", told).await;
        assert!(message.contains("crl.pem"), "{message}");
        assert!(ask(&target).await.is_err(), "the list before holds");
        assert_eq!(ask(&gate.target_of(&good)).await.expect("an answer"), 200);
        let alerts = async || {
            let (_, health) = gate.control("GET", "/v1/health").await;
            let fires =
                |alert: &serde_json::Value| alert["id"] == "revocations:test" && alert["recovered_ms"].is_null();
            health["alerts"].as_array().is_some_and(|alerts| alerts.iter().any(fires)).then_some(())
        };
        wait::until("an alert", alerts).await;
        ca.revoke(&[&bad]);
        wait::until("health to be well", async || (finding(&gate).await.0 == "healthy").then_some(())).await;
    }
}

#[tokio::test]
async fn an_overdue_list_denies_all_unless_it_is_to_warn_only() {
    let ca = ClientCa::new("clients");
    let shown = agent(&ca);
    ca.write(&ca.list(&[], SystemTime::now() - Duration::from_secs(60)));
    for (lines, status, wanted) in [("", "unhealthy", None), ("tls.crl_expired = \"warn\"", "warning", Some(200))] {
        let (_web, gate) = gate(&ca, "[\"certificate\"]", lines).await;
        assert_eq!(ask(&gate.target_of(&shown)).await.ok(), wanted, "{lines}");
        let (found, message) = finding(&gate).await;
        assert!(found == status && message.contains("overdue"), "{found}: {message}");
    }
    // One that becomes so while somebody is connected.
    ca.write(&ca.list(&[], SystemTime::now() + Duration::from_secs(3)));
    let (_web, gate) = gate(&ca, "[\"certificate\"]", "").await;
    let mut connection = gate.target_of(&shown).connect().await.expect("a connection");
    assert_eq!(ask_on(&mut connection).await.expect("an answer").0, 200);
    assert_eq!(until_refused(&mut connection).await, (403, true));
}

#[tokio::test]
async fn other_authorities_hold_for_open_connections_from_the_reload_on() {
    let (ca, next) = (ClientCa::new("clients"), ClientCa::new("next"));
    let (_web, mut gate) = gate(&ca, "[\"certificate\"]", "any_certificate = true").await;
    let mut connection = gate.target_of(&agent(&ca)).connect().await.expect("a connection");
    assert_eq!(ask_on(&mut connection).await.expect("an answer").0, 200);
    gate.change(|setup| {
        setup.without_listener_lines().auth("[\"certificate\"]").listener(&next.lines("any_certificate = true"))
    });
    gate.reload().await;
    assert_eq!(ask_on(&mut connection).await.expect("an answer"), (403, true));
    assert_eq!(ask(&gate.target_of(&agent(&next))).await.expect("an answer"), 200);
}

#[tokio::test]
async fn streams_end_with_their_certificate_and_the_session_goes_on_with_a_renewed_one() {
    let ca = ClientCa::new("clients");
    let (_web, gate) = gate(&ca, "[\"certificate\"]", "").await;
    let ends = SystemTime::now() + Duration::from_secs(8);
    let short = ca.issue_with(&[uri(AGENT)], "seven", |params| params.not_after = ends.into());
    let session = client(&gate, gate.target_of(&short), Era::Legacy).opened().await;
    let mut stream = session.stream().await;
    let never = json!({"until": "/nonexistent/never"});
    let mut call = session.call_with_progress("0", "\"p\"", "hold", never).await;
    assert_eq!(call.message().await["method"], "notifications/progress");
    while stream.next().await.is_some() {}
    assert!(SystemTime::now() > ends - Duration::from_secs(1), "not before the end, whose fraction does not count");
    let answer = call.message().await;
    let error = &answer["error"];
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-31403), &json!("certificate-refused")), "{answer}");
    assert!(
        error["message"].as_str().is_some_and(|text| text.starts_with("Your certificate has expired.")),
        "{answer}"
    );
    let mut renewed = client(&gate, gate.target_of(&agent(&ca)), Era::Legacy);
    renewed.session.clone_from(&session.session);
    answered(renewed.call("0", "echo", json!({})).await).await;
}
