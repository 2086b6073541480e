//! Clients without a secret that the gate knows: by certificate, or by address. And what wrong credentials lead to.

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use toolgate_protocol::certified::Rule;
use toolgate_protocol::failures::Rules;

use super::{Organisation, Role, Tier};

/// `tls.client_*` of a listener: whose certificates clients show there. All files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// Authorities in PEM.
    pub ca: PathBuf,
    /// Revoked certificates, in PEM or DER.
    pub crl: Option<PathBuf>,
    /// Refuse every certificate once the list has expired.
    pub denies_expired_crl: bool,
    /// Whether there is no handshake without a certificate.
    pub required: bool,
}

/// `[certificate.NAME]`: a client known by its certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The table's name.
    pub name: String,
    /// Which certificates are meant.
    pub rule: Rule,
    /// What it is apart from that.
    pub holder: Holder,
}

/// `[machine.NAME]`: a client known by its address.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine {
    /// The table's name.
    pub name: String,
    /// Where it calls from; a network counts as one client.
    pub networks: Vec<IpNet>,
    /// What it is apart from that.
    pub holder: Holder,
}

/// What is written of a client, however it is known.
#[derive(Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its name in logs and limits.
    pub owner: String,
    /// Set of limits: its own, or its organisation's.
    pub tier: Option<Arc<Tier>>,
    /// Whom it belongs to.
    pub organisation: Option<Arc<Organisation>>,
    /// What it may use of what its roles allow; empty: all of that.
    pub scopes: Vec<String>,
    /// Roles that it has, beside those of its organisation.
    pub roles: Vec<Arc<Role>>,
}

/// `[authentication]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// When an address that shows wrong credentials is not looked at any more; none: it always is.
    pub failures: Option<Rules>,
}
