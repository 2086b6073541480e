//! Where secrets are planted: keys of the configuration, what clients send, and what the gate makes itself.

use std::path::Path;

use tempfile::TempDir;

use super::search::hex;

/// A secret that nobody but its place knows.
pub(crate) struct Canary {
    /// The key that takes it, as the documentation writes it, or what sends it.
    pub(crate) place: &'static str,
    pub(crate) secret: String,
    /// It lies in a file that the configuration names.
    pub(crate) is_file: bool,
}

/// All of them, and the files of those that have one.
pub(crate) struct Canaries {
    all: Vec<Canary>,
    folder: TempDir,
}

/// Keys of the configuration, each with a file.
const KEYS: &[&str] = &[
    "server.NAME.bearer",
    "server.NAME.headers.NAME",
    "server.NAME.env.NAME",
    "server.NAME.credentials[].bearer",
    "server.NAME.credentials[].headers.NAME",
    "server.NAME.oauth.client_secret",
    "server.NAME.user_authorization.client_secret",
    "trace.headers.NAME",
    "alerts.webhook",
    "alerts.bearer",
    "issuer.NAME.secret",
    "seal.key",
    "seal.other_key",
];

/// What else is secret, or is said by a client who takes it for that.
const SENT: &[&str] = &[
    "a wrong key",
    "an unknown key",
    "a token",
    "a token of a listener for tokens",
    "a password",
    "a cookie",
    "a key in a path",
    "a key in a query",
    "an argument",
    "an argument of a failing call",
    "a header over HTTP/2",
    "a secret of several lines",
    "a literal of a refused configuration",
    "a misplaced secret",
];

impl Canaries {
    /// Makes them; each is another one with every run.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("toolgate-canaries-").tempdir().expect("a folder");
        let mut all = Vec::new();
        for (places, is_file) in [(KEYS, true), (SENT, false)] {
            all.extend(places.iter().map(|place| Canary { place, secret: secret(place), is_file }));
        }
        let canaries = Self { all, folder };
        for canary in canaries.all.iter().filter(|canary| canary.is_file) {
            let text = if canary.place == "alerts.webhook" { String::new() } else { canary.secret.clone() };
            canaries.write(canary.place, &text);
        }
        canaries
    }

    /// One that somebody else made.
    pub(crate) fn add(&mut self, place: &'static str, secret: &str) {
        self.all.push(Canary { place, secret: secret.to_owned(), is_file: false });
    }

    pub(crate) fn all(&self) -> &[Canary] {
        &self.all
    }

    /// The secret of a place.
    pub(crate) fn of(&self, place: &str) -> &str {
        &self.all.iter().find(|canary| canary.place == place).unwrap_or_else(|| panic!("no canary {place}")).secret
    }

    /// The folder of their files, which is none of the daemon's.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The reference that the configuration has in a place.
    pub(crate) fn reference(&self, place: &str) -> String {
        format!("\"file:{}\"", self.folder.path().join(place).display())
    }

    /// Writes the file of a place.
    pub(crate) fn write(&self, place: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(place);
        std::fs::write(&path, format!("{text}\n")).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    }
}

/// 64 hexadecimal digits: a key where a key is wanted, and a word in a header, a path or a variable.
fn secret(place: &str) -> String {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has a random source");
    let hex = hex(&bytes);
    // Where any text goes, one that is another when it is percent-encoded.
    if place.starts_with("seal.") || place.contains("path") || place.contains("query") {
        hex
    } else {
        format!("{hex}+/=")
    }
}

/// Keys that take a secret, by the documentation, which a test of the daemon holds to its table of keys.
pub(crate) fn documented() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/doc/configuration.md");
    let page = std::fs::read_to_string(page).expect("the documentation");
    let keys: Vec<_> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let key = cells.next()?.trim_matches('`').to_owned();
            cells.next()?.starts_with("a reference to a secret").then_some(key)
        })
        .collect();
    assert!(keys.len() >= KEYS.len(), "the page has another form: {keys:?}");
    keys
}
