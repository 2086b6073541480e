//! What a row stands for: the thing that keys, actions and drilling down are about.

use std::fmt;

/// Something that the daemon knows, by what it is called there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Object {
    /// By its name.
    Server(String),
    /// A server's name, and the URL; none for the place of all instances.
    Endpoint(String, Option<String>),
    /// A server's name, and a process id.
    Instance(String, u32),
    /// By its handle.
    Session(String),
    /// A server's name, and its own name for the tool.
    Tool(String, String),
    /// By its name.
    Limit(String),
    /// By its id.
    Client(String),
    /// By its id.
    Alert(String),
    /// By its name.
    Check(String),
    /// A listener's name, and the file of the chain.
    Certificate(String, String),
    /// A call in flight or one that ended, by its id.
    Call(String),
    /// By its dotted path.
    Value(String),
    /// A problem of the configuration: its place in the list.
    Problem(usize),
    /// A change that somebody made, by its number.
    Record(u64),
}

/// What the daemon counts under this are all names that have no room of their own.
pub(crate) const OTHERS: &str = "_other";

/// A name, or two with a slash between them, as it is shown.
pub(crate) fn shown(name: &str) -> String {
    match name.strip_suffix(OTHERS) {
        Some(before) if before.is_empty() || before.ends_with('/') => format!("{before}(other names)"),
        _ => name.to_owned(),
    }
}

impl Object {
    /// It stands for many things, none of which is known by its name.
    pub(crate) fn is_others(&self) -> bool {
        matches!(self, Self::Tool(_, name) | Self::Client(name) if name == OTHERS)
    }

    /// What kind of thing it is.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::Server(_) => "server",
            Self::Endpoint(..) => "endpoint",
            Self::Instance(..) => "instance",
            Self::Session(_) => "session",
            Self::Tool(..) => "tool",
            Self::Limit(_) => "limit",
            Self::Client(_) => "client",
            Self::Alert(_) => "alert",
            Self::Check(_) => "check",
            Self::Certificate(..) => "certificate",
            Self::Call(_) => "call",
            Self::Value(_) => "value",
            Self::Problem(_) => "problem",
            Self::Record(_) => "change",
        }
    }

    /// What is copied as its id.
    pub(crate) fn id(&self) -> String {
        match self {
            Self::Server(id)
            | Self::Session(id)
            | Self::Limit(id)
            | Self::Client(id)
            | Self::Alert(id)
            | Self::Check(id)
            | Self::Call(id)
            | Self::Value(id) => id.clone(),
            Self::Endpoint(server, url) => url.clone().unwrap_or_else(|| server.clone()),
            Self::Instance(_, pid) => pid.to_string(),
            Self::Tool(server, tool) => format!("{server}/{tool}"),
            Self::Certificate(_, file) => file.clone(),
            Self::Problem(number) => number.to_string(),
            Self::Record(number) => number.to_string(),
        }
    }

    /// The server that it is of.
    pub(crate) fn server(&self) -> Option<&str> {
        match self {
            Self::Server(server) | Self::Endpoint(server, _) | Self::Instance(server, _) | Self::Tool(server, _) => {
                Some(server)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(server, Some(url)) => write!(f, "endpoint {url} of {server}"),
            Self::Endpoint(server, None) => write!(f, "instances of {server}"),
            Self::Instance(server, pid) => write!(f, "instance {pid} of {server}"),
            other => write!(f, "{} {}", other.noun(), shown(&other.id())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_room_of_their_own_have_words() {
        assert_eq!(shown("_other"), "(other names)");
        assert_eq!(shown("web/_other"), "web/(other names)");
        assert_eq!(shown("web/list_other"), "web/list_other");
        assert_eq!(Object::Client("_other".into()).to_string(), "client (other names)");
    }
}
