//! What servers over HTTP are shown of the gate and of its clients, where that is more than headers which stay as they are.
//!
//! A server with credentials of several clients is met as several *facets* of itself ([`facets`]): each has sessions,
//! lists, announcements and answers of its own, so that nothing which one credential opened is reached with another.
//! What must hold: no request leaves without the proofs of its own facet, and no token is written anywhere.

mod choice;
pub mod facets;
pub mod granted;
pub mod oauth;
mod own;
pub mod users;
pub mod views;
pub mod watch;
mod watched;

use std::sync::Arc;

use crate::config::Secret;
use crate::config::settings::access::{Access, Header, Source};
use crate::config::settings::{self, Transport};
use crate::servers::http::Proofs;
use oauth::Tokens;
use own::Own;

/// What one facet of a server is shown.
#[derive(Debug)]
pub struct Credential {
    /// Headers that the operator wrote, some of them into files.
    own: Own,
    /// Tokens that are granted for a time.
    tokens: Option<Arc<Tokens>>,
}

impl Credential {
    /// What the server is shown by default.
    ///
    /// # Errors
    /// A sentence, where a header or certificate cannot be used.
    pub fn of_server(server: &settings::Server, http: &settings::Http) -> Result<Self, String> {
        let access = &server.access;
        let tokens = access.oauth.as_ref().map(|oauth| Tokens::new(&server.name, oauth).map(Arc::new)).transpose()?;
        Ok(Self { own: Own::new(&own_headers(http, access), http.lacks.as_deref())?, tokens })
    }

    /// What it is shown of those that an entry is for: the entry's headers in the place of the server's own.
    ///
    /// # Errors
    /// A sentence, where a header cannot be used.
    pub fn of_entry(http: &settings::Http, access: &Access, entry: &[Header]) -> Result<Self, String> {
        let mut headers = own_headers(http, access);
        headers.retain(|own| entry.iter().all(|header| header.name != own.name));
        headers.extend_from_slice(entry);
        // What the server's own secrets lack concerns only those headers that are still shown.
        let lacks = http.lacks.as_deref().filter(|_| entry.iter().all(|header| header.name != "authorization"));
        Ok(Self { own: Own::new(&headers, lacks)?, tokens: None })
    }

    /// What it is shown of a client whose user allowed that.
    ///
    /// # Errors
    /// A sentence, where a header cannot be used.
    pub fn of_user(server: &settings::Server, tokens: Arc<Tokens>) -> Result<Self, String> {
        let Transport::Http(http) = &server.transport else { return Err("it is not reached over HTTP".to_owned()) };
        let mut headers = own_headers(http, &server.access);
        headers.retain(|header| header.name != "authorization");
        Ok(Self { own: Own::new(&headers, None)?, tokens: Some(tokens) })
    }

    /// Nothing: nobody may call with it.
    pub fn none(why: &str) -> Self {
        Self { own: Own::nothing(why), tokens: None }
    }

    /// What goes along with a request that leaves now.
    pub fn proofs(&self) -> Proofs {
        let mut proofs = self.own.proofs();
        proofs.token = self.tokens.as_ref().and_then(|tokens| tokens.shown());
        proofs
    }

    /// Tokens that are granted for a time, where the server wants such.
    pub fn tokens(&self) -> Option<&Arc<Tokens>> {
        self.tokens.as_ref()
    }

    /// Reads files that have changed.
    pub fn look(&self, server: &str) {
        self.own.look(server);
        if let Some(tokens) = &self.tokens {
            tokens.look(server);
        }
    }

    /// Why calls with it will fail.
    pub fn trouble(&self) -> Option<String> {
        self.own.lacks().or_else(|| self.tokens.as_ref().and_then(|tokens| tokens.trouble()))
    }

    /// What an operator should know though calls go on, a sentence each.
    pub fn told(&self) -> Vec<String> {
        let tokens = self.tokens.iter().flat_map(|tokens| tokens.told());
        self.own.told().into_iter().chain(tokens).collect()
    }
}

fn own_headers(http: &settings::Http, access: &Access) -> Vec<Header> {
    let fixed = |(name, secret): &(String, Secret)| Header {
        name: name.clone(),
        before: "",
        secret: Source::Fixed(Ok(secret.clone())),
    };
    let fixed = http.headers.iter().filter(|(name, _)| access.files.iter().all(|file| file.name != *name)).map(fixed);
    fixed.chain(access.files.iter().cloned()).collect()
}
