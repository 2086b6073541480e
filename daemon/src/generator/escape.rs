//! Texts as systemd's unit files must write them, so that it reads what was meant.
//!
//! systemd takes a value apart into words with quotes and C escapes (`extract-word.c`), then
//! replaces `%` (`unit-printf.c`). `$` is not replaced: commands are rendered with the prefix `:`.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

/// One word of a command line or of a list.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=,:+@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '%' => quoted.push_str("%%"),
            c if c.is_ascii_control() => drop(write!(quoted, "\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A path at the end of a value that is not taken apart, such as `LoadCredential=ID:PATH`.
pub(super) fn rest(path: &Path) -> Result<String, String> {
    let path = straight(path);
    // A backslash at the end would join the next line to this one.
    let fits = |text: &&str| text.trim_end() == *text && !text.ends_with('\\') && !text.contains(char::is_control);
    let text = path.to_str().filter(fits);
    text.map(|text| text.replace('%', "%%"))
        .ok_or_else(|| format!("systemd cannot be told the path {}", path.display()))
}

/// The path without detours, which systemd refuses.
fn straight(path: &Path) -> PathBuf {
    let mut straight = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(straight.pop()),
            part => straight.push(part),
        }
    }
    straight
}

/// The name of a credential, where systemd takes it.
pub(super) fn credential(name: &str) -> Result<&str, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let good = !name.is_empty() && name.len() <= 255 && !matches!(name, "." | "..") && name.bytes().all(fits);
    if good {
        Ok(name)
    } else {
        Err(format!("a credential cannot be called {name:?}: use letters, digits, \"_\", \".\" and \"-\""))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::systemd;
    use super::*;

    #[test]
    fn what_is_plain_stays_readable() {
        assert_eq!(word("--root=/srv/shared"), "--root=/srv/shared");
        assert_eq!(word(""), "\"\"");
        assert_eq!(word("50% \"of\" $HOME; it's\n"), "\"50%% \\\"of\\\" $HOME; it's\\x0a\"");
    }

    #[test]
    fn paths_are_straight() {
        assert_eq!(rest(Path::new("/etc/toolgate/conf.d/../100%")), Ok("/etc/toolgate/100%%".into()));
        assert!(rest(Path::new("/a\nb")).is_err());
        assert!(rest(Path::new("/a ")).is_err());
        assert!(rest(Path::new("/a\\")).is_err());
    }

    #[test]
    fn credentials_are_file_names() {
        assert!(credential("weather-token_1.x").is_ok());
        for bad in ["", ".", "..", "a:b", "a b", "a%i", "ä", "a\\b"] {
            assert!(credential(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn systemd_reads_the_words_that_were_written(words in proptest::collection::vec("[^\0]*", 0..6)) {
            let line = words.iter().map(|text| word(text)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(systemd::words(&line), Ok(words));
        }

        #[test]
        fn also_where_characters_mean_something(words in proptest::collection::vec(r#"[-@:+!|;$%\\"' {}a\n\t]{0,8}"#, 0..6)) {
            let line = words.iter().map(|text| word(text)).collect::<Vec<_>>().join(" ");
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(systemd::words(&line), Ok(words));
        }
    }
}
