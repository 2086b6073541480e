//! A listener's certificates: read from files, chosen by name, replaced while serving.
//!
//! The TLS configuration asks at each handshake; reload and a poll several times a second replace.
//! A pair that does not load, or whose halves do not belong together, never replaces a good one.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use toolgate_admin_api as api;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::settings::CertificateFiles;
use crate::lock::lock;

/// How long changed files that cannot be served are looked at again, before they are refused: whoever renews them may
/// be between one file and the next.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a pair of files is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateError {
    /// The file at fault.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.file.display(), self.problem, self.remedy)
    }
}

impl std::error::Error for CertificateError {}

/// One pair as it is served, for health and the console.
#[derive(Debug, Clone)]
pub struct CertificateStatus {
    /// The chain's file.
    pub chain: PathBuf,
    /// Names it is served for, lower case.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// When it begins to be valid.
    pub not_before: SystemTime,
    /// When it stops being valid.
    pub not_after: SystemTime,
    /// When it was read.
    pub loaded: SystemTime,
    /// Why newer files are not served instead.
    pub refused: Option<CertificateError>,
}

impl CertificateStatus {
    /// As the admin sockets tell it.
    #[must_use]
    pub fn to_api(&self, listener: &str) -> api::Certificate {
        let millis = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        };
        api::Certificate {
            listener: listener.to_owned(),
            file: self.chain.display().to_string(),
            names: self.names.clone(),
            issuer: self.issuer.clone(),
            fingerprint: self.fingerprint.clone(),
            not_before_ms: millis(self.not_before),
            not_after_ms: millis(self.not_after),
            loaded_ms: millis(self.loaded),
            refused: self.refused.as_ref().map(ToString::to_string),
        }
    }
}

/// A pair that was read.
#[derive(Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    issuer: String,
    fingerprint: String,
    not_before: SystemTime,
    not_after: SystemTime,
    loaded: SystemTime,
}

/// What tells one state of a file from the next; follows symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

type Stamps = [Option<Stamp>; 2];

/// A change that was seen and not acted upon.
#[derive(Debug)]
struct Moving {
    stamps: Stamps,
    since: Instant,
}

/// What to do about a pair of files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Nothing.
    Rest,
    /// To serve it where it can be served.
    Try,
    /// To serve or to refuse it.
    Judge,
}

#[derive(Debug)]
struct Slot {
    files: CertificateFiles,
    pair: Arc<Pair>,
    /// Of the files as they were last read, whether they were accepted or not.
    read: Stamps,
    /// Acted upon when it has come to rest.
    moving: Option<Moving>,
    refused: Option<CertificateError>,
}

/// Names to keys, as a handshake needs it.
#[derive(Debug)]
struct Table {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

/// The certificates of one listener.
#[derive(Debug)]
pub struct Certificates {
    table: ArcSwap<Table>,
    slots: Mutex<Vec<Slot>>,
    /// Read by those who must not wait for a file system that hangs while the slots are read anew.
    status: ArcSwap<Vec<CertificateStatus>>,
}

impl Certificates {
    /// Reads every pair; all errors are returned, not only the first.
    pub fn load(files: &[CertificateFiles]) -> Result<Self, Vec<CertificateError>> {
        let mut slots = Vec::with_capacity(files.len());
        let mut errors = Vec::new();
        for files in files {
            let read = stamps(files);
            match read_pair(files) {
                Ok(pair) => {
                    slots.push(Slot { files: files.clone(), pair: Arc::new(pair), read, moving: None, refused: None });
                }
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let Some(table) = Table::of(&slots) else {
            return Err(vec![CertificateError {
                file: PathBuf::new(),
                problem: "no certificate is configured".into(),
                remedy: "name a chain and a key in `tls.certificates`",
            }]);
        };
        let status = ArcSwap::from_pointee(status(&slots));
        Ok(Self { table: ArcSwap::from_pointee(table), slots: Mutex::new(slots), status })
    }

    /// Reads every pair again; what cannot be served is returned, and what was served stays.
    pub fn reload(&self) -> Vec<CertificateError> {
        self.refresh(|_, _| Due::Judge)
    }

    /// Reads those pairs again whose files changed since they were read and have come to rest
    /// between two calls, so that a renewal which writes one file after the other is taken whole.
    ///
    /// Newly refused files are returned once, when they have been at rest for a while.
    pub fn poll(&self, at: Instant) -> Vec<CertificateError> {
        self.refresh(|slot, now| {
            if now == slot.read {
                slot.moving = None;
                return Due::Rest;
            }
            match &slot.moving {
                Some(moving) if moving.stamps == now => {
                    if at.saturating_duration_since(moving.since) < PATIENCE {
                        Due::Try
                    } else {
                        Due::Judge
                    }
                }
                _ => {
                    slot.moving = Some(Moving { stamps: now, since: at });
                    Due::Rest
                }
            }
        })
    }

    fn refresh(&self, due: impl Fn(&mut Slot, Stamps) -> Due) -> Vec<CertificateError> {
        let mut slots = lock(&self.slots);
        let mut errors = Vec::new();
        let mut changed = false;
        for slot in slots.iter_mut() {
            // Before reading: a change in between is then seen by the next poll.
            let now = stamps(&slot.files);
            let due = due(slot, now);
            if due == Due::Rest {
                continue;
            }
            match read_pair(&slot.files) {
                Ok(pair) => {
                    slot.pair = Arc::new(pair);
                    slot.refused = None;
                    changed = true;
                }
                Err(_) if due == Due::Try => continue,
                Err(error) => {
                    slot.refused = Some(error.clone());
                    errors.push(error);
                }
            }
            slot.read = now;
            slot.moving = None;
        }
        if changed && let Some(table) = Table::of(&slots) {
            self.table.store(Arc::new(table));
        }
        if changed || !errors.is_empty() {
            self.status.store(Arc::new(status(&slots)));
        }
        errors
    }

    /// What is served, in the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Arc<Vec<CertificateStatus>> {
        self.status.load_full()
    }
}

fn status(slots: &[Slot]) -> Vec<CertificateStatus> {
    let status = |slot: &Slot| CertificateStatus {
        chain: slot.files.chain.clone(),
        names: slot.pair.names.clone(),
        issuer: slot.pair.issuer.clone(),
        fingerprint: slot.pair.fingerprint.clone(),
        not_before: slot.pair.not_before,
        not_after: slot.pair.not_after,
        loaded: slot.pair.loaded,
        refused: slot.refused.clone(),
    };
    slots.iter().map(status).collect()
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.table.load().choose(hello.server_name()))
    }
}

impl Table {
    /// None where there is no slot.
    fn of(slots: &[Slot]) -> Option<Self> {
        let mut table =
            Self { exact: HashMap::new(), wildcard: HashMap::new(), default: slots.first()?.pair.key.clone() };
        for slot in slots {
            for name in &slot.pair.names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut table.wildcard, parent),
                    None => (&mut table.exact, name.as_str()),
                };
                names.entry(name.to_owned()).or_insert_with(|| slot.pair.key.clone());
            }
        }
        Some(table)
    }

    fn choose(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let find = |name: &str| {
            let wildcard = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(name).or_else(wildcard)
        };
        let lower = name.map(str::to_ascii_lowercase);
        let found = lower.as_deref().and_then(find);
        found.unwrap_or(&self.default).clone()
    }
}

fn stamps(files: &CertificateFiles) -> Stamps {
    [stamp(&files.chain), stamp(&files.key)]
}

/// The file as it is now; none where there is none.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let data = std::fs::metadata(path).ok()?;
    Some(Stamp {
        device: data.dev(),
        inode: data.ino(),
        size: data.size(),
        seconds: data.mtime(),
        nanoseconds: data.mtime_nsec(),
    })
}

fn read_pair(files: &CertificateFiles) -> Result<Pair, CertificateError> {
    let chain = read_chain(&files.chain)?;
    let fault = |problem: String, remedy| CertificateError { file: files.chain.clone(), problem, remedy };
    let fingerprint = fingerprint(&chain[0]);
    let described = describe(&chain[0]).ok_or_else(|| {
        fault("its first certificate cannot be read".into(), "write the server's own certificate first")
    })?;
    let key = read_key(&files.key)?;
    let key = CertifiedKey::from_der(chain, key, &super::provider()).map_err(|error| {
        let problem = format!("does not go with the key {}: {error}", files.key.display());
        fault(problem, "put the chain and the key of one issuance into both files")
    })?;
    let Described { names, issuer, not_before, not_after } = described;
    Ok(Pair { key: Arc::new(key), names, issuer, fingerprint, not_before, not_after, loaded: SystemTime::now() })
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let fault = |problem: String, remedy| CertificateError { file: path.to_owned(), problem, remedy };
    let pem = std::fs::read(path).map_err(|error| fault(format!("cannot be read: {error}"), READABLE))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| fault(format!("is not PEM: {error:?}"), "write the file anew"))?;
    if chain.is_empty() {
        return Err(fault("holds no certificate".into(), "write the chain in PEM, the server's certificate first"));
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let fault = |problem: String, remedy| CertificateError { file: path.to_owned(), problem, remedy };
    let pem = std::fs::read(path).map_err(|error| fault(format!("cannot be read: {error}"), READABLE))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        fault(format!("holds no private key: {error:?}"), "write the key in PEM, without a passphrase")
    })
}

const READABLE: &str = "make the file exist and readable by the user of the daemon";

/// What a certificate says of itself.
struct Described {
    names: Vec<String>,
    issuer: String,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// None where the certificate cannot be parsed.
fn describe(leaf: &CertificateDer<'_>) -> Option<Described> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    let mut names = Vec::new();
    if let Ok(Some(alternatives)) = leaf.subject_alternative_name() {
        for name in &alternatives.value.general_names {
            if let GeneralName::DNSName(name) = name {
                names.push(name.to_ascii_lowercase());
            }
        }
    }
    let time = |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let validity = leaf.validity();
    Some(Described {
        names,
        issuer: leaf.issuer().to_string(),
        not_before: time(validity.not_before.timestamp()),
        not_after: time(validity.not_after.timestamp()),
    })
}
