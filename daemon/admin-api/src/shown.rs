//! Untrusted text made fit for a log or a terminal.
//!
//! Daemon and ctl print whatever comes from a client or a server (names, methods, header values)
//! through [`Shown`]: no control byte, no turned direction, and a bounded length come out.

use std::fmt::{self, Write};

/// Characters that are shown of a text.
pub const SHOWN: usize = 256;

/// Displays untrusted text: control and direction characters as `\u{1b}`, `…` where it was cut.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.chars();
        for character in rest.by_ref().take(SHOWN) {
            if is_unfit(character) {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                f.write_char(character)?;
            }
        }
        if rest.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

/// Controls (C0, DEL, C1), line and paragraph separators, and what turns the direction of text.
#[must_use]
pub fn is_unfit(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_show_what_was_there() {
        assert_eq!(Shown("a\u{1b}[31m\nb").to_string(), r"a\u{1b}[31m\u{a}b");
        assert_eq!(Shown("grüß dich").to_string(), "grüß dich");
        assert_eq!(Shown("\u{202e}txt").to_string(), r"\u{202e}txt");
    }

    #[test]
    fn long_text_is_cut() {
        let exact = "x".repeat(SHOWN);
        assert_eq!(Shown(&exact).to_string(), exact);
        assert_eq!(Shown(&format!("{exact}y")).to_string(), format!("{exact}…"));
    }

    proptest! {
        #[test]
        fn no_control_character_comes_out(text: String) {
            prop_assert!(!Shown(&text).to_string().chars().any(is_unfit));
        }
    }
}
