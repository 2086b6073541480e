//! Patterns over names: `*` is any run of characters, `?` is any one character, everything else is itself.
//! Called by allow and deny lists, and by the scopes of keys.
//! Must hold: no pattern and no name, however chosen, costs more than the product of their lengths.

use std::fmt;

/// A pattern over names. Case-sensitive, as names are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
    /// Without `*` and `?` a pattern is compared as a whole.
    literal: bool,
}

impl Pattern {
    /// Every text is a pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        // Neighbouring stars mean the same as one.
        let mut shortened = String::with_capacity(text.len());
        for char in text.chars() {
            if char != '*' || !shortened.ends_with('*') {
                shortened.push(char);
            }
        }
        Self { literal: !shortened.contains(['*', '?']), text: shortened.into() }
    }

    /// The pattern's text, with runs of stars shortened to one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern names exactly one name.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.literal
    }

    /// Whether the whole name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if self.literal { *self.text == *name } else { self.matches_chars(name.chars()) }
    }

    /// Whether the characters of a name, one after the other, match as a whole.
    pub fn matches_chars<C: Iterator<Item = char> + Clone>(&self, mut name: C) -> bool {
        // Only the last star is ever returned to: what earlier stars took cannot be improved by taking more.
        let mut pattern = self.text.chars();
        let mut star: Option<(std::str::Chars<'_>, C)> = None;
        loop {
            let before = name.clone();
            match (pattern.next(), name.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    star = Some((pattern.clone(), before.clone()));
                    name = before;
                }
                (Some('?'), Some(_)) => {}
                (Some(wanted), Some(found)) if wanted == found => {}
                _ => {
                    let Some((after_star, from)) = star.as_mut() else {
                        return false;
                    };
                    if from.next().is_none() {
                        return false;
                    }
                    pattern = after_star.clone();
                    name = from.clone();
                }
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
