//! A connection's certificate of its client: what it says, and whether it is still good.
//!
//! Verified by the handshake, and again by the first request after anything changed that it was verified by: a list of
//! revoked certificates, the authorities, the listener's settings. A session that was resumed counts as not verified.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::pki_types::CertificateDer;
use toolgate_protocol::certified::{Attribute, Names, Sort};
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use super::connection::Connection;
use super::holders::Holders;
use super::open::OpenListener;
use crate::clock;
use crate::identity::Client;
use crate::identity::certificate::Known;
use crate::observe::{Shown, is_unfit};

/// Names that are looked at, of one certificate.
const MOST_NAMES: usize = 64;

/// Who was asked whose a certificate is, and what they know.
type Answer = (Arc<Known>, Option<Arc<Client>>);

/// The certificate of a connection's client.
pub struct Certified {
    listener: Arc<OpenListener>,
    chain: Arc<[CertificateDer<'static>]>,
    /// What it says of its holder.
    pub names: Names,
    /// When it ends, in milliseconds since 1970.
    ends_ms: u64,
    /// The generation of the authority that found it good; 0: none did.
    verified: Cell<u64>,
    /// Whose it is, by whom that was asked.
    client: RefCell<Option<Answer>>,
}

/// Why a certificate is not good any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Its time is over.
    Ended,
    /// It is revoked, or its authority is not among the listener's any more.
    Withdrawn,
}

impl Certified {
    /// The certificate at the head of a chain that the handshake has verified, or an earlier one where the session was
    /// resumed. `None` where it cannot be read.
    pub(super) fn new(
        listener: &Arc<OpenListener>,
        chain: &[CertificateDer<'_>],
        generation: u64,
        resumed: bool,
    ) -> Option<Self> {
        let chain: Arc<[_]> = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
        let names = names(&leaf);
        let ends_ms = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0).saturating_mul(1000);
        Some(Self {
            listener: Arc::clone(listener),
            chain,
            names,
            ends_ms,
            verified: Cell::new(if resumed { 0 } else { generation }),
            client: RefCell::default(),
        })
    }

    /// The first millisecond since 1970 at which it is not good.
    #[must_use]
    pub fn ends_ms(&self) -> u64 {
        self.ends_ms
    }

    /// Whether it is good now: one load and a look at the clock where nothing has changed.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self) -> Result<(), Unfit> {
        if clock::unix_millis() >= self.ends_ms {
            return Err(Unfit::Ended);
        }
        let generation = self.listener.clients.load(Ordering::Acquire);
        // 0 is nobody's: neither of a listener that asks for certificates, nor of one that has verified any.
        if generation != 0 && generation == self.verified.get() {
            return Ok(());
        }
        if !self.listener.verify(&self.chain) {
            return Err(Unfit::Withdrawn);
        }
        self.verified.set(generation);
        Ok(())
    }

    /// Whose it is, as these know it; looked up once per connection and reload, and remembered by `holders` then.
    pub fn client(&self, known: &Arc<Known>, any: bool, holders: &Holders) -> Option<Arc<Client>> {
        let mut held = self.client.borrow_mut();
        match &*held {
            Some((by, client)) if Arc::ptr_eq(by, known) => client.clone(),
            _ => {
                let client = known.client_of(&self.names, any);
                if let Some(client) = &client {
                    holders.note(&self.listener, &self.chain, &client.id);
                }
                *held = Some((Arc::clone(known), client.clone()));
                client
            }
        }
    }
}

impl fmt::Debug for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names.first() {
            Some((sort, name)) => write!(f, "Certified({sort}:{})", Shown(name)),
            None => f.write_str("Certified"),
        }
    }
}

/// What cannot be shown as it is could be taken for another name, and is left out.
fn names(leaf: &X509Certificate<'_>) -> Names {
    let mut names = Names::default();
    if let Ok(Some(alternatives)) = leaf.subject_alternative_name() {
        let all = alternatives.value.general_names.iter().filter_map(alternative);
        names.alternatives = all.filter(|(_, name)| is_fit(name)).take(MOST_NAMES).collect();
    }
    names.subject = subject(leaf.subject());
    names
}

fn alternative(name: &GeneralName<'_>) -> Option<(Sort, String)> {
    Some(match name {
        GeneralName::URI(name) => (Sort::Uri, (*name).to_owned()),
        GeneralName::DNSName(name) => (Sort::Dns, name.to_ascii_lowercase()),
        GeneralName::RFC822Name(name) => (Sort::Email, (*name).to_owned()),
        GeneralName::IPAddress(bytes) => (Sort::Address, address(bytes)?.to_string()),
        _ => return None,
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4().or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

fn subject(name: &X509Name<'_>) -> Vec<(Attribute, String)> {
    let attributes = name.iter_attributes().filter_map(|attribute| {
        let kind = match attribute.attr_type() {
            oid if *oid == oid_registry::OID_X509_COMMON_NAME => Attribute::CommonName,
            oid if *oid == oid_registry::OID_X509_ORGANIZATION_NAME => Attribute::Organisation,
            oid if *oid == oid_registry::OID_X509_ORGANIZATIONAL_UNIT => Attribute::Unit,
            oid if *oid == oid_registry::OID_X509_COUNTRY_NAME => Attribute::Country,
            oid if *oid == oid_registry::OID_X509_LOCALITY_NAME => Attribute::Locality,
            oid if *oid == oid_registry::OID_X509_STATE_OR_PROVINCE_NAME => Attribute::State,
            oid if *oid == oid_registry::OID_USERID => Attribute::UserId,
            _ => return None,
        };
        Some((kind, attribute.as_str().ok()?.to_owned()))
    });
    attributes.filter(|(_, value)| is_fit(value)).take(MOST_NAMES).collect()
}

fn is_fit(name: &str) -> bool {
    !name.is_empty() && name.len() <= 256 && !name.chars().any(is_unfit)
}

/// Connections of one core whose clients have certificates.
#[derive(Debug, Default)]
pub struct Connections(RefCell<Vec<Weak<Connection>>>);

impl Connections {
    /// Adds one, for as long as it is open.
    pub(super) fn enter(&self, connection: &Rc<Connection>) {
        let mut all = self.0.borrow_mut();
        if all.len() == all.capacity() {
            all.retain(|open| open.strong_count() > 0);
            // So that looking for those that have ended is paid for by as many that came.
            let open = all.len();
            all.reserve(open);
        }
        all.push(Rc::downgrade(connection));
    }

    /// Those whose certificates are not good any more.
    #[must_use]
    pub fn unfit(&self) -> HashSet<u64> {
        let all = self.0.borrow();
        let open = all.iter().filter_map(Weak::upgrade);
        open.filter(|open| open.certified().is_some_and(|certified| certified.check().is_err()))
            .map(|open| open.id)
            .collect()
    }
}
