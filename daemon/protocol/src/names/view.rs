//! Which names a merged view offers.
//! Called while lists of several servers are merged, in the stable order of the servers.
//! Must hold: one name leads to one target; whoever comes second is left out and named, never the first.

use std::collections::HashMap;
use std::fmt;

use super::{MAX_MERGED, join, too_long};

/// Why a discovered name is left out of a merged view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The joined name has more than [`MAX_MERGED`] characters.
    TooLong {
        /// The server.
        server: String,
        /// Its name for the tool or prompt.
        name: String,
    },
    /// The joined name already leads to something else.
    Taken {
        /// The server.
        server: String,
        /// Its name for the tool or prompt.
        name: String,
        /// The server that has it.
        by: String,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (server, name) = match self {
            Self::TooLong { server, name } => {
                write!(f, "{} has more than {MAX_MERGED} characters", join(server, name))?;
                (server, name)
            }
            Self::Taken { server, name, by } => {
                write!(f, "{} is already offered by {by}", join(server, name))?;
                (server, name)
            }
        };
        write!(f, "; under its own name {name:?} it is offered at /mcp/{server}")
    }
}

/// The names taken in one merged view, of one kind (tools or prompts).
#[derive(Debug, Default)]
pub struct View {
    taken: HashMap<String, String>,
}

impl View {
    /// An empty view.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name under which a server's tool or prompt is offered. `alias` replaces the original name behind the server.
    ///
    /// # Errors
    /// When the joined name is too long or taken; it is then left out of the view.
    pub fn admit(&mut self, server: &str, name: &str, alias: Option<&str>) -> Result<String, Unfit> {
        let joined = join(server, alias.unwrap_or(name));
        if too_long(&joined) {
            return Err(Unfit::TooLong { server: server.into(), name: name.into() });
        }
        if let Some(by) = self.taken.get(&joined) {
            return Err(Unfit::Taken { server: server.into(), name: name.into(), by: by.clone() });
        }
        self.taken.insert(joined.clone(), server.into());
        Ok(joined)
    }
}
