//! How many colours a terminal has, and whether it can draw more than ASCII.

use std::env;

/// How many colours may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Level {
    /// None: bold, reverse and underline only
    None,
    /// The 16 of the terminal's own palette
    #[value(name = "16")]
    Sixteen,
    /// 256
    #[value(name = "256")]
    Indexed,
    /// All
    True,
}

/// What the environment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ability {
    pub(crate) level: Level,
    /// Only ASCII can be drawn.
    pub(crate) ascii: bool,
}

impl Ability {
    /// By the process's environment.
    pub(crate) fn detect() -> Self {
        Self::of(|name| env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let level = match set("COLORTERM").as_deref() {
            _ if set("NO_COLOR").is_some() || term.is_empty() || term == "dumb" => Level::None,
            Some("truecolor" | "24bit") => Level::True,
            _ if term.contains("direct") => Level::True,
            _ if term.contains("256") => Level::Indexed,
            _ if term.starts_with("vt") => Level::None,
            _ => Level::Sixteen,
        };
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Self { level, ascii: !(locale.contains("utf-8") || locale.contains("utf8")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(variables: &[(&str, &str)]) -> Level {
        Ability::of(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())).level
    }

    #[test]
    fn the_environment_says_how_many_colours_there_are() {
        assert_eq!(level(&[("TERM", "xterm-256color")]), Level::Indexed);
        assert_eq!(level(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Level::True);
        assert_eq!(level(&[("TERM", "xterm"), ("COLORTERM", "")]), Level::Sixteen);
        assert_eq!(level(&[("TERM", "linux")]), Level::Sixteen);
        assert_eq!(level(&[("TERM", "vt100")]), Level::None);
        assert_eq!(level(&[("TERM", "dumb"), ("COLORTERM", "truecolor")]), Level::None);
        assert_eq!(level(&[]), Level::None);
    }

    #[test]
    fn no_color_wins_unless_it_is_empty() {
        assert_eq!(level(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]), Level::None);
        assert_eq!(level(&[("TERM", "xterm-256color"), ("NO_COLOR", "")]), Level::Indexed);
    }

    #[test]
    fn without_utf8_only_ascii_is_drawn() {
        let ascii = |locale: &str| Ability::of(|name| (name == "LANG").then(|| locale.to_owned())).ascii;
        assert!(ascii("C") && ascii("") && !ascii("en_GB.UTF-8") && !ascii("C.utf8"));
    }
}
