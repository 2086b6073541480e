//! Who is at the other end of a session, as its client said when it opened it.

use toolgate_protocol::json;

use crate::message::Message;
use crate::observe::Shown;

/// What a client says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The revision that it asked for.
    pub protocol: String,
    /// Its program and version.
    pub agent: String,
}

impl About {
    /// What an `initialize` says.
    pub fn of_initialize(message: &Message) -> Self {
        let text = &message.bytes;
        let within = |at, key: &str| json::get(text, at, key);
        let string = |at| {
            let raw: Option<&[u8]> = Some(json::Span::of(at, text));
            raw.and_then(|raw| serde_json::from_slice::<String>(raw).ok()).unwrap_or_default()
        };
        let Some(params) = json::document(text).ok().and_then(|all| within(all, "params")) else {
            return Self::default();
        };
        let info = within(params, "clientInfo");
        let said = |key: &str| info.and_then(|info| within(info, key)).map(string).unwrap_or_default();
        let agent = format!("{} {}", said("name"), said("version"));
        let protocol = within(params, "protocolVersion").map(string).unwrap_or_default();
        Self { protocol: Shown(&protocol).to_string(), agent: Shown(agent.trim()).to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_what_it_is_or_does_not() {
        let about = |params: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#);
            About::of_initialize(&Message::parse(text.into()).expect("a message"))
        };
        let told = about(r#"{"protocolVersion":"2025-06-18","clientInfo":{"name":"agent","version":"1.2"}}"#);
        assert_eq!(told, About { protocol: "2025-06-18".into(), agent: "agent 1.2".into() });
        assert_eq!(about(r#"{"clientInfo":{"name":"agent"}}"#).agent, "agent");
        assert_eq!(about(r#"{"clientInfo":{"name":7},"protocolVersion":[]}"#), About::default());
        assert_eq!(about(r#"{"clientInfo":{"name":"a\u001b[2Jb"}}"#).agent, r"a\u{1b}[2Jb");
    }
}
