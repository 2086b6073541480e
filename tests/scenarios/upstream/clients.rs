//! Credentials of single clients, organisations and tiers: nothing that one opened is reached with another.

use serde_json::json;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::Offer;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::Era;

use crate::stage::{ERAS, client, echo, shown};

/// A gate before one server, whose clients have credentials of their own: ana, acme's bob, the tier's cid; dan has none.
async fn stage(more: &str) -> (Gate, Http) {
    let web = Http::start(Speaks::Both).await;
    let lines = r#"
bearer = "own"
headers.x-base = "base"
credentials = [
  { tier = "paid", bearer = "of-paid" },
  { organisation = "acme", bearer = "of-acme", headers.x-base = "acme" },
  { client = "key:ana1", bearer = "of-ana" },
]
"#;
    let gate = Setup::default()
        .server("web", &(web.endpoints() + lines + more))
        .server("other", &web.endpoints())
        .table("[organisation.acme]\n")
        .table("[tier.paid]\n")
        .key("ana1", "organisation = \"acme\"\ntier = \"paid\"")
        .key("bob1", "organisation = \"acme\"\ntier = \"paid\"")
        .key("cid1", "tier = \"paid\"")
        .key("dan1", "")
        .start()
        .await;
    (gate, web)
}

const WHO: [(&str, &str, &str); 4] = [
    ("ana1", "Bearer of-ana", "base"),
    ("bob1", "Bearer of-acme", "acme"),
    ("cid1", "Bearer of-paid", "base"),
    ("dan1", "Bearer own", "base"),
];

#[tokio::test]
async fn every_message_of_a_client_shows_its_most_telling_credential() {
    let (gate, web) = stage("").await;
    for era in ERAS {
        for (key, bearer, base) in WHO {
            let alone = client(&gate, "/mcp/web", era, key).await;
            let merged = client(&gate, "/mcp", era, key).await;
            web.record.clear();
            assert!(echo(&alone, "echo").await["result"].is_object());
            assert!(echo(&merged, "web__echo").await["result"].is_object());
            let listed = alone.request("1", "tools/list", json!({})).await.answer().await;
            assert!(listed["result"]["tools"].is_array(), "{listed}");
            for method in ["tools/call", "tools/list"] {
                let bearers = shown(&web, method, "authorization");
                assert!(
                    !bearers.is_empty() && bearers.iter().all(|shown| shown == bearer),
                    "{key} {method} {bearers:?}"
                );
                assert!(shown(&web, method, "x-base").iter().all(|shown| shown == base), "{key} {method}");
            }
        }
    }
    // What opened sessions there showed the same.
    for received in web.record.all() {
        let shown = received.headers["authorization"].as_str().unwrap_or_default();
        assert!(WHO.iter().any(|(_, bearer, _)| shown == *bearer), "{shown:?} {}", received.text);
    }
}

#[tokio::test]
async fn sessions_of_servers_are_not_shared_between_credentials() {
    let (gate, web) = stage("").await;
    for (key, bearer, _) in WHO {
        let legacy = client(&gate, "/mcp", Era::Legacy, key).await;
        assert!(echo(&legacy, "web__echo").await["result"].is_object());
        for received in web.record.of("tools/call") {
            let session = &received.who;
            let mut opened = web.record.all().into_iter().filter(|other| other.who == *session);
            assert!(opened.all(|other| other.headers["authorization"] == received.headers["authorization"]));
        }
        assert_eq!(shown(&web, "tools/call", "authorization").last().map(String::as_str), Some(bearer));
    }
}

#[tokio::test]
async fn answers_and_lists_that_are_kept_do_not_cross_credentials() {
    let (gate, web) = stage("cache.hints = true\ntool.echo.cache = { ttl = \"1h\", shared = true }\n").await;
    let hints = json!({"ttlMs": 3_600_000, "cacheScope": "public"});
    web.record.offer(&Offer { hints, ..Offer::default() });
    for (key, bearer, _) in WHO {
        let client = client(&gate, "/mcp/web", Era::Modern, key).await;
        web.record.clear();
        for _ in 0..2 {
            assert!(echo(&client, "echo").await["result"].is_object());
            client.request("1", "tools/list", json!({})).await.answer().await;
        }
        assert_eq!(shown(&web, "tools/call", "authorization"), [bearer], "asked once with its own, then kept");
        assert_eq!(shown(&web, "tools/list", "authorization"), [bearer]);
    }
}

#[tokio::test]
async fn a_client_without_a_credential_is_refused_where_each_needs_one() {
    let (gate, web) = stage("credentials_required = true\n").await;
    for era in ERAS {
        let merged = client(&gate, "/mcp", era, "dan1").await;
        let refused = echo(&merged, "web__echo").await;
        assert_eq!(refused["error"]["data"]["reason"], "no-credential", "{refused}");
        assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains("credential of their own")));
        assert!(echo(&merged, "other__echo").await["result"].is_object(), "other servers are as before");
        let ana = client(&gate, "/mcp/web", era, "ana1").await;
        assert!(echo(&ana, "echo").await["result"].is_object());
    }
    let bearers = web.record.all().into_iter().filter_map(|it| it.headers["authorization"].as_str().map(str::to_owned));
    assert!(bearers.into_iter().all(|bearer| bearer != "Bearer own"), "the gate's own was shown for nobody");
}

#[tokio::test]
async fn a_reload_that_takes_a_credential_away_ends_what_it_opened_and_nothing_else() {
    let (mut gate, web) = stage("").await;
    let ana = client(&gate, "/mcp/web", Era::Legacy, "ana1").await;
    let bob = client(&gate, "/mcp/web", Era::Legacy, "bob1").await;
    let dan = client(&gate, "/mcp/web", Era::Legacy, "dan1").await;
    let lines = "bearer = \"own\"\nheaders.x-base = \"base\"\ncredentials = [{ organisation = \"acme\", bearer = \"of-acme\", headers.x-base = \"acme\" }]\n";
    let lines = web.endpoints() + lines;
    gate.change(|setup| setup.server("web", &lines));
    gate.reload().await;
    assert_eq!(
        ana.call("1", "echo", json!({})).await.head.status,
        404,
        "its server is met with another credential now"
    );
    assert!(echo(&bob, "echo").await["result"].is_object());
    assert!(echo(&dan, "echo").await["result"].is_object());
    web.record.clear();
    let again = client(&gate, "/mcp/web", Era::Legacy, "ana1").await;
    assert!(echo(&again, "echo").await["result"].is_object());
    assert_eq!(shown(&web, "tools/call", "authorization"), ["Bearer of-acme"]);
}
