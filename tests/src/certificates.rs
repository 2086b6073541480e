//! A certificate authority for one test, and a certificate for `localhost` that it signed.
//!
//! Scenarios call `Certificates::write`; the binary `certificates` does so for shells and Python.
//! Keys are P-256; nothing here is meant to be trusted by anything but the test that made it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Files in PEM.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority that clients trust.
    pub ca: PathBuf,
    /// The certificate for `localhost`, `127.0.0.1` and `::1`, leaf first.
    pub chain: PathBuf,
    /// Its key, PKCS#8.
    pub key: PathBuf,
    /// Chain and key in one file, as haproxy wants it.
    pub pair: PathBuf,
}

impl Certificates {
    /// Makes an authority and a certificate, and writes them into `folder`, which is made if needed.
    ///
    /// # Panics
    /// When the folder cannot be written: a test without certificates has nothing to do.
    #[must_use]
    pub fn write(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("folder of the certificates");
        let (authority, authority_pem) = authority();
        let (leaf, key) = leaf(&authority);
        let write = |name: &str, content: &str| {
            let path = folder.join(name);
            std::fs::write(&path, content).expect("a file of the certificates");
            // The gate warns of keys that every user can read, and rightly so.
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("its owner's right");
            path
        };
        Self {
            ca: write("ca.pem", &authority_pem),
            chain: write("chain.pem", &leaf),
            key: write("key.pem", &key),
            pair: write("pair.pem", &format!("{leaf}{key}")),
        }
    }
}

fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().expect("a P-256 key");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Toolgate test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).expect("a signed authority");
    (Issuer::new(params, key), certificate.pem())
}

fn leaf(authority: &Issuer<'static, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().expect("a P-256 key");
    let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
    let mut params = CertificateParams::new(names).expect("valid names");
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, authority).expect("a signed certificate");
    (certificate.pem(), key.serialize_pem())
}
