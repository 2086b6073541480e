//! The link with which a client's user begins: sealed, so that it says for whom and where, and for ten minutes only.

use serde::{Deserialize, Serialize};

use crate::identity::Client;
use crate::seal::Seal;

/// How long a link leads anywhere, in milliseconds.
pub const HOLDS: u64 = 10 * 60 * 1000;

/// What the seal of a link is bound to.
const PURPOSE: &str = "link of a user authorization";

/// Who asks for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The client's id.
    pub client: String,
    /// Its name for people.
    pub owner: String,
    /// The server.
    pub server: String,
    /// Until when it holds, in milliseconds since 1970.
    pub until: u64,
}

impl Link {
    /// The link of a client at a server.
    pub fn new(client: &Client, server: &str, now: u64) -> Self {
        let (client, owner) = (client.id.to_string(), client.owner.to_string());
        Self { client, owner, server: server.to_owned(), until: now + HOLDS }
    }

    /// As a part of a URL.
    pub fn seal(&self, seal: &Seal) -> String {
        seal.seal(PURPOSE, &serde_json::to_vec(self).expect("text and a number"))
    }

    /// What such a part says; none where nobody here made it, or it held until before `now`.
    pub fn open(seal: &Seal, text: &str, now: u64) -> Option<Self> {
        let link: Self = serde_json::from_slice(&seal.open(PURPOSE, text)?).ok()?;
        (now < link.until).then_some(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_where_it_was_made_for_and_not_for_ever() {
        let seal = Seal::random();
        let link = Link { client: "key:ana".into(), owner: "ana".into(), server: "crm".into(), until: 1000 };
        let text = link.seal(&seal);
        assert_eq!(Link::open(&seal, &text, 999), Some(link.clone()));
        assert_eq!(Link::open(&seal, &text, 1000), None);
        assert_eq!(Link::open(&Seal::random(), &text, 0), None);
        assert_eq!(Link::open(&seal, &seal.seal("key:ana", &serde_json::to_vec(&link).unwrap()), 0), None);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    }
}
