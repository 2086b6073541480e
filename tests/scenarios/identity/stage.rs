//! A gate that takes keys and tokens of four issuers, and credentials for it, good and bad.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::issuer::{Signer, Site, hs256, in_seconds, key_set};
use toolgate_tests::mcp::Era;

/// The path that is called.
pub(crate) const PATH: &str = "/mcp/web";

/// What is shared with the issuer `shared`.
pub(crate) const SECRET: &[u8] = b"a-secret-of-an-issuer-with-more-than-32-bytes";

/// Where the keys of `site` stand.
pub(crate) const KEYS: &str = "/keys.json";

/// Names of issuers, which are those of methods as well.
pub(crate) const ISSUERS: [&str; 3] = ["file", "site", "shared"];

/// A gate, its server, and its issuers.
pub(crate) struct Stage {
    pub(crate) gate: Gate,
    pub(crate) server: Http,
    pub(crate) site: Site,
    pub(crate) file: PathBuf,
    /// Signs for `file`.
    pub(crate) of_file: Signer,
    /// Signs for `site`.
    pub(crate) of_site: Signer,
    /// A server at a command, where there is one.
    pub(crate) stdio: Option<Stdio>,
    _folder: TempDir,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::with(|setup| setup, "").await
    }

    /// The same with more in its configuration; `lines` go into the table of the issuer `site`.
    pub(crate) async fn with(more: impl FnOnce(Setup) -> Setup, lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (of_file, of_site) = (Signer::es256("file-1"), Signer::rsa("site-1"));
        let (file, secret) = (folder.path().join("keys.json"), folder.path().join("secret"));
        std::fs::write(&file, key_set(&[&of_file])).expect("the keys");
        std::fs::write(&secret, SECRET).expect("the secret");
        let site = Site::start().await;
        site.publish(KEYS, &key_set(&[&of_site]));
        let server = Http::start(Speaks::Both).await;
        let issuer = |name: &str, lines: &str| {
            let scopes = "required_scopes = [\"mcp\"]\nclaims.scopes = \"tools\"";
            format!("[issuer.{name}]\nissuer = \"https://{name}.example\"\n{scopes}\n{lines}\n")
        };
        let setup = Setup::default()
            .server("web", &server.endpoints())
            .server("more", &server.endpoints())
            .listener("auth = [\"key\", \"jwt\"]")
            .key("other", "")
            .key("gone", "")
            .table(&issuer("file", &format!("jwks = \"file:{}\"", file.display())))
            .table(&issuer("site", &format!("jwks = \"{}\"\n{lines}", site.url(KEYS))))
            .table(&issuer("shared", &format!("secret = \"file:{}\"", secret.display())));
        let gate = more(setup).start().await;
        Self { gate, server, site, file, of_file, of_site, stdio: None, _folder: folder }
    }

    /// The URL of the gate without a path.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.gate.target().host)
    }

    /// What a good token of an issuer says of a subject.
    pub(crate) fn claims(&self, issuer: &str, subject: &str) -> Value {
        json!({
            "iss": format!("https://{issuer}.example"),
            "sub": subject,
            "aud": format!("{}{PATH}", self.url()),
            "exp": in_seconds(600),
            "scope": "openid mcp",
            "tools": "web/*",
        })
    }

    /// A token of an issuer that says this.
    pub(crate) fn token(&self, issuer: &str, claims: &Value) -> String {
        match issuer {
            "file" => self.of_file.token(claims),
            "site" => self.of_site.token(claims),
            _ => hs256(SECRET, &json!({"alg": "HS256", "typ": "JWT"}), claims),
        }
    }

    /// A good token.
    pub(crate) fn good(&self, issuer: &str, subject: &str) -> String {
        self.token(issuer, &self.claims(issuer, subject))
    }

    /// A client that shows this, or nothing.
    pub(crate) fn caller(&self, path: &str, era: Era, credential: Option<&str>) -> Caller {
        let caller = Caller::new(&self.gate, path, era);
        match credential {
            Some(credential) => caller.with("Authorization", &format!("Bearer {credential}")),
            None => caller.without("Authorization"),
        }
    }

    /// The status with which a modern call of `echo` at a path is answered, and the reason where it is an error.
    pub(crate) async fn calls(&self, path: &str, credential: &str) -> (u16, Option<String>) {
        let caller = self.caller(path, Era::Modern, Some(credential));
        let reply = caller.call("5", "echo", json!({})).await;
        let status = reply.head.status;
        let answer: Value = serde_json::from_str(&reply.text().await).unwrap_or_default();
        (status, answer["error"]["data"]["reason"].as_str().map(str::to_owned))
    }
}
