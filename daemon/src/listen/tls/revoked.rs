//! Lists of revoked certificates, as they are read from a file.
//!
//! Called by the authority that holds certificates against them, and by the check of the configuration. What is read
//! is whole: a list that does not parse, or that its authority did not sign, is an error of the file.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::num_bigint::BigUint;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use super::certificates::CertificateError;

/// Which of an authority's lists one is: its number (RFC 5280, 5.2.3), and when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Digits to the base of 256, the highest first, without zeros before them; none where the list has none.
    number: Option<Vec<u8>>,
    made: i64,
}

impl Issue {
    fn of(list: &CertificateRevocationList<'_>) -> Self {
        Self { number: list.crl_number().map(BigUint::to_bytes_be), made: list.last_update().timestamp() }
    }

    /// Whether an authority has made this one before the other.
    fn is_before(&self, other: &Self) -> bool {
        let by_number = self.number.as_ref().zip(other.number.as_ref()).map(|(own, other)| {
            let length = own.len().cmp(&other.len());
            length.then_with(|| own.cmp(other))
        });
        by_number.unwrap_or(Ordering::Equal).then(self.made.cmp(&other.made)).is_lt()
    }
}

/// The newest list of each authority, by the authority's name as it is encoded.
pub type Issues = BTreeMap<Vec<u8>, Issue>;

/// The lists of one file.
#[derive(Debug)]
pub struct Revoked {
    /// As TLS takes them.
    pub lists: Vec<CertificateRevocationListDer<'static>>,
    /// Certificates on all of them.
    pub count: usize,
    /// When the first of them is to be replaced; none where none says.
    pub next_update: Option<SystemTime>,
    /// Which they are.
    pub issues: Issues,
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
        let mut read = Self { lists: Vec::new(), count: 0, next_update: None, issues: Issues::new() };
        for list in &lists {
            let Some(parsed) = parse(list) else {
                return Err(fault("is no list of revoked certificates, or not a whole one".into(), FETCH));
            };
            read.count += parsed.iter_revoked_certificates().count();
            let issue = Issue::of(&parsed);
            let newest = read.issues.entry(parsed.issuer().as_raw().to_vec()).or_insert_with(|| issue.clone());
            if newest.is_before(&issue) {
                *newest = issue;
            }
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

/// Whether an authority's list is an earlier one than that which is held.
#[must_use]
pub fn goes_back(new: &Issues, held: &Issues) -> bool {
    new.iter().any(|(authority, issue)| held.get(authority).is_some_and(|held| issue.is_before(held)))
}

fn time(time: ASN1Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

const READABLE: &str = "make the file exist and readable by the user of the daemon";
const FETCH: &str = "fetch it anew from the authority, and write it to another name first, then rename it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_earlier_by_its_number_and_else_by_its_time() {
        let issue = |number: Option<&[u8]>, made| Issue { number: number.map(<[u8]>::to_vec), made };
        let (first, second, long) = (issue(Some(&[9]), 50), issue(Some(&[10]), 40), issue(Some(&[1, 0]), 30));
        assert!(first.is_before(&second) && second.is_before(&long) && !long.is_before(&first));
        assert!(issue(None, 40).is_before(&first) && !issue(None, 50).is_before(&first));
        assert!(issue(Some(&[9]), 49).is_before(&first) && !first.is_before(&first));
    }
}
