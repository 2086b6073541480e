//! The crossing of eras: a legacy client on a modern server, and a modern client on a legacy server.
//! Called by the relays, which own sessions, sockets and time; each part below says what it needs of them.
//! Must hold: messages are edited, never rebuilt, so what the gate does not know arrives as it was sent.

pub mod batch;
pub mod capabilities;
pub mod digest;
pub mod introduce;
pub mod levels;
pub mod listen;
mod members;
pub mod notification;
pub mod parking;
pub mod playback;
pub mod request;
pub mod result;
pub mod tasks;
pub mod url;

/// The keys of `_meta` that the modern era reserves.
pub mod meta {
    /// The revision that a request speaks; a string.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// What the client can do; an object.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Who the client is; an object with `name` and `version`.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// The least severe log message that the client wants to see during the request; one of eight strings.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// Who the server is, in a result; an object with `name` and `version`.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// The id of the `subscriptions/listen` request under which a notification is delivered.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
}

/// The extension under which the modern era has tasks.
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// A value of a text, raw; empty when there is none.
fn raw(text: &[u8], span: Option<crate::json::Span>) -> &[u8] {
    span.map_or(&[], |span| span.of(text))
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
