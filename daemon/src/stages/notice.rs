//! What the gate itself says on a stream that passes a server's words through: that the operator switched a tool on or off.

use bytes::Bytes;
use http::Method;
use toolgate_protocol::bridge::listen::{self, Filter, List};
use toolgate_protocol::envelope;
use toolgate_protocol::method::Method as Mcp;

use super::ending::event;
use crate::call::Call;

/// Whether a call's answer is a stream that carries announcements.
pub fn listens(call: &Call) -> bool {
    let subscribes = || call.message.as_ref().and_then(|message| message.envelope.known_method) == Some(Mcp::Listen);
    call.method == Method::GET || subscribes()
}

/// The event that says that the list of tools changed; nothing for a subscriber who does not want to know.
pub fn tools_changed(call: &Call) -> Option<Bytes> {
    let announcement = listen::announcement(List::Tools);
    let Some(message) = &call.message else { return Some(event(&announcement)) };
    let wanted = Filter::of_request(&message.bytes, &message.envelope).ok()?;
    if !wanted.wants(List::Tools) {
        return None;
    }
    let envelope = envelope::scan(&announcement).ok()?;
    Some(event(&listen::tagged(&announcement, &envelope, message.id()?)))
}
