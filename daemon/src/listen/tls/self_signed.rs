//! A certificate of the daemon's own making, for a listener that has no other yet.
//!
//! Opening a listener calls it before the files are read. What is kept is used as long as it is
//! good for the same names and for another month; anything else there is made anew.

use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::settings::CertificateFiles;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Whoever trusts it trusts this very certificate, so an early end would protect nobody.
const VALID_FOR: Duration = DAY.saturating_mul(3650);
/// A certificate that ends sooner is made anew; warnings of the end begin here too.
const LEFT: Duration = DAY.saturating_mul(31);

/// Makes the two files, unless they are there and of use.
pub(in crate::listen) fn ensure(files: &CertificateFiles, names: &[String]) -> Result<(), String> {
    let now = SystemTime::now();
    if is_of_use(files, names, now) {
        return Ok(());
    }
    make(files, names, now).map_err(|error| {
        format!(
            "a certificate cannot be made in {}: {error}; let the user of the daemon write there, or name files in tls.certificates",
            files.chain.display()
        )
    })?;
    tracing::info!(chain = %files.chain.display(), "a self-signed certificate was made");
    Ok(())
}

fn is_of_use(files: &CertificateFiles, names: &[String], now: SystemTime) -> bool {
    let chain = CertificateDer::from_pem_file(&files.chain).ok();
    let good = chain.is_some_and(|chain| {
        X509Certificate::from_der(&chain).is_ok_and(|(_, leaf)| lasts(&leaf, now) && is_for(&leaf, names))
    });
    good && PrivateKeyDer::from_pem_file(&files.key).is_ok()
}

fn lasts(leaf: &X509Certificate<'_>, now: SystemTime) -> bool {
    let end = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(end) > now + LEFT
}

fn is_for(leaf: &X509Certificate<'_>, names: &[String]) -> bool {
    let Ok(Some(held)) = leaf.subject_alternative_name() else { return false };
    let holds = |name: &String| {
        let address = name.parse::<IpAddr>().ok();
        held.value.general_names.iter().any(|held| match (held, address) {
            (GeneralName::DNSName(held), None) => held == name,
            (GeneralName::IPAddress(held), Some(IpAddr::V4(address))) => **held == address.octets(),
            (GeneralName::IPAddress(held), Some(IpAddr::V6(address))) => **held == address.octets(),
            _ => false,
        })
    };
    names.iter().all(holds)
}

fn make(files: &CertificateFiles, names: &[String], now: SystemTime) -> io::Result<()> {
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, "Toolgate, self-signed");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Clocks of clients may be behind.
    params.not_before = (now - DAY).into();
    params.not_after = (now + VALID_FOR).into();
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    if let Some(folder) = files.chain.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    write(&files.key, &key.serialize_pem())?;
    write(&files.chain, &certificate.pem())
}

/// Whole or not at all: a start that was cut short must not leave half a key.
fn write(path: &Path, pem: &str) -> io::Result<()> {
    let begun = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&begun)?;
    file.write_all(pem.as_bytes())?;
    fs::rename(&begun, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::listen::tls::Certificates;

    struct Case {
        _folder: tempfile::TempDir,
        files: CertificateFiles,
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let within = folder.path().join("tls");
            let files = CertificateFiles { chain: within.join("a.crt"), key: within.join("a.key") };
            Self { _folder: folder, files }
        }

        fn ensure(&self, names: &[&str]) -> Vec<u8> {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            ensure(&self.files, &names).unwrap();
            fs::read(&self.files.chain).unwrap()
        }
    }

    #[test]
    fn is_made_once_and_can_be_served() {
        let case = Case::new();
        let made = case.ensure(&["localhost", "127.0.0.1", "::1"]);
        assert_eq!(made, case.ensure(&["localhost", "127.0.0.1", "::1"]));
        let served = Certificates::load(std::slice::from_ref(&case.files)).unwrap();
        let status = served.status();
        assert_eq!(status[0].names, ["localhost"]);
        assert!(status[0].not_after > SystemTime::now() + VALID_FOR - DAY);
        let permissions = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((permissions(&case.files.key), permissions(case.files.key.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn is_made_anew_where_it_is_no_longer_of_use() {
        let case = Case::new();
        let first = case.ensure(&["localhost"]);
        let second = case.ensure(&["localhost", "mcp.example.org"]);
        assert_ne!(first, second, "another name");
        let third = case.ensure(&["localhost", "192.0.2.7"]);
        assert_ne!(second, third, "another address");
        fs::write(&case.files.key, "").unwrap();
        assert_ne!(third, case.ensure(&["localhost", "192.0.2.7"]), "an empty key");
        let names = ["localhost".to_owned()];
        let nearly_over = SystemTime::now() + VALID_FOR - DAY;
        assert!(!is_of_use(&case.files, &names, nearly_over));
        assert!(is_of_use(&case.files, &names, SystemTime::now()));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let within = |name| file.path().join(name);
        let files = CertificateFiles { chain: within("a.crt"), key: within("a.key") };
        let problem = ensure(&files, &["localhost".to_owned()]).unwrap_err();
        assert!(problem.contains("a.crt") && problem.contains("tls.certificates"), "{problem}");
    }
}
