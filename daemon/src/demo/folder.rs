//! The demo's throw-away folder: configuration, certificate, sockets. Gone when dropped.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::text;

/// The folder.
pub(super) struct Folder {
    path: PathBuf,
    config: String,
}

impl Folder {
    /// A new folder that only this user may enter.
    pub(super) fn create() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("toolgate-demo-{}", random_hex(8)));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let config = text(&path.join("toolgate.toml"));
        Ok(Self { path, config })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration's path as an argument.
    pub(super) fn config_text(&self) -> &str {
        &self.config
    }

    /// Writes everything that the parts read, and gives back the API key.
    pub(super) fn write(&self, port: u16, upstream: u16) -> io::Result<String> {
        self.write_certificates()?;
        let (id, secret) = (random_hex(6), random_hex(32));
        let hash = hex(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
        let program = text(&std::env::current_exe()?);
        let path = text(&self.path);
        let config = format!(
            r#"version = 1

[daemon]
runtime_dir = "{path}/run"
state_dir = "{path}/state"
lame_duck = "0s"

[log]
level = "warn"
access = false

[listener.demo]
address = "127.0.0.1:{port}"
serve = ["mcp", "health", "ready"]
auth = "key"
tls.certificates = [{{ chain = "{path}/cert.pem", key = "{path}/cert-key.pem" }}]

[server.toys]
command = ["{program}", "demo-server", "--stdio"]

[server.clock]
endpoints = "http://127.0.0.1:{upstream}/mcp"

[key.{id}]
hash = "sha256:{hash}"
owner = "demo"
"#
        );
        self.write_file("toolgate.toml", config.as_bytes())?;
        Ok(format!("tg_{id}_{secret}"))
    }

    fn write_certificates(&self) -> io::Result<()> {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "Toolgate demo authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(authority, new_key()?).map_err(io::Error::other)?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let mut leaf = CertificateParams::new(names).map_err(io::Error::other)?;
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let key = new_key()?;
        let certificate = leaf.signed_by(&key, &authority).map_err(io::Error::other)?;
        self.write_file("ca.pem", authority.pem().as_bytes())?;
        self.write_file("cert.pem", certificate.pem().as_bytes())?;
        self.write_file("cert-key.pem", key.serialize_pem().as_bytes())
    }

    fn write_file(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path.join(name))?;
        file.write_all(content)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(problem) = fs::remove_dir_all(&self.path) {
            eprintln!("{} was left behind: {problem}", self.path.display());
        }
    }
}

fn new_key() -> io::Result<KeyPair> {
    KeyPair::generate().map_err(io::Error::other)
}

fn random_hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut random).expect("the system has a random source");
    hex(&random)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
