//! Messages that the gate writes itself, without the capabilities of any client.
//!
//! For discovery, lists and health. Ids in them are replaced on the leg that sends them.

use bytes::Bytes;
use toolgate_protocol::revision::{MODERN, Revision};

use crate::message::Message;

/// `initialize`.
pub fn initialize(revision: Revision) -> Message {
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{}","capabilities":{{}},"clientInfo":{{"name":"toolgate","version":"{}"}}}}}}"#,
        revision.as_str(),
        env!("CARGO_PKG_VERSION"),
    );
    message(text)
}

/// `server/discover`.
pub(super) fn discover() -> Message {
    message(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{}}}}}"#, meta()))
}

/// The `_meta` member of a modern request that the gate makes by itself.
pub fn meta() -> String {
    format!(
        r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"toolgate","version":"{}"}}}}"#,
        MODERN.as_str(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// A message that the gate wrote itself.
pub fn message(text: String) -> Message {
    Message::parse(Bytes::from(text)).expect("the gate writes valid messages")
}
