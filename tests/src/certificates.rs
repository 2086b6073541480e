//! A certificate authority for one test, and a certificate for `localhost` that it signed.
//!
//! Scenarios call `Certificates::write`; the binary `certificates` does so for shells and Python.
//! Keys are P-256; nothing here is meant to be trusted by anything but the test that made it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

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
        Self::write_with(folder, |_| {})
    }

    /// The same with a certificate that ends at the beginning of the day, in UTC, that is so many days away.
    ///
    /// # Panics
    /// As [`Certificates::write`].
    #[must_use]
    pub fn write_ending(folder: &Path, days: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let (year, month, day) = civil(now / 86_400 + days);
        Self::write_with(folder, |params| params.not_after = rcgen::date_time_ymd(year, month, day))
    }

    fn write_with(folder: &Path, change: impl FnOnce(&mut CertificateParams)) -> Self {
        std::fs::create_dir_all(folder).expect("folder of the certificates");
        let (authority, authority_pem) = authority();
        let (leaf, key) = leaf(&authority, change);
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

fn leaf(authority: &Issuer<'static, KeyPair>, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let key = KeyPair::generate().expect("a P-256 key");
    let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
    let mut params = CertificateParams::new(names).expect("valid names");
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.use_authority_key_identifier_extension = true;
    change(&mut params);
    let certificate = params.signed_by(&key, authority).expect("a signed certificate");
    (certificate.pem(), key.serialize_pem())
}

/// Year, month and day of a number of days since 1970.
fn civil(mut days: u64) -> (i32, u8, u8) {
    let leap = |year: i32| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, u8::try_from(days + 1).expect("a day of a month"))
}
