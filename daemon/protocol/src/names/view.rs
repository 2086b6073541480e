//! Which names a merged view offers.
//! Called while lists of several servers are merged, in the stable order of the servers.
//! Must hold: one name leads to one target; whoever comes second is left out and named, never the first.

use std::collections::HashMap;
use std::fmt;

use super::{Aliases, MAX_MERGED, join, too_long};

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
        /// The server's name for what has it.
        by: String,
    },
}

impl Unfit {
    /// The server's own name that is left out.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::TooLong { name, .. } | Self::Taken { name, .. } => name,
        }
    }

    /// Whether an alias can mend it: not where a server lists one name twice.
    #[must_use]
    pub fn is_mendable(&self) -> bool {
        !matches!(self, Self::Taken { name, by, .. } if name == by)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { server, name } => {
                write!(f, "{} has more than {MAX_MERGED} characters", join(server, name))
            }
            Self::Taken { server, name, by } if name == by => write!(f, "{} is listed twice", join(server, name)),
            Self::Taken { server, name, by } => write!(f, "{} is the alias of {by:?}", join(server, name)),
        }
    }
}

/// The names taken in one merged view, of one kind (tools or prompts).
#[derive(Debug, Default)]
pub struct View {
    /// Each with the server's own name for it.
    taken: HashMap<String, String>,
}

impl View {
    /// An empty view.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name under which a server's tool or prompt is offered.
    ///
    /// # Errors
    /// When the joined name is too long or taken, also by an alias that has not come yet; it is
    /// then left out of the view.
    pub fn admit(&mut self, server: &str, name: &str, aliases: &Aliases) -> Result<String, Unfit> {
        let taken = |by: &str| Unfit::Taken { server: server.into(), name: name.into(), by: by.into() };
        let alias = aliases.of(name);
        if let Some(by) = aliases.own(name).filter(|by| alias.is_none() && *by != name) {
            return Err(taken(by));
        }
        let joined = join(server, alias.unwrap_or(name));
        if too_long(&joined) {
            return Err(Unfit::TooLong { server: server.into(), name: name.into() });
        }
        if let Some(by) = self.taken.get(&joined) {
            return Err(taken(by));
        }
        self.taken.insert(joined.clone(), name.into());
        Ok(joined)
    }
}
