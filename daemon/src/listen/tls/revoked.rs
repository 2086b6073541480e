//! Lists of revoked certificates, as they are read from a file.
//!
//! Called by the authority that holds certificates against them, and by the check of the configuration. What is read
//! is whole: a list that does not parse, or that its authority did not sign, is an error of the file.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use super::certificates::CertificateError;

/// The lists of one file.
#[derive(Debug)]
pub struct Revoked {
    /// As TLS takes them.
    pub lists: Vec<CertificateRevocationListDer<'static>>,
    /// Certificates on all of them.
    pub count: usize,
    /// When the first of them is to be replaced; none where none says.
    pub next_update: Option<SystemTime>,
}

impl Revoked {
    /// Reads a file in PEM or DER.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(path: &Path) -> Result<Self, CertificateError> {
        let fault = |problem: String, remedy| CertificateError { file: path.to_owned(), problem, remedy };
        let bytes = std::fs::read(path).map_err(|error| fault(format!("cannot be read: {error}"), READABLE))?;
        let lists = if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
            lists.map_err(|error| fault(format!("is not PEM: {error:?}"), FETCH))?
        } else {
            vec![CertificateRevocationListDer::from(bytes)]
        };
        if lists.is_empty() {
            return Err(fault("holds no list of revoked certificates".into(), FETCH));
        }
        let mut read = Self { lists: Vec::new(), count: 0, next_update: None };
        for list in &lists {
            let Some(parsed) = parse(list) else {
                return Err(fault("is no list of revoked certificates, or not a whole one".into(), FETCH));
            };
            read.count += parsed.iter_revoked_certificates().count();
            let next = parsed.next_update().map(time);
            read.next_update = match (read.next_update, next) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        Ok(Self { lists, ..read })
    }

    /// Whether a newer list should be there.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.next_update.is_some_and(|next| next <= SystemTime::now())
    }

    /// Whether no list is signed by somebody else than an authority that goes by the name of its issuer. Lists of
    /// authorities that are not among these are held against their signatures at each handshake.
    #[must_use]
    pub fn is_signed_by(&self, authorities: &[CertificateDer<'_>]) -> bool {
        self.lists.iter().filter_map(parse).all(|list| {
            let mut named = authorities
                .iter()
                .filter_map(|authority| Some(X509Certificate::from_der(authority).ok()?.1))
                .filter(|authority| authority.subject().as_raw() == list.issuer().as_raw())
                .peekable();
            named.peek().is_none() || named.any(|authority| signed(&list, &authority))
        })
    }
}

/// Whichever algorithm it is: with another one than the list names, no signature would be right.
fn signed(list: &CertificateRevocationList<'_>, authority: &X509Certificate<'_>) -> bool {
    let key = &authority.public_key().subject_public_key.data;
    let (message, signature) = (list.tbs_cert_list.as_ref(), &list.signature_value.data);
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all;
    algorithms.iter().any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok())
}

fn parse<'a>(list: &'a CertificateRevocationListDer<'_>) -> Option<CertificateRevocationList<'a>> {
    let (rest, parsed) = CertificateRevocationList::from_der(list.as_ref()).ok()?;
    rest.is_empty().then_some(parsed)
}

fn time(time: ASN1Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

const READABLE: &str = "make the file exist and readable by the user of the daemon";
const FETCH: &str = "fetch it anew from the authority, and write it to another name first, then rename it";
