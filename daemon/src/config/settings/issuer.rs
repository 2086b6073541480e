//! `[issuer.NAME]`: who issues tokens, and what they may say.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;

use super::super::secret::Secret;
use super::{Endpoint, Tier, UpstreamTls};
use crate::identity::rights::Role;

/// Whose tokens identify clients.
#[derive(Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The table's name.
    pub name: String,
    /// `iss` of its tokens.
    pub issuer: String,
    /// Values of which `aud` must have one; empty: the listener's own URLs.
    pub audience: Vec<String>,
    /// What its signatures are verified with.
    pub keys: KeySource,
    /// How its tokens may be signed: HS256 alone where the source is a secret, never HS256 elsewhere.
    pub algorithms: Vec<Algorithm>,
    /// By how much its clock may differ.
    pub leeway: Duration,
    /// Between two fetches of its keys.
    pub refresh: Duration,
    /// How long keys are used that could not be fetched again.
    pub stale: Duration,
    /// Scopes that each token must have.
    pub required_scopes: Vec<String>,
    /// Set of limits of those whose token names none.
    pub tier: Option<Arc<Tier>>,
    /// Roles of all its clients.
    pub roles: Vec<Arc<Role>>,
    /// Where tokens say what.
    pub claims: Claims,
}

/// Where the keys of an issuer come from.
#[derive(Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file with a set of JSON web keys (RFC 7517).
    File(PathBuf),
    /// A URL that answers with one.
    Url(Endpoint, UpstreamTls),
    /// A URL that the issuer's metadata name (RFC 8414, `OpenID` Connect Discovery); this is the issuer's own.
    Discovered(Endpoint, UpstreamTls),
    /// A secret that is shared with it; or why there is none, as a sentence.
    Secret(Result<Secret, String>),
}

/// Names of claims, or JSON pointers to them.
#[derive(Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who it is.
    pub subject: String,
    /// Whom it belongs to.
    pub organisation: Option<String>,
    /// Its set of limits.
    pub tier: Option<String>,
    /// What it may use; absent: everything.
    pub scopes: Option<String>,
    /// What roles it has; absent: none but its issuer's and its organisation's.
    pub roles: Option<String>,
}
