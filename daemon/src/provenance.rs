//! Where a call comes from, as its server is told: request id, address, protocol, client.

use std::sync::Arc;

use http::HeaderMap;

use crate::call::CallId;
use crate::identity::Client;
use crate::observe::traces::Traced;

/// What travels to the server beside the message.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The call's id.
    pub id: CallId,
    /// The client's address; absent for what the gate asks by itself.
    pub address: Option<Arc<str>>,
    /// The way from there, as addresses joined by commas, where a trusted proxy told it; else the address is the way.
    pub chain: Option<Arc<str>>,
    /// Whether the client spoke HTTPS.
    pub tls: bool,
    /// Who calls; absent for what the gate asks by itself.
    pub client: Option<Arc<Client>>,
    /// The headers of the client's request; only the modern era's mirrored ones and trace
    /// context go on.
    pub headers: Option<Arc<HeaderMap>>,
    /// The call's trace, where the gate traces it; the client's context then does not go on as it came.
    pub trace: Option<Arc<Traced>>,
    /// Headers that the gate mirrors arguments into, for a client that knows no such headers; those of
    /// the client's own then do not go on.
    pub mirrored: Option<Vec<(String, String)>>,
}

impl Provenance {
    /// A call that the gate makes by itself.
    pub fn own() -> Self {
        Self {
            id: CallId::mint(),
            address: None,
            chain: None,
            tls: false,
            client: None,
            headers: None,
            trace: None,
            mirrored: None,
        }
    }
}
