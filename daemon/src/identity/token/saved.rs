//! Keys of issuers as they were last fetched: for a process that starts while their issuer is away.
//!
//! A file per issuer in the folder `issuers` of the state. It says whose keys they are and where they came from: those of
//! another configuration are nobody's.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::KeySet;
use super::keys::LARGEST;
use crate::clock;
use crate::config::settings::{Issuer, KeySource};

#[derive(Serialize, Deserialize)]
struct Saved {
    whose: String,
    /// Milliseconds since 1970.
    fetched_ms: u64,
    /// The document as it came.
    document: String,
}

/// The file of one issuer.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    path: PathBuf,
    /// A digest of issuer and source: a URL may hold a credential.
    whose: String,
}

impl Shelf {
    /// None where nothing is fetched that could be missed.
    pub(super) fn new(folder: &Path, issuer: &Issuer) -> Option<Self> {
        let source = match &issuer.keys {
            KeySource::Url(endpoint, _) | KeySource::Discovered(endpoint, _) => &endpoint.url,
            KeySource::File(_) | KeySource::Secret(_) => return None,
        };
        let path = folder.join("issuers").join(format!("{}.json", issuer.name));
        let kind = matches!(issuer.keys, KeySource::Discovered(..));
        let digest = digest::digest(&digest::SHA256, format!("{kind}\0{}\0{source}", issuer.issuer).as_bytes());
        Some(Self { path, whose: URL_SAFE_NO_PAD.encode(digest) })
    }

    /// What was saved, and how old it is. May wait for a disk.
    pub(super) fn load(&self) -> Option<(KeySet, Duration)> {
        let text = fs::read(&self.path).ok().filter(|text| text.len() <= 2 * LARGEST + 4096)?;
        let saved: Saved = serde_json::from_slice(&text).ok()?;
        if saved.whose != self.whose {
            return None;
        }
        // A clock that was set back makes nothing younger than new.
        let age = Duration::from_millis(clock::unix_millis().saturating_sub(saved.fetched_ms));
        Some((KeySet::parse(saved.document.as_bytes()).ok()?, age))
    }

    /// Puts a document that came just now in the place of the one before. May wait for a disk.
    pub(super) fn save(&self, document: &[u8]) -> io::Result<()> {
        let document = String::from_utf8_lossy(document).into_owned();
        let saved = Saved { whose: self.whose.clone(), fetched_ms: clock::unix_millis(), document };
        let new = self.path.with_extension("new");
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(&saved)?)?;
        file.sync_all()?;
        fs::rename(new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn shelf(folder: &Path, lines: &str) -> Option<Shelf> {
        let text = format!(
            "version = 1\n[listener.a]\naddress = [\"127.0.0.1:1\"]\nauth = [\"jwt\"]\n[issuer.a]\nissuer = \"https://a.example\"\n{lines}"
        );
        Shelf::new(folder, &crate::config::from_text(&text).unwrap().issuers["a"])
    }

    #[test]
    fn what_was_saved_is_found_again_by_the_same_issuer_alone() {
        let folder = tempfile::tempdir().unwrap();
        let own = shelf(folder.path(), "jwks = \"https://a.example/keys\"").unwrap();
        assert!(own.load().is_none());
        own.save(DOCUMENT.as_bytes()).unwrap();
        own.save(DOCUMENT.as_bytes()).unwrap();
        let (keys, age) = own.load().unwrap();
        assert!(keys.len() == 1 && age < Duration::from_secs(60));
        assert!(shelf(folder.path(), "jwks = \"https://b.example/keys\"").unwrap().load().is_none());
        assert!(shelf(folder.path(), "").unwrap().load().is_none(), "discovered is another source");
        assert!(shelf(folder.path(), "jwks = \"file:/keys\"").is_none());
        for damage in ["", "{}", "\0"] {
            fs::write(&own.path, damage).unwrap();
            assert!(own.load().is_none());
        }
    }
}
