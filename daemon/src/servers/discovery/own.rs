//! Messages that the gate writes itself, without the capabilities of any client.
//!
//! For discovery, lists and health. Ids in them are replaced on the leg that sends them.

use bytes::Bytes;
use toolgate_protocol::json;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::{Era, MODERN, Revision};

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

/// One page of a list, in the words of an era.
pub fn list(era: Era, method: Method, cursor: Option<&str>) -> Message {
    let mut params = Vec::new();
    params.extend(cursor.map(|cursor| format!(r#""cursor":{}"#, json::encode_str(cursor))));
    params.extend((era == Era::Modern).then(meta));
    message(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}","params":{{{}}}}}"#, method.as_str(), params.join(",")))
}

/// A message that the gate wrote itself.
pub fn message(text: String) -> Message {
    Message::parse(Bytes::from(text)).expect("the gate writes valid messages")
}
