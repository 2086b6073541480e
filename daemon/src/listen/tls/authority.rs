//! Whose certificates clients of a listener may show: authorities and revoked certificates, read from files and replaced
//! while serving.
//!
//! Each handshake asks it, and so does each connection that is open once its generation has changed. What cannot be
//! read, a list that is overdue while the one before is not, and one from before that, never replaces what is held.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::certificates::{CertificateError, Stamp, read_chain, stamp};
use super::revoked::{Issues, Revoked, goes_back};
use crate::config::settings::ClientTls;
use crate::lock::lock;

/// Changes whenever what was good before may not be any more; 0 for a listener that asks for no certificates.
pub type Generation = Arc<AtomicU64>;

/// The next generation of any authority.
fn next_generation() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// What a listener's certificates of clients are held against.
#[derive(Debug)]
pub struct Authority {
    settings: ClientTls,
    trust: ArcSwap<Trust>,
    generation: Generation,
    files: Mutex<Files>,
    /// Read by those who must not wait for a file system that hangs.
    status: ArcSwap<Status>,
}

#[derive(Debug)]
struct Trust {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Certificates on the list, and when it is overdue.
    list: Option<(usize, Option<SystemTime>)>,
    issues: Issues,
}

type Stamps = [Option<Stamp>; 2];

#[derive(Debug)]
struct Files {
    /// As they were last read, whether they were accepted or not.
    read: Stamps,
    /// Of a change seen by the last poll: acted upon when it has come to rest.
    moving: Option<Stamps>,
    /// Whether connections were told that the list is overdue.
    ended: bool,
}

/// How the list of revoked certificates does, for health.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Its file; none: nothing is looked up.
    pub file: Option<PathBuf>,
    /// Certificates on it.
    pub count: usize,
    /// When a newer one should be there.
    pub next_update: Option<SystemTime>,
    /// No certificate is good once that is past.
    pub denies: bool,
    /// Why newer files are not held against certificates instead.
    pub refused: Option<CertificateError>,
}

impl Status {
    /// Whether a newer list should be there.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.next_update.is_some_and(|next| next <= SystemTime::now())
    }
}

impl Authority {
    /// Reads the files. Whoever asked another authority comes here once it is published.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn load(settings: &ClientTls, generation: &Generation) -> Result<Self, CertificateError> {
        let read = stamps(settings);
        let trust = Trust::read(settings)?;
        let status = ArcSwap::from_pointee(trust.status(settings, None));
        Ok(Self {
            settings: settings.clone(),
            trust: ArcSwap::from_pointee(trust),
            generation: Arc::clone(generation),
            files: Mutex::new(Files { read, moving: None, ended: false }),
            status,
        })
    }

    /// Has every certificate held against what is known now; where it can be asked already.
    pub fn publish(&self) {
        self.generation.store(next_generation(), Ordering::Release);
    }

    /// Whether a chain, the leaf first, is good now.
    ///
    /// # Errors
    /// Why it is not.
    pub fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        let (leaf, others) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        self.trust.load().verifier.verify_client_cert(leaf, others, UnixTime::now()).map(drop)
    }

    /// How the list of revoked certificates does.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    /// Reads the files again where they changed and have come to rest between two calls. What is newly refused is
    /// returned, and what was held stays.
    pub fn poll(&self) -> Option<CertificateError> {
        let mut files = lock(&self.files);
        let now = stamps(&self.settings);
        if now == files.read {
            files.moving = None;
            self.look_at_the_clock(&mut files);
            return None;
        }
        if files.moving != Some(now) {
            files.moving = Some(now);
            return None;
        }
        self.take(&mut files, now)
    }

    /// Reads the files again, changed or not.
    pub fn reload(&self) -> Option<CertificateError> {
        let mut files = lock(&self.files);
        // Before reading: a change in between is then seen by the next poll.
        let now = stamps(&self.settings);
        self.take(&mut files, now)
    }

    fn take(&self, files: &mut Files, now: Stamps) -> Option<CertificateError> {
        (files.read, files.moving) = (now, None);
        let newer = Trust::read(&self.settings).and_then(|newer| self.not_worse(newer));
        let refused = match newer {
            Ok(newer) => {
                self.trust.store(Arc::new(newer));
                files.ended = false;
                self.publish();
                None
            }
            Err(error) => Some(error),
        };
        self.status.store(Arc::new(self.trust.load().status(&self.settings, refused.clone())));
        refused
    }

    /// A list that is overdue says less than one that is not, and one that was made before another would make good again
    /// what was revoked since.
    fn not_worse(&self, newer: Trust) -> Result<Trust, CertificateError> {
        let held = self.trust.load();
        let problem = if goes_back(&newer.issues, &held.issues) {
            "holds an earlier list of its authority than the one before"
        } else if newer.is_expired() && !held.is_expired() {
            "its next update is overdue already, which that of the one before is not"
        } else {
            return Ok(newer);
        };
        Err(CertificateError {
            file: self.settings.crl.clone().unwrap_or_default(),
            problem: problem.into(),
            remedy: "fetch the newest list from the authority",
        })
    }

    /// A list that becomes overdue makes certificates bad that were good.
    fn look_at_the_clock(&self, files: &mut Files) {
        if self.settings.denies_expired_crl && !files.ended && self.trust.load().is_expired() {
            files.ended = true;
            self.publish();
        }
    }
}

impl Trust {
    fn read(settings: &ClientTls) -> Result<Self, CertificateError> {
        let ca = &settings.ca;
        let fault = |problem: String, remedy| CertificateError { file: ca.clone(), problem, remedy };
        let authorities = read_chain(ca)?;
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(|error| {
                fault(format!("holds a certificate that is no authority's: {error}"), "leave authorities only in it")
            })?;
        }
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), super::provider());
        let (mut list, mut issues) = (None, Issues::new());
        if let Some(path) = &settings.crl {
            let revoked = Revoked::read(path)?;
            let broken = |problem: String| CertificateError {
                file: path.clone(),
                problem,
                remedy: "fetch the list of the authorities in tls.client_ca anew",
            };
            if !revoked.is_signed_by(&authorities) {
                return Err(broken("has a signature that is not its authority's".into()));
            }
            list = Some((revoked.count, revoked.next_update));
            issues = revoked.issues;
            builder = builder.with_crls(revoked.lists);
            if settings.denies_expired_crl {
                builder = builder.enforce_revocation_expiration();
            }
        }
        let verifier = builder.build().map_err(|error| {
            let file = settings.crl.clone().unwrap_or_else(|| ca.clone());
            let problem = format!("cannot be used: {error}");
            CertificateError { file, problem, remedy: "see what `openssl crl` or `openssl x509` says about it" }
        })?;
        Ok(Self { verifier, list, issues })
    }

    fn is_expired(&self) -> bool {
        self.list.and_then(|(_, next)| next).is_some_and(|next| next <= SystemTime::now())
    }

    fn status(&self, settings: &ClientTls, refused: Option<CertificateError>) -> Status {
        let (count, next_update) = self.list.unwrap_or_default();
        Status { file: settings.crl.clone(), count, next_update, denies: settings.denies_expired_crl, refused }
    }
}

impl ClientCertVerifier for Authority {
    fn client_auth_mandatory(&self) -> bool {
        self.settings.required
    }

    /// None: whoever has several certificates offers what it was told to, and the authorities may change.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.trust.load().verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.load().verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.load().verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.load().verifier.supported_verify_schemes()
    }
}

fn stamps(settings: &ClientTls) -> Stamps {
    [stamp(&settings.ca), settings.crl.as_deref().and_then(stamp)]
}
