//! What servers are shown of the gate and of its clients: secrets that may change, and grants of OAuth 2.1.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::secret::Secret;
use super::{Endpoint, UpstreamTls};

/// How the gate identifies itself, and its clients, at one server over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Headers of every request whose secrets are in files.
    pub files: Vec<Header>,
    /// Those of single clients, organisations and tiers.
    pub credentials: Vec<Credential>,
    /// A client that none of these is for is refused.
    pub required: bool,
    /// The gate asks for a token in its own name.
    pub oauth: Option<Arc<Oauth>>,
    /// Users allow the gate to act for them.
    pub user: Option<Arc<UserAuthorization>>,
}

impl Access {
    /// Whether nothing changes while the server runs: its headers are as they were read.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.files.is_empty() && self.credentials.is_empty() && self.oauth.is_none() && self.user.is_none()
    }

    /// Whether a server that has the one can go on under the other: what it was granted is kept.
    #[must_use]
    pub fn goes_on_as(&self, new: &Self) -> bool {
        // Entries for clients come and go while it runs.
        self.is_fixed() == new.is_fixed() && self.files == new.files && self.oauth == new.oauth && self.user == new.user
    }
}

/// A header of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// What stands before the secret in its value: `Bearer `.
    pub before: &'static str,
    /// The secret.
    pub secret: Source,
}

/// Where a secret comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// As it was when the configuration was read.
    Fixed(Result<Secret, String>),
    /// A file that is read again when it changes, and what it held; or why nothing could be read.
    File(PathBuf, Result<Secret, String>),
}

impl PartialEq for Source {
    /// What a file holds by now is not a matter of the configuration.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed(one), Self::Fixed(two)) => one == two,
            (Self::File(one, _), Self::File(two, _)) => one == two,
            _ => false,
        }
    }
}

impl Eq for Source {}

impl Source {
    /// As it was read.
    pub fn read(&self) -> &Result<Secret, String> {
        match self {
            Self::Fixed(read) | Self::File(_, read) => read,
        }
    }
}

/// What a server is shown of some clients instead of its own credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Whom it is for.
    pub holder: Holder,
    /// Headers instead of the server's own of the same name.
    pub headers: Vec<Header>,
}

/// Whom a credential is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holder {
    /// One client, by its id.
    Client(String),
    /// Whoever belongs to an organisation.
    Organisation(String),
    /// Whoever has a tier.
    Tier(String),
}

/// A client of an authorization server: what `oauth` and `user_authorization` have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The issuer whose metadata name what is not written here (RFC 8414).
    pub issuer: Option<Endpoint>,
    /// Where tokens are asked for.
    pub token_endpoint: Option<Endpoint>,
    /// Who the gate is there.
    pub client_id: String,
    /// Its secret; a public client has none.
    pub client_secret: Option<Source>,
    /// How it is shown.
    pub auth_method: AuthMethod,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The server that tokens are for (RFC 8707).
    pub resource: Option<String>,
    /// TLS towards the authorization server.
    pub tls: UpstreamTls,
}

/// How a client shows its secret at the token endpoint (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// `client_secret_basic`
    Basic,
    /// `client_secret_post`
    Post,
}

/// `oauth` of a server: the client credentials grant (RFC 6749, section 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oauth {
    /// The gate at the authorization server.
    pub registration: Registration,
}

/// `user_authorization` of a server: the authorization code grant (RFC 6749, section 4.1) with PKCE (RFC 7636).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAuthorization {
    /// The gate at the authorization server.
    pub registration: Registration,
    /// Where users are sent.
    pub authorization_endpoint: Option<Endpoint>,
    /// Where users reach this gate with their browsers, without a slash at its end.
    pub public_url: String,
}
