//! What is done with the secrets: everything that succeeds, everything that fails, and everything that is looked at.

use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::{Gate, Setup, free_port, program};
use toolgate_tests::h2::{self, END_HEADERS, END_STREAM, block, frame, kind};
use toolgate_tests::http::{Target, request};
use toolgate_tests::lines::Lines;
use toolgate_tests::mcp::{Client, Era};
use toolgate_tests::wait;
use toolgate_tests::webhook::Webhook;

use super::places::Canaries;

/// A gate with a secret in each place, and a folder within its own for all that it answers.
pub(crate) struct Stage {
    pub(crate) gate: Gate,
    internal: Target,
    /// A listener that takes tokens.
    tokens: Target,
    webhook: Webhook,
    _web: Http,
    _local: Stdio,
}

impl Stage {
    pub(crate) async fn start(canaries: &mut Canaries) -> Self {
        let (webhook, web, local) =
            (Webhook::start().await, Http::start(Speaks::Both).await, Stdio::new(Speaks::Legacy));
        webhook.answer(500);
        let url = format!("http://{}/alerts?token={}", webhook.address, canaries.of("alerts.webhook"));
        canaries.write("alerts.webhook", &url);
        let (internal, tokens) = (free_port(), free_port());
        let reference = |place: &str| canaries.reference(place);
        let lines = format!(
            "bearer = {}\nheaders = {{ X-Canary = {} }}\n",
            reference("server.NAME.bearer"),
            reference("server.NAME.headers.NAME")
        );
        let more = format!(
            "credentials = [{{ client = \"key:test\", bearer = {}, headers = {{ X-Canary-Two = {} }} }}]\n",
            reference("server.NAME.credentials[].bearer"),
            reference("server.NAME.credentials[].headers.NAME")
        );
        let nowhere = "endpoints = \"http://127.0.0.1:1/mcp\"\n";
        let provider = "token_endpoint = \"http://127.0.0.1:1/token\", client_id = \"gate\"";
        let granted = format!(
            "{nowhere}oauth = {{ {provider}, client_secret = {} }}\n",
            reference("server.NAME.oauth.client_secret")
        );
        let asks = format!(
            "{nowhere}user_authorization = {{ {provider}, authorization_endpoint = \"http://127.0.0.1:1/authorize\", public_url = \"https://127.0.0.1:1\", client_secret = {} }}\n",
            reference("server.NAME.user_authorization.client_secret")
        );
        let setup = Setup::default()
            .server("web", &(web.endpoints() + &lines))
            .server("local", &(local.command() + &format!("env = {{ TOKEN = {} }}\n", reference("server.NAME.env.NAME"))))
            .server("more", &(web.endpoints() + &more))
            .server("granted", &granted)
            .server("asks", &asks)
            .table(&format!(
                "[trace]\nendpoint = \"http://127.0.0.1:1\"\nsample = \"100%\"\nheaders = {{ X-Key = {} }}\n",
                reference("trace.headers.NAME")
            ))
            .serve(&["mcp", "health", "ready", "oauth"])
            .listener("key_in_path = true")
            .table(&format!(
                "[listener.internal]\naddress = \"127.0.0.1:{internal}\"\nserve = [\"health\", \"ready\", \"metrics\", \"status\"]\n"
            ))
            .table(&format!(
                "[alerts]\nwebhook = {}\nbearer = {}\n",
                reference("alerts.webhook"),
                reference("alerts.bearer")
            ))
            .table(&format!("[seal]\nkey = {}\nother_key = {}\n", reference("seal.key"), reference("seal.other_key")))
            .table(&format!(
                "[issuer.canary]\nissuer = \"https://issuer.example\"\nalgorithms = [\"HS256\"]\nsecret = {}\n",
                reference("issuer.NAME.secret")
            ))
            .table(&format!("[listener.tokens]\naddress = \"127.0.0.1:{tokens}\"\nserve = [\"mcp\"]\nauth = [\"jwt\"]\n"))
            .table("[check.gone]\nfile = \"/nonexistent\"\ninterval = \"1s\"\ncritical = true\n");
        let gate = setup.start().await;
        let pem = std::fs::read_to_string(&gate.certificates().key).expect("the key of the certificate");
        canaries.add("the key of a certificate", pem.lines().nth(1).expect("a line of it"));
        let key = gate.key();
        canaries.add("an API key", key.rsplit('_').next().expect("its secret"));
        std::fs::create_dir(gate.folder().join("seen")).expect("a folder");
        let stage = Self {
            gate,
            internal: Target::plain(internal),
            tokens: Target::plain(tokens),
            webhook,
            _web: web,
            _local: local,
        };
        stage.log_everything().await;
        stage
    }

    async fn log_everything(&self) {
        let (status, answer) = self.gate.control_with("PUT", "/v1/log", &json!({ "level": "trace" })).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Keeps what somebody was answered, for the search.
    pub(crate) fn seen(&self, name: &str, what: impl AsRef<[u8]>) {
        let name = name.replace(['/', ' ', '?'], "_");
        std::fs::write(self.gate.folder().join("seen").join(name), what).expect("a file");
    }

    /// Where a secret may be: files that hold nothing else.
    pub(crate) fn resting(&self) -> Vec<PathBuf> {
        let certificates = self.gate.certificates();
        vec![certificates.key.clone(), certificates.pair.clone()]
    }

    async fn client(&self, path: &str, era: Era) -> Client {
        Client::connect(self.gate.target(), path, Some(&self.gate.key()), era).await.expect("a client")
    }

    /// Calls that work, by every way in which a credential comes.
    pub(crate) async fn succeed(&self, canaries: &Canaries) {
        let mut tail = Lines::follow(&self.gate.runtime_dir(), "/v1/requests/tail").await;
        let mut watch =
            Lines::follow(&self.gate.runtime_dir(), "/v1/watch?topics=overview,sessions,calls,clients&interval=1000")
                .await;
        let arguments = json!({ "password": canaries.of("an argument") });
        for (path, era) in
            [("/mcp/web", Era::Legacy), ("/mcp/web", Era::Modern), ("/mcp/local", Era::Legacy), ("/mcp", Era::Legacy)]
        {
            let mut client = self.client(path, era).await;
            let tool = if path == "/mcp" { "web__echo" } else { "echo" };
            let answer = client.call(tool, arguments.clone()).await.expect("an answer");
            assert!(answer.succeeded(), "{path}: {}", answer.body);
            client.request("tools/list", json!({})).await.expect("a list");
        }
        let mut client = self.client("/mcp/more", Era::Modern).await;
        let answer = client.call("echo", arguments.clone()).await.expect("an answer");
        assert!(answer.succeeded(), "/mcp/more: {}", answer.body);
        // Nobody is there, neither the servers nor those who would give tokens.
        for path in ["/mcp/granted", "/mcp/asks"] {
            let mut client = self.client(path, Era::Modern).await;
            assert!(!client.call("echo", arguments.clone()).await.expect("an answer").succeeded(), "{path}");
        }
        let key = self.gate.key();
        let initialize = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        for (path, header) in
            [("/mcp/web".to_owned(), Some(("X-API-Key", key.as_str()))), (format!("/mcp/{key}"), None)]
        {
            let headers: Vec<_> = header.into_iter().collect();
            let status = self.asked("a key", &path, &headers, initialize).await;
            assert_ne!(status, 401, "{path}");
        }
        let line = tail.until("a call", |line| (line["type"] == "request").then(|| line.clone())).await;
        self.seen("tail", line.to_string());
        let mut watched = Vec::new();
        for _ in 0..20 {
            watched.push(watch.next().await.to_string());
        }
        self.seen("watch", watched.join("\n"));
    }

    /// A request of a client with headers of its own, and what it is answered.
    async fn asked(&self, name: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
        let mut connection = self.gate.target().connect().await.expect("a connection");
        let more = [("Accept", "application/json, text/event-stream"), ("Content-Type", "application/json")];
        let headers: Vec<_> = more.into_iter().chain(headers.iter().copied()).collect();
        let raw = request("POST", path, &self.gate.target().host, &headers, body);
        let (head, body) = connection.exchange(&raw).await.expect("an answer");
        self.seen(&format!("answer to {name}"), [format!("{head:?}").as_bytes(), &body].concat());
        head.status
    }

    /// Everything that goes wrong, at clients, servers, operators and files.
    pub(crate) async fn fail(&mut self, canaries: &Canaries) {
        self.refused(canaries).await;
        self.by_token(canaries).await;
        self.over_http2(canaries).await;
        self.servers_fail(canaries).await;
        self.files_are_wrong(canaries).await;
        let webhook = &self.webhook;
        wait::until("an alert that the webhook refuses", async || (webhook.refused() > 0).then_some(())).await;
    }

    async fn refused(&self, canaries: &Canaries) {
        let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let of = |place: &str| canaries.of(place).to_owned();
        let wrong = format!("Bearer tg_test_{}", of("a wrong key"));
        let unknown = format!("tg_nobody_{}", of("an unknown key"));
        let token = format!("Bearer eyJhbGciOiJub25lIn0.{}.x", of("a token"));
        let password = format!("Basic {}", of("a password"));
        let in_path = format!("/mcp/tg_test_{}", of("a key in a path"));
        let in_query = format!("/mcp/web?access_token={}", of("a key in a query"));
        let cookie = of("a cookie");
        for (name, path, headers) in [
            ("a wrong key", "/mcp/web", vec![("Authorization", wrong.as_str())]),
            ("an unknown key", "/mcp/web", vec![("X-API-Key", unknown.as_str())]),
            ("a token", "/mcp/web", vec![("Authorization", token.as_str())]),
            (
                "a password",
                "/mcp/web",
                vec![("Authorization", password.as_str()), ("Proxy-Authorization", password.as_str())],
            ),
            ("a cookie", "/mcp/web", vec![("Cookie", cookie.as_str())]),
            ("a key in a path", in_path.as_str(), vec![]),
            ("a key in a query", in_query.as_str(), vec![]),
        ] {
            assert_eq!(self.asked(name, path, &headers, ping).await, 401, "{name}");
        }
    }

    async fn by_token(&self, canaries: &Canaries) {
        let secret = canaries.of("a token of a listener for tokens");
        for (name, token) in
            [("no form", secret.to_owned()), ("form", format!("eyJhbGciOiJIUzI1NiJ9.e30.{}", &secret[..64]))]
        {
            let mut connection = self.tokens.connect().await.expect("a connection");
            let bearer = format!("Bearer {token}");
            let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
            let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
            let raw = request("POST", "/mcp/web", &self.tokens.host, &headers, ping);
            let (head, body) = connection.exchange(&raw).await.expect("an answer");
            assert_eq!(head.status, 401, "a token of {name}");
            self.seen(&format!("answer to a token of {name}"), [format!("{head:?}").as_bytes(), &body].concat());
        }
    }

    async fn over_http2(&self, canaries: &Canaries) {
        let mut client = h2::Client::connect(&self.gate.h2_target()).await.expect("a connection");
        let bearer = format!("Bearer {}", canaries.of("a header over HTTP/2"));
        let host = self.gate.target().host.clone();
        let headers: [(&[u8], &[u8]); 6] = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":path", b"/mcp/web"),
            (b":authority", host.as_bytes()),
            (b"authorization", bearer.as_bytes()),
            (b"x-api-key", bearer.as_bytes()),
        ];
        client.send(&frame(kind::HEADERS, END_STREAM | END_HEADERS, 1, &block(&headers))).await.expect("sends");
        let outcome = client.outcome(1).await;
        self.seen("answer over HTTP/2", format!("{outcome:?}"));
    }

    async fn servers_fail(&self, canaries: &Canaries) {
        let note = canaries.of("an argument of a failing call");
        for (path, tool, more) in [
            ("/mcp/web", "status", json!({ "status": 401, "body": "who are you?" })),
            ("/mcp/web", "status", json!({ "status": 500, "body": "" })),
            ("/mcp/web", "garbage", json!({})),
            ("/mcp/web", "cut", json!({})),
            ("/mcp/local", "garbage", json!({})),
            ("/mcp/local", "exit", json!({})),
            ("/mcp/web", "no_such_tool", json!({})),
        ] {
            let mut arguments = more;
            arguments["note"] = note.into();
            for era in [Era::Legacy, Era::Modern] {
                let mut client = self.client(path, era).await;
                // Whatever comes of it: a connection that breaks off is one of the ways to fail.
                let _ = client.call(tool, arguments.clone()).await;
            }
        }
        let mut connection = self.gate.target().connect().await.expect("a connection");
        let bearer = format!("Bearer {}", self.gate.key());
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"note\":\"{note}\"");
        let raw = request("POST", "/mcp/web", &self.gate.target().host, &headers, body.as_bytes());
        let (head, body) = connection.exchange(&raw).await.expect("an answer");
        self.seen("answer to half a message", [format!("{head:?}").as_bytes(), &body].concat());
    }

    /// Secrets where they do not fit: the reload is refused, and what is said of it tells none.
    async fn files_are_wrong(&mut self, canaries: &Canaries) {
        canaries.write("server.NAME.bearer", &format!("{}\nmore", canaries.of("a secret of several lines")));
        self.reload_in_vain("several lines").await;
        canaries.write("server.NAME.bearer", canaries.of("server.NAME.bearer"));
        canaries.write("seal.key", &canaries.of("a secret of several lines")[..40]);
        self.reload_in_vain("a short key").await;
        canaries.write("seal.key", canaries.of("seal.key"));
        let literal = canaries.of("a literal of a refused configuration").to_owned();
        let misplaced = canaries.of("a misplaced secret").to_owned();
        self.gate.change(|setup| {
            setup
                .table(&format!("[server.literal]\nendpoints = \"http://127.0.0.1:1/mcp\"\nbearer = \"{literal}\"\nbaerer = \"{literal}\"\n"))
                .table(&format!("[key.misplaced]\nhash = \"tg_misplaced_{misplaced}\"\n"))
        });
        self.reload_in_vain("a literal").await;
        self.toolgated("check", &["check"]);
        self.toolgated("check as JSON", &["check", "--json"]);
        self.toolgated("check with a dump", &["check", "--dump"]);
        self.gate.change(|setup| setup.without_table("[server.literal]").without_table("[key.misplaced]"));
        self.gate.reload().await;
        self.log_everything().await;
        self.toolgated("a good check with a dump", &["check", "--dump"]);
    }

    async fn reload_in_vain(&self, name: &str) {
        let (status, answer) = self.gate.control("POST", "/v1/config/reload").await;
        assert!(status >= 400, "{name}: {answer}");
        self.seen(&format!("reload with {name}"), answer.to_string());
        let (_, answer) = self.gate.control("POST", "/v1/config/check").await;
        self.seen(&format!("check of {name}"), answer.to_string());
    }

    fn toolgated(&self, name: &str, words: &[&str]) {
        let output = Command::new(program("toolgated")).args(words).arg(self.config()).output().expect("toolgated");
        self.seen(&format!("toolgated {name}"), [output.stdout, output.stderr].concat());
    }

    fn toolgate(&self, words: &[&str]) -> Vec<u8> {
        let mut command = Command::new(program("toolgate"));
        let output = command.arg("--socket-dir").arg(self.gate.runtime_dir()).args(words).output().expect("toolgate");
        let said = [output.stdout, output.stderr].concat();
        self.seen(&format!("toolgate {}", words.join(" ")), &said);
        said
    }

    fn config(&self) -> PathBuf {
        self.gate.folder().join("toolgate.toml")
    }

    /// Everything that anybody can look at.
    pub(crate) async fn look(&self) {
        for page in ["/health", "/ready", "/metrics"] {
            let mut connection = self.internal.connect().await.expect("a connection");
            let (_, body) =
                connection.exchange(&request("GET", page, &self.internal.host, &[], b"")).await.expect("an answer");
            self.seen(page, body);
        }
        let (_, schema) = self.gate.control("GET", "/v1/schema").await;
        self.seen("schema", schema.to_string());
        let paths: Vec<_> = schema["paths"]
            .as_object()
            .expect("paths")
            .iter()
            .filter(|(path, verbs)| !path.contains('{') && verbs.get("get").is_some())
            .map(|(path, _)| path.clone())
            .collect();
        assert!(paths.len() > 10, "{paths:?}");
        for path in paths.iter().filter(|path| !["/v1/watch", "/v1/requests/tail"].contains(&path.as_str())) {
            let (_, answer) = self.gate.control("GET", path).await;
            self.seen(path, answer.to_string());
        }
        let (_, history) = self.gate.control("GET", "/v1/config/history").await;
        for revision in history["revisions"].as_array().into_iter().flatten() {
            let number = &revision["revision"];
            let (_, answer) = self.gate.control("GET", &format!("/v1/config/history/{number}")).await;
            self.seen(&format!("revision {number}"), answer.to_string());
        }
        let sessions = self.gate.control("GET", "/v1/sessions").await.1;
        for session in sessions["rows"].as_array().into_iter().flatten() {
            let handle = session["handle"].as_str().or(session["id"].as_str()).unwrap_or_default();
            let (_, answer) = self.gate.control("GET", &format!("/v1/sessions/{handle}")).await;
            self.seen(&format!("session {handle}"), answer.to_string());
        }
        for words in [
            &["status"][..],
            &["health"],
            &["alerts"],
            &["certs"],
            &["limits"],
            &["config", "show"],
            &["config", "check"],
            &["config", "history"],
            &["config", "diff"],
            &["server", "list"],
            &["server", "show", "web"],
            &["server", "show", "local"],
            &["clients", "list"],
            &["sessions", "list"],
            &["calls", "list"],
            &["tools", "list"],
            &["queues", "list"],
            &["cache", "show"],
            &["seal", "show"],
            &["audit", "tail"],
            &["top", "--once"],
        ] {
            self.toolgate(words);
            self.toolgate(&[&["--json"], words].concat());
        }
        let tape = self.gate.folder().join("seen/tape");
        self.toolgate(&["record", "--for", "2s", tape.to_str().expect("UTF-8")]);
    }

    /// A backup that nothing seals, unpacked.
    pub(crate) fn back_up(&self) {
        let file = self.gate.folder().join("open.backup");
        let said = self.toolgate(&[
            "backup",
            "create",
            file.to_str().expect("UTF-8"),
            "--config",
            self.config().to_str().expect("UTF-8"),
            "--state-dir",
            self.gate.folder().join("state").to_str().expect("UTF-8"),
        ]);
        let packed = std::fs::read(&file).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said)));
        self.seen("backup", zstd::decode_all(packed.as_slice()).expect("zstd"));
    }

    pub(crate) async fn stop(&mut self) {
        self.gate.signal(Signal::TERM);
        self.gate.ended().await;
    }
}
