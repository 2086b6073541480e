//! Names that an operator gives a server's tools and prompts in merged views.
//! Called by the configuration's checks, by merged lists and by routing.
//! Must hold: what is listed under an alias is called by it; an alias hides a name that is spelt alike.

use std::collections::BTreeMap;

use super::{MAX_MERGED, join, too_long};
use crate::json::encode_str;

/// The longest suggestion's number, where shorter ones are taken.
const SUGGESTIONS: u32 = 100;

/// The aliases of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases {
    own: BTreeMap<String, String>,
    aliases: BTreeMap<String, String>,
}

impl Aliases {
    /// Aliases, each with the name that it stands for. Of two for one name the last holds.
    #[must_use]
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let own: BTreeMap<_, _> = pairs.into_iter().collect();
        let aliases = own.iter().map(|(alias, own)| (own.clone(), alias.clone())).collect();
        Self { own, aliases }
    }

    /// What an alias stands for.
    #[must_use]
    pub fn own(&self, alias: &str) -> Option<&str> {
        self.own.get(alias).map(String::as_str)
    }

    /// The alias of a name.
    #[must_use]
    pub fn of(&self, own: &str) -> Option<&str> {
        self.aliases.get(own).map(String::as_str)
    }

    /// The line for the server's table that offers a left-out name under one that fits.
    #[must_use]
    pub fn remedy(&self, server: &str, own: &str) -> String {
        let alias = self.suggestion(server, own);
        format!("aliases.{alias} = {}", encode_str(own))
    }

    fn suggestion(&self, server: &str, own: &str) -> String {
        // Bare keys of TOML; names of tools have few other characters.
        let plain =
            |character: char| if character.is_ascii_alphanumeric() || character == '_' { character } else { '-' };
        let plain: String = own.chars().map(plain).collect();
        let room = MAX_MERGED - join(server, "").len();
        let free = |alias: &String| alias != own && !self.own.contains_key(alias);
        let cut = |room: usize| &plain[..plain.len().min(room)];
        let numbered = (2..SUGGESTIONS).map(|number| format!("{}-{number}", cut(room - 3)));
        std::iter::once(cut(room).to_owned()).chain(numbered).find(free).unwrap_or_else(|| cut(room).to_owned())
    }
}

/// Whether this can be an alias: `[A-Za-z0-9_.-]`, and with its server's name no longer than a
/// merged view allows.
#[must_use]
pub fn is_alias(server: &str, alias: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !alias.is_empty() && alias.bytes().all(plain) && !too_long(&join(server, alias))
}
