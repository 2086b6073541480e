//! An authority whose certificates clients show: it issues, revokes, and writes its list as a file that a gate reads.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const DAY: Duration = Duration::from_secs(86_400);

/// An authority, with its files in a folder of its own.
pub struct ClientCa {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// What a client shows.
pub struct Shown {
    /// The certificate.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    serial: SerialNumber,
}

impl Clone for Shown {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key(), serial: self.serial.clone() }
    }
}

impl ClientCa {
    /// An authority of this name, with an empty list.
    ///
    /// # Panics
    /// When the folder cannot be written.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a P-256 key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).expect("a signed authority");
        let folder = tempfile::Builder::new().prefix("toolgate-client-ca-").tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("the authority's file");
        let authority = Self { issuer: Issuer::new(params, key), folder };
        authority.revoke(&[]);
        authority
    }

    /// The authority in PEM.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The list in PEM.
    #[must_use]
    pub fn crl(&self) -> PathBuf {
        self.folder.path().join("crl.pem")
    }

    /// The lines of a listener that asks for certificates of this authority.
    #[must_use]
    pub fn lines(&self, further: &str) -> String {
        let (ca, crl) = (self.ca(), self.crl());
        format!("tls.client_ca = \"file:{}\"\ntls.client_crl = \"file:{}\"\n{further}", ca.display(), crl.display())
    }

    /// A certificate with alternative names and a common name.
    ///
    /// # Panics
    /// When a name cannot stand in a certificate.
    #[must_use]
    pub fn issue(&self, names: &[SanType], common_name: &str) -> Shown {
        self.issue_with(names, common_name, |_| {})
    }

    /// The same with other contents.
    ///
    /// # Panics
    /// As [`ClientCa::issue`].
    pub fn issue_with(
        &self,
        names: &[SanType],
        common_name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Shown {
        let key = KeyPair::generate().expect("a P-256 key");
        let mut serial = [0; 16];
        aws_lc_rs::rand::fill(&mut serial).expect("random numbers");
        serial[0] = serial[0] & 0x7f | 1;
        let serial = SerialNumber::from_slice(&serial);
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(serial.clone());
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("a signed certificate");
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
        Shown { chain: vec![certificate.der().clone()], key, serial }
    }

    /// Writes a list of these, which is good for a day.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn revoke(&self, revoked: &[&Shown]) {
        self.write(&self.list(revoked, SystemTime::now() + DAY));
    }

    /// A list of these in PEM, to be replaced at a time; each has a higher number than those before.
    ///
    /// # Panics
    /// When that lies more than a day before now.
    #[must_use]
    pub fn list(&self, revoked: &[&Shown], next_update: SystemTime) -> String {
        static LISTS: AtomicU64 = AtomicU64::new(1);
        let now = SystemTime::now();
        let entry = |shown: &&Shown| RevokedCertParams {
            serial_number: shown.serial.clone(),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: (now - DAY).into(),
            next_update: next_update.into(),
            crl_number: SerialNumber::from(LISTS.fetch_add(1, Ordering::Relaxed)),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("a signed list").pem().expect("PEM")
    }

    /// Puts a text in the place of the list, as whoever fetches one should.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, list: &str) {
        let new = self.folder.path().join("crl.new");
        std::fs::write(&new, list).expect("a list");
        std::fs::rename(&new, self.crl()).expect("the list's name");
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A URI.
///
/// # Panics
/// When it cannot stand in a certificate.
#[must_use]
pub fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().expect("ASCII"))
}

/// A DNS name.
///
/// # Panics
/// When it cannot stand in a certificate.
#[must_use]
pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("ASCII"))
}
