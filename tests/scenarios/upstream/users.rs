//! Servers that act for their users: each client is let in with what its own user allowed it, and with nothing else.

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::http::{Head, request};
use toolgate_tests::mcp::Era;
use toolgate_tests::provider::{Provider, form};
use toolgate_tests::wait;

use crate::stage::{ERAS, echo, health, shown};

/// Where browsers are told that the gate is; a scenario's browser knows its port.
const PUBLIC: &str = "https://localhost";

struct Stage {
    gate: Gate,
    web: Http,
    provider: Provider,
}

/// `more` goes into the server's table: a credential of the gate's own for whoever only looks.
async fn stage(more: &str) -> Stage {
    let provider = Provider::start().await;
    let web = Http::start(Speaks::Both).await;
    web.demand(&provider.living);
    let user = format!(
        "user_authorization = {{ issuer = {:?}, client_id = \"gate\", scopes = [\"crm.read\"], public_url = {PUBLIC:?} }}\n",
        provider.issuer()
    );
    let gate = Setup::default()
        .listener("hosts = [\"localhost\"]")
        .serve(&["mcp", "health", "ready", "status", "oauth"])
        .server("web", &(web.endpoints() + &user + more))
        .key("ana1", "")
        .key("bob1", "")
        .start()
        .await;
    Stage { gate, web, provider }
}

/// What lets the gate ask for lists with a credential of its own.
fn own(provider: &str) -> String {
    format!("oauth = {{ issuer = {provider:?}, client_id = \"gate\", client_secret = \"own\" }}\n")
}

async fn stage_with_own() -> Stage {
    let provider = Provider::start().await;
    let web = Http::start(Speaks::Both).await;
    web.demand(&provider.living);
    let issuer = provider.issuer();
    let lines = format!(
        "user_authorization = {{ issuer = {issuer:?}, client_id = \"gate\", public_url = {PUBLIC:?} }}\n{}",
        own(&issuer)
    );
    let gate = Setup::default()
        .listener("hosts = [\"localhost\"]")
        .serve(&["mcp", "health", "ready", "status", "oauth"])
        .server("web", &(web.endpoints() + &lines))
        .key("ana1", "")
        .key("bob1", "")
        .start()
        .await;
    Stage { gate, web, provider }
}

/// A client that shows URLs to its user, or none at all.
async fn client(gate: &Gate, era: Era, key: &str, urls: bool) -> Caller {
    with_key(gate, era, &gate.key_of(key), urls).await
}

/// The same with a key of which the files know nothing.
async fn with_key(gate: &Gate, era: Era, key: &str, urls: bool) -> Caller {
    let mut caller = Caller::new(gate, "/mcp/web", era).with("Authorization", &format!("Bearer {key}"));
    let capabilities = if urls { json!({"elicitation": {"form": {}, "url": {}}}) } else { json!({}) };
    if era == Era::Modern {
        caller.capabilities = capabilities;
        return caller;
    }
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "c", "version": "1"}});
    let reply = caller.request("0", "initialize", params).await;
    caller.session = reply.head.header("mcp-session-id").map(ToOwned::to_owned);
    let answer = reply.answer().await;
    assert!(answer["result"].is_object(), "{answer}");
    caller
}

/// The page that a refused call leads to.
fn page_of(answer: &Value, era: Era) -> String {
    let url = match era {
        Era::Legacy => {
            assert_eq!(answer["error"]["code"], -32042, "{answer}");
            &answer["error"]["data"]["elicitations"][0]["url"]
        }
        Era::Modern => {
            assert_eq!(answer["result"]["resultType"], "input_required", "{answer}");
            let asked = &answer["result"]["inputRequests"]["toolgate.url.1"];
            assert_eq!((&asked["method"], &asked["params"]["mode"]), (&json!("elicitation/create"), &json!("url")));
            &asked["params"]["url"]
        }
    };
    path_of(url.as_str().unwrap_or_else(|| panic!("no URL: {answer}")))
}

fn path_of(url: &str) -> String {
    url.strip_prefix(PUBLIC).unwrap_or_else(|| panic!("{url}")).to_owned()
}

/// A user's browser, which keeps the gate's cookie.
#[derive(Default)]
struct Browser {
    cookie: Option<String>,
}

impl Browser {
    async fn open(&mut self, gate: &Gate, method: &str, path: &str) -> (Head, String) {
        let mut headers: Vec<(&str, &str)> = Vec::new();
        headers.extend(self.cookie.as_deref().map(|cookie| ("Cookie", cookie)));
        if method == "POST" {
            headers.push(("Origin", PUBLIC));
        }
        let raw = request(method, path, "localhost", &headers, b"");
        let mut connection = gate.target().connect().await.expect("a connection");
        let (head, body) = connection.exchange(&raw).await.expect("an answer");
        if let Some(cookie) = head.header("set-cookie") {
            self.cookie = cookie.split(';').next().map(ToOwned::to_owned);
        }
        (head, String::from_utf8_lossy(&body).into_owned())
    }

    /// Reads the page, presses its button, and agrees at the provider; gives back where that sends it.
    async fn agree(&mut self, gate: &Gate, provider: &Provider, page: &str) -> String {
        let (head, _) = self.open(gate, "GET", page).await;
        assert_eq!(head.status, 200);
        let (head, body) = self.open(gate, "POST", page).await;
        assert_eq!(head.status, 303, "{body}");
        let location = head.header("location").expect("a place").to_owned();
        let at_provider = location.strip_prefix(&provider.issuer()).unwrap_or_else(|| panic!("{location}"));
        let target = toolgate_tests::http::Target::plain(provider.address.port());
        let mut connection = target.connect().await.expect("a connection");
        let raw = request("GET", at_provider, "localhost", &[], b"");
        let (head, body) = connection.exchange(&raw).await.expect("an answer");
        assert_eq!(head.status, 302, "{}", String::from_utf8_lossy(&body));
        path_of(head.header("location").expect("a place"))
    }

    /// The same to the end.
    async fn allow(&mut self, stage: &Stage, page: &str) {
        let back = self.agree(&stage.gate, &stage.provider, page).await;
        let (head, body) = self.open(&stage.gate, "GET", &back).await;
        assert!(head.status == 200 && body.contains("Done"), "{} {body}", head.status);
    }
}

#[tokio::test]
async fn a_client_is_led_to_its_user_and_its_retry_passes_with_the_users_token() {
    for era in ERAS {
        let stage = stage("").await;
        let ana = client(&stage.gate, era, "ana1", true).await;
        let page = page_of(&echo(&ana, "echo").await, era);
        assert!(stage.web.record.of("tools/call").is_empty(), "nothing runs before");
        let mut browser = Browser::default();
        let (head, body) = browser.open(&stage.gate, "GET", &page).await;
        assert!(body.contains("<b>ana1</b>") && body.contains("<b>web</b>") && body.contains("crm.read"), "{body}");
        assert!(head.header("content-security-policy").is_some_and(|it| it.starts_with("default-src 'none'")));
        assert!(!body.contains("<script") && head.header("cache-control") == Some("no-store"));
        browser.allow(&stage, &page).await;
        assert!(echo(&ana, "echo").await["result"].is_object(), "{era:?}");
        assert_eq!(
            shown(&stage.web, "tools/call", "authorization"),
            ["Bearer access-2"],
            "its first number was a code's"
        );
        let exchanged = stage.provider.asked();
        assert_eq!(exchanged[0]["redirect_uri"], format!("{PUBLIC}/oauth/callback"));
        assert_eq!(exchanged[0]["resource"], stage.web.url);
        // Another client of the same server is asked for itself.
        let bob = client(&stage.gate, era, "bob1", true).await;
        page_of(&echo(&bob, "echo").await, era);
        let log = stage.gate.log();
        assert!(
            !log.contains("access-") && !log.contains("refresh-") && !log.contains("code-"),
            "a secret is in the log"
        );
        assert!(!log.contains(&page["/oauth/start/".len()..]), "a link is in the log");
    }
}

#[tokio::test]
async fn a_client_that_shows_no_urls_is_told_in_words() {
    let stage = stage("").await;
    for era in ERAS {
        let ana = client(&stage.gate, era, "ana1", false).await;
        for answer in [echo(&ana, "echo").await, ana.request("1", "tools/list", json!({})).await.answer().await] {
            assert_eq!(answer["error"]["data"]["reason"], "no-credential", "{answer}");
            let words = answer["error"]["message"].as_str().expect("words");
            assert!(words.contains(&format!("{PUBLIC}/oauth/start/")), "{words}");
        }
    }
    assert_eq!(health(&stage.gate, "web").await["status"], "healthy", "that a user has to come is no trouble");
}

#[tokio::test]
async fn whoever_only_looks_is_answered_with_the_gates_own_credential() {
    let stage = stage_with_own().await;
    for era in ERAS {
        let ana = client(&stage.gate, era, "ana1", true).await;
        let listed = ana.request("1", "tools/list", json!({})).await.answer().await;
        assert!(listed["result"]["tools"].is_array(), "{listed}");
        page_of(&echo(&ana, "echo").await, era);
    }
    assert!(stage.web.record.of("tools/call").is_empty());
}

#[tokio::test]
async fn a_state_is_used_once_in_its_own_browser_and_for_its_own_client() {
    let stage = stage("").await;
    let ana = client(&stage.gate, Era::Modern, "ana1", true).await;
    let bob = client(&stage.gate, Era::Modern, "bob1", true).await;
    let (mut hers, mut his) = (Browser::default(), Browser::default());
    let page = page_of(&echo(&ana, "echo").await, Era::Modern);
    // Whoever is sent the link by another site does not press the button by that.
    let (head, _) = Browser::default().open(&stage.gate, "POST", &page).await;
    assert_eq!(head.status, 403);
    let back = hers.agree(&stage.gate, &stage.provider, &page).await;
    // His browser, on its way for his own client, is given her answer.
    his.agree(&stage.gate, &stage.provider, &page_of(&echo(&bob, "echo").await, Era::Modern)).await;
    let (head, body) = his.open(&stage.gate, "GET", &back).await;
    assert!(head.status == 400 && body.contains("another browser"), "{body}");
    assert!(echo(&bob, "echo").await["result"]["resultType"] == "input_required", "nothing was given to bob");
    let (head, _) = hers.open(&stage.gate, "GET", &back).await;
    assert_eq!(head.status, 200, "and hers is still good");
    let (head, body) = hers.open(&stage.gate, "GET", &back).await;
    assert!(head.status == 400 && body.contains("come back already"), "{body}");
    // What nobody made leads nowhere.
    for forged in ["/oauth/start/AAAA", "/oauth/callback?state=x&code=y", "/oauth/callback"] {
        let (head, _) = hers.open(&stage.gate, "GET", forged).await;
        assert!(matches!(head.status, 400 | 404), "{forged}: {}", head.status);
    }
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_refused_and_its_code_not_exchanged() {
    let stage = stage("").await;
    let ana = client(&stage.gate, Era::Modern, "ana1", true).await;
    stage.provider.tells_browsers("https://evil.example");
    let page = page_of(&echo(&ana, "echo").await, Era::Modern);
    let mut browser = Browser::default();
    let back = browser.agree(&stage.gate, &stage.provider, &page).await;
    let (head, body) = browser.open(&stage.gate, "GET", &back).await;
    assert!(head.status == 400 && body.contains("provider that you were sent to"), "{body}");
    assert!(stage.provider.asked().is_empty());
    // RFC 9207, section 2.4: it must be there where it was announced.
    let back = browser.agree(&stage.gate, &stage.provider, &page).await;
    let without = back.split("&iss=").next().expect("a query").to_owned();
    assert_eq!(browser.open(&stage.gate, "GET", &without).await.0.status, 400);
    assert!(stage.provider.asked().is_empty());
    assert!(form(back.split('?').nth(1).expect("a query"))["state"].is_string());
}

#[tokio::test]
async fn tokens_are_refreshed_with_rotation_and_outlive_the_process() {
    let mut stage = stage("").await;
    stage.provider.lifetime(2);
    let ana = client(&stage.gate, Era::Modern, "ana1", true).await;
    let page = page_of(&echo(&ana, "echo").await, Era::Modern);
    Browser::default().allow(&stage, &page).await;
    wait::until("a second refresh", async || {
        assert!(echo(&ana, "echo").await["result"]["content"].is_array());
        (stage.provider.asked_by("refresh_token") >= 2).then_some(())
    })
    .await;
    let kept = std::fs::read_to_string(stage.gate.folder().join("state/grants.json")).expect("the grants");
    assert!(kept.contains("key:ana1") && !kept.contains("refresh-") && !kept.contains("access-"), "{kept}");
    stage.gate.restart(Signal::TERM).await;
    let ana = client(&stage.gate, Era::Modern, "ana1", true).await;
    assert!(echo(&ana, "echo").await["result"]["content"].is_array(), "the user is not asked again");
    // Once the provider does not take the refresh token any more, the user is.
    stage.provider.forget_refresh();
    stage.provider.forget_access();
    wait::until("the user to be asked again", async || {
        let answer = echo(&ana, "echo").await;
        (answer["result"]["resultType"] == "input_required").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_revoked_grant_is_gone_at_once_with_what_it_opened() {
    let stage = stage("").await;
    let ana = client(&stage.gate, Era::Legacy, "ana1", true).await;
    let page = page_of(&echo(&ana, "echo").await, Era::Legacy);
    Browser::default().allow(&stage, &page).await;
    let opened = client(&stage.gate, Era::Legacy, "ana1", true).await;
    assert!(echo(&opened, "echo").await["result"].is_object() && echo(&ana, "echo").await["result"].is_object());
    let (status, listed) = stage.gate.control("GET", "/v1/grants").await;
    assert_eq!(
        (status, &listed["grants"][0]["client"], &listed["grants"][0]["server"]),
        (200, &json!("key:ana1"), &json!("web"))
    );
    let revoke = json!({"client": "key:ana1", "reason": "left", "dry_run": true});
    let (status, would) = stage.gate.control_with("POST", "/v1/servers/web/grants/revoke", &revoke).await;
    assert_eq!((status, &would["applied"]), (200, &json!(false)));
    assert!(echo(&ana, "echo").await["result"].is_object(), "a rehearsal changes nothing");
    let revoke = json!({"client": "key:ana1", "reason": "left"});
    let (status, _) = stage.gate.control_with("POST", "/v1/servers/web/grants/revoke", &revoke).await;
    assert_eq!(status, 200);
    page_of(&echo(&ana, "echo").await, Era::Legacy);
    assert_eq!(opened.call("1", "echo", json!({})).await.head.status, 404, "its session was opened with the grant");
    let (status, _) = stage.gate.control_with("POST", "/v1/servers/web/grants/revoke", &revoke).await;
    assert_eq!(status, 404);
    let (_, audit) = stage.gate.control("GET", "/v1/audit").await;
    assert!(audit.to_string().contains("grant.revoke"), "{audit}");
    let log = stage.gate.folder().join("state/audit.jsonl");
    let given = async || {
        let lines = std::fs::read_to_string(&log).expect("a log");
        let of_ana = |line: &&str| line.contains(r#""kind":"grant""#) && line.contains(r#""client":"key:ana1""#);
        lines.lines().find(of_ana).map(drop)
    };
    wait::until("a line of what was allowed", given).await;
}

#[tokio::test]
async fn what_users_allowed_a_key_is_forgotten_with_it() {
    let mut stage = stage("").await;
    let make = async |owner: &str| {
        let (status, made) = stage.gate.control_with("POST", "/v1/keys", &json!({ "owner": owner })).await;
        assert_eq!(status, 200, "{made}");
        (made["id"].as_str().expect("an id").to_owned(), made["key"].as_str().expect("a key").to_owned())
    };
    let ((kept_id, kept), (gone_id, gone)) = (make("kept").await, make("gone").await);
    for key in [&kept, &gone, &stage.gate.key_of("bob1")] {
        let caller = with_key(&stage.gate, Era::Modern, key, true).await;
        let page = page_of(&echo(&caller, "echo").await, Era::Modern);
        Browser::default().allow(&stage, &page).await;
        assert!(echo(&caller, "echo").await["result"].is_object());
    }
    let clients = async |gate: &Gate| {
        let (_, listed) = gate.control("GET", "/v1/grants").await;
        let rows = listed["grants"].as_array().cloned().unwrap_or_default();
        let mut clients: Vec<_> = rows.iter().filter_map(|row| row["client"].as_str().map(str::to_owned)).collect();
        clients.sort();
        clients
    };
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all
    };
    let (kept_id, gone_id, bob) = (format!("key:{kept_id}"), format!("key:{gone_id}"), "key:bob1".to_owned());
    let all = sorted(vec![kept_id.clone(), gone_id.clone(), bob.clone()]);
    let revoke = format!("/v1/keys/{}/revoke", &gone_id["key:".len()..]);
    let suspend = revoke.replace("revoke", "suspend");
    for (path, body, grants) in [(&revoke, json!({"dry_run": true}), 1), (&suspend, json!({}), 0)] {
        let (status, outcome) = stage.gate.control_with("POST", path, &body).await;
        assert_eq!((status, &outcome["grants"]), (200, &json!(grants)), "{outcome}");
        assert_eq!(clients(&stage.gate).await, all, "a key that may come again keeps them");
    }
    let (status, outcome) = stage.gate.control_with("POST", &revoke, &json!({})).await;
    assert_eq!((status, &outcome["grants"]), (200, &json!(1)), "{outcome}");
    assert_eq!(clients(&stage.gate).await, sorted(vec![kept_id.clone(), bob]));
    let file = std::fs::read_to_string(stage.gate.folder().join("state/grants.json")).expect("the file of grants");
    assert!(!file.contains(&gone_id), "it is not on the disk any more");
    // A key of the files ends with its lines.
    stage.gate.change(|setup| setup.without_key("bob1"));
    stage.gate.reload().await;
    assert_eq!(clients(&stage.gate).await, [kept_id]);
}
