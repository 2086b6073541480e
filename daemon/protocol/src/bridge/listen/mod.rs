//! Changes that servers announce by themselves: `subscriptions/listen` on one side, a session's stream on the other.
//! Called by the relays: `filter` and `interest` serve a modern client on a legacy server, `session` a legacy client
//! on a modern one.
//! Must hold: nobody hears what he did not ask for; every notification is tagged for the era and stream it goes to.

mod filter;
mod interest;
mod session;

pub use filter::{BadFilter, Filter, MAX_URIS};
pub use interest::Interest;
pub use session::{Outcome, Session};

use super::meta;
use crate::envelope::Envelope;
use crate::error::result_body;
use crate::json;
use crate::method::Method;
use crate::splice;

/// A list whose changes are announced. Templates change with the resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the protocol")]
pub enum List {
    Tools,
    Prompts,
    Resources,
}

impl List {
    /// All lists.
    pub const ALL: [Self; 3] = [Self::Tools, Self::Prompts, Self::Resources];

    /// The list that a notification is about.
    #[must_use]
    pub const fn of(method: Method) -> Option<Self> {
        match method {
            Method::ToolsChanged => Some(Self::Tools),
            Method::PromptsChanged => Some(Self::Prompts),
            Method::ResourcesChanged => Some(Self::Resources),
            _ => None,
        }
    }

    /// The notification of a change.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::Tools => Method::ToolsChanged,
            Self::Prompts => Method::PromptsChanged,
            Self::Resources => Method::ResourcesChanged,
        }
    }

    /// The server's capability that holds `listChanged`.
    #[must_use]
    pub const fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
        }
    }

    /// The member of a filter.
    const fn member(self) -> &'static str {
        match self {
            Self::Tools => "toolsListChanged",
            Self::Prompts => "promptsListChanged",
            Self::Resources => "resourcesListChanged",
        }
    }
}

/// A change that the gate announces in its own name, as a legacy client hears it.
#[must_use]
pub fn announcement(list: List) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, list.method().as_str()).into_bytes()
}

/// An update that the gate announces in its own name, as a legacy client hears it.
#[must_use]
pub fn update(uri: &str) -> Vec<u8> {
    let (method, uri) = (Method::ResourceUpdated.as_str(), json::encode_str(uri));
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"uri":{uri}}}}}"#).into_bytes()
}

/// The first message of a listen stream: what of the filter is granted. `id` is the listen request's, raw.
#[must_use]
pub fn acknowledgement(id: &[u8], granted: &Filter) -> Vec<u8> {
    let mut text = format!(
        r#"{{"jsonrpc":"2.0","method":"{}","params":{{"_meta":{{"{}":"#,
        Method::SubscriptionAcknowledged.as_str(),
        meta::SUBSCRIPTION_ID,
    )
    .into_bytes();
    text.extend_from_slice(id);
    text.extend_from_slice(format!("}},\"notifications\":{}}}}}", granted.to_json()).as_bytes());
    text
}

/// A notification as it goes out on the listen stream that the request `id` (raw) opened.
#[must_use]
pub fn tagged(text: &[u8], envelope: &Envelope, id: &[u8]) -> Vec<u8> {
    splice::apply(text, &mut splice::set_meta(text, envelope, &[(meta::SUBSCRIPTION_ID, id)]))
}

/// The last message of a listen stream that ends in good order.
#[must_use]
pub fn end(id: &[u8]) -> Vec<u8> {
    let head = format!(r#"{{"resultType":"complete","_meta":{{"{}":"#, meta::SUBSCRIPTION_ID);
    result_body(id, &[head.as_bytes(), id, b"}}"].concat())
}

#[cfg(test)]
mod tests;
