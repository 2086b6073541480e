//! Names of servers, and the names under which many servers are offered as one.
//! Called by routing, by merged lists and by the configuration's checks.
//! Must hold: a joined name splits into exactly what it was joined from.

mod aliases;
mod pattern;
pub mod resource;
mod view;

pub use aliases::{Aliases, is_alias};
pub use pattern::Pattern;
pub use view::{Unfit, View};

/// What stands between server and name.
pub const SEPARATOR: &str = "__";
/// The longest name of a tool or prompt in a merged view: model providers refuse longer ones.
pub const MAX_MERGED: usize = 64;
/// The longest name of a server or profile.
pub const MAX_SERVER: usize = 24;

/// Whether this can name a server or a profile: `[a-z][a-z0-9-]{0,23}`.
#[must_use]
pub fn is_server_name(name: &str) -> bool {
    name.len() <= MAX_SERVER
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// The name of a server's tool or prompt in a merged view.
#[must_use]
pub fn join(server: &str, name: &str) -> String {
    [server, SEPARATOR, name].concat()
}

/// Server and original name of a name from a merged view. The first `__` splits: server names have no underscore.
#[must_use]
pub fn split(name: &str) -> Option<(&str, &str)> {
    name.split_once(SEPARATOR).filter(|(server, _)| is_server_name(server))
}

/// The URI (or URI template) of a server's resource in a merged view.
#[must_use]
pub fn join_uri(server: &str, uri: &str) -> String {
    [server, "+", uri].concat()
}

/// Server and original URI of a URI from a merged view. The first `+` splits, whatever the original scheme holds.
#[must_use]
pub fn split_uri(uri: &str) -> Option<(&str, &str)> {
    uri.split_once('+').filter(|(server, _)| is_server_name(server))
}

/// Whether a joined name may be offered in a merged view, counted in characters.
#[must_use]
pub fn too_long(joined: &str) -> bool {
    joined.chars().count() > MAX_MERGED
}

#[cfg(test)]
mod tests;
