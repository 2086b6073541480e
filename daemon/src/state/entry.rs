//! What records say: of sessions, of instances, of what servers turned out to speak.
//!
//! Text of JSON, so that a later version can add members that this one passes over. What clients and
//! servers wrote is carried as bytes, as it came.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// A session of the legacy era.
    Session(Session),
    /// An instance of a stdio server.
    Instance(Instance),
    /// The eras of a stdio server.
    Server(Server),
}

/// A session of the legacy era.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// Its id, as its client knows it.
    pub id: String,
    /// Whose it is.
    pub client: String,
    /// The path segment that it was opened on.
    pub view: String,
    /// When it was last used, in milliseconds since 1970.
    pub used: u64,
    /// How it is served.
    pub kind: Kind,
}

/// How a session is served.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// By one HTTP server, whose session stands behind it.
    Mirrored {
        /// The server's name.
        server: String,
        /// The URL of the endpoint that knows the session.
        endpoint: String,
        /// What the server calls it.
        upstream: Text,
        /// As which of its facets the client meets the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facet: Option<String>,
    },
    /// By the gate.
    Hosted(Hosted),
}

/// A session whose end is the gate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hosted {
    /// What was agreed on.
    pub revision: String,
    /// The client's `initialize`.
    pub initialize: Text,
    /// Whether several servers stand behind it.
    pub merged: bool,
    /// The number of the stream of what comes outside of calls.
    pub stream: u64,
    /// The client's `logging/setLevel`.
    #[serde(default)]
    pub log_level: Option<Text>,
    /// Legs that were introduced, by server.
    #[serde(default)]
    pub legs: BTreeMap<String, Leg>,
    /// What HTTP servers asked the client and wait for.
    #[serde(default)]
    pub asked: Vec<Asked>,
    /// Resources that the client watches at modern servers, by server.
    #[serde(default)]
    pub watched: BTreeMap<String, Vec<String>>,
    /// What was said outside of calls and nobody was handed, left by an orderly end.
    #[serde(default)]
    pub unread: Vec<Text>,
}

/// A request of a server that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The server's name.
    pub server: String,
    /// The id that it gave the request.
    pub id: Text,
}

/// A leg of a session's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leg {
    /// To this instance.
    Instance(u64),
    /// To an HTTP server.
    Http {
        /// The URL of the endpoint.
        endpoint: String,
        /// What the server calls its session.
        session: Option<Text>,
        /// The revision that was agreed on.
        revision: Option<String>,
        /// As which of its facets the client meets the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facet: Option<String>,
    },
}

/// An instance of a stdio server, whose connection is in the descriptor store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Instance {
    /// Tells it from all others, ever.
    pub number: u64,
    /// The server's name.
    pub server: String,
    /// What the operator configured for it, as far as it shows in the process; sealed.
    pub likeness: String,
    /// Process id of its wrapper.
    pub pid: u32,
    /// Whom it is there for.
    pub role: Role,
    /// When it was started, in milliseconds since 1970.
    pub started: u64,
    /// Nothing new begins with it.
    #[serde(default)]
    pub leaving: bool,
    /// The first id for requests to it that no process has used so far.
    pub ids: u64,
    /// What was negotiated on it by the gate, where several share it.
    #[serde(default)]
    pub introduction: Option<Introduction>,
    /// Ids of its own requests that wait for an answer.
    #[serde(default)]
    pub asked: Vec<Text>,
    /// A line is being written to it that may be cut.
    #[serde(default)]
    pub cut: bool,
    /// What an orderly end left; absent after any other.
    #[serde(default)]
    pub left: Option<Left>,
}

/// Whom an instance is there for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nobody yet.
    Spare,
    /// One session, whose record names it.
    Dedicated,
    /// All calls of an owner.
    Shared {
        /// Their owner.
        owner: String,
        /// Whether more than one client is behind it.
        everybody: bool,
        /// Whether sessions of clients live in it.
        #[serde(default)]
        lasting: bool,
    },
}

/// How the gate was introduced to a shared instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Introduction {
    /// By itself, to learn what the server is.
    Own {
        /// In which revision.
        revision: String,
        /// The server's answer.
        answer: Text,
    },
    /// For all legacy sessions of a client.
    Client {
        /// The client.
        client: String,
        /// In which revision.
        revision: String,
    },
    /// For modern calls of a client with these capabilities.
    Holder {
        /// The client.
        client: String,
        /// Its capabilities.
        capabilities: Text,
        /// The server's answer.
        answer: Text,
    },
}

/// What an orderly end left of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Bytes that were read and are no whole line.
    pub unread: Text,
    /// They belong to a line that is passed over.
    pub skipping: bool,
    /// Bytes that were still to be written.
    pub unwritten: Text,
}

/// What a stdio server speaks, as far as it is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// As of its instances.
    pub likeness: String,
    /// The legacy era.
    pub legacy: Option<bool>,
    /// The modern era.
    pub modern: Option<bool>,
}

/// Bytes as they came. They stand as a string where they are one, and as a list of numbers otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Spelled", into = "Spelled")]
pub struct Text(pub Bytes);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Spelled {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Text> for Spelled {
    fn from(text: Text) -> Self {
        match String::from_utf8(text.0.to_vec()) {
            Ok(text) => Self::Text(text),
            Err(other) => Self::Bytes(other.into_bytes()),
        }
    }
}

impl From<Spelled> for Text {
    fn from(spelled: Spelled) -> Self {
        Self(match spelled {
            Spelled::Text(text) => text.into(),
            Spelled::Bytes(bytes) => bytes.into(),
        })
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl Introduction {
    /// Bytes that others said.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Own { revision, answer } => revision.len() + answer.0.len(),
            Self::Client { client, revision } => client.len() + revision.len(),
            Self::Holder { client, capabilities, answer } => client.len() + capabilities.0.len() + answer.0.len(),
        }
    }
}

/// Text that grows up to a bound.
struct Bounded {
    text: Vec<u8>,
    max: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.max {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long to be kept"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Entry {
    /// The record's payload, where it has no more than `max` bytes; of a longer one no more than that is made.
    pub fn to_payload(&self, max: usize) -> io::Result<Vec<u8>> {
        let mut text = Bounded { text: Vec::new(), max };
        serde_json::to_writer(&mut text, self)?;
        Ok(text.text)
    }

    /// Reads a payload.
    pub fn of_payload(payload: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(payload)
    }

    /// What the record is of: a newer one of the same takes its place.
    pub fn subject(&self) -> (u8, String) {
        match self {
            Self::Session(session) => (0, session.id.clone()),
            Self::Instance(instance) => (1, instance.number.to_string()),
            Self::Server(server) => (2, server.name.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_its_bytes_whatever_they_are() {
        for bytes in [&b""[..], br#"{"a":"\u0000"}"#, b"\xff\x00", "é".as_bytes()] {
            let text = Text::from(bytes);
            let spelled = serde_json::to_string(&text).unwrap();
            assert_eq!(serde_json::from_str::<Text>(&spelled).unwrap(), text, "{spelled}");
        }
    }

    #[test]
    fn a_payload_is_bounded() {
        let text = r#"{"server":{"name":"files","likeness":"x","legacy":true,"modern":null}}"#;
        let entry = Entry::of_payload(text.as_bytes()).unwrap();
        assert_eq!(entry.to_payload(text.len()).unwrap(), text.as_bytes());
        assert_eq!(entry.to_payload(text.len() - 1).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn an_entry_of_a_later_version_is_read_as_far_as_it_is_known() {
        let text = r#"{"server":{"name":"files","likeness":"x","legacy":true,"modern":null,"later":[1]}}"#;
        let entry = Entry::of_payload(text.as_bytes()).unwrap();
        assert!(matches!(&entry, Entry::Server(Server { legacy: Some(true), modern: None, .. })));
        assert_eq!(entry.subject(), (2, "files".to_owned()));
        assert!(Entry::of_payload(br#"{"planet":{}}"#).is_err());
    }
}
