//! A value that must not be shown: it prints as `***`, and its memory is wiped when it is dropped.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use zeroize::Zeroize as _;

/// A secret text, or a plain value that stands where a secret may stand.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value that was read from a credential, a file or the environment.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where rendered units load credentials from: a file per name.
pub const CREDENTIALS: &str = "/etc/toolgate/credentials";

/// Where `systemd-creds encrypt` puts them; one that is here comes first.
pub const ENCRYPTED: &str = "/etc/credstore.encrypted";

/// Whether a text is a reference, and no secret itself.
pub(super) fn is_reference(text: &str) -> bool {
    ["credential:", "file:", "env:"].iter().any(|scheme| text.starts_with(scheme))
}

/// Whether units that were rendered find a credential that says something; `None` where whoever asks may not look.
/// One that is not there may still be loaded from elsewhere, by a drop-in of an operator.
#[must_use]
pub fn is_stored(name: &str) -> Option<bool> {
    is_stored_in(&[Path::new(ENCRYPTED), Path::new(CREDENTIALS)], name)
}

/// The folder that is named last is the one that must be seen to tell that nothing is.
fn is_stored_in(folders: &[&Path], name: &str) -> Option<bool> {
    let says = |folder: &&Path| fs::metadata(folder.join(name)).is_ok_and(|file| file.len() > 0);
    if folders.iter().any(says) {
        return Some(true);
    }
    match fs::read_dir(folders.last()?) {
        Err(error) if error.kind() != ErrorKind::NotFound => None,
        _ => Some(false),
    }
}

/// Words that names of secrets contain, in lower case.
const NAMES: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "apikey",
    "api_key",
    "api-key",
    "auth",
    "credential",
    "private",
    "access_key",
];

/// How tokens of well-known services begin.
const PREFIXES: &[&str] = &[
    "sk-",
    "sk_",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "AIza",
    "tg_",
    "eyJ",
    "pat_",
    "Bearer ",
    "Basic ",
];

/// Whether a literal is probably a secret: by the name under which it stands, or by its form.
#[must_use]
pub(crate) fn looks_secret(name: &str, value: &str) -> bool {
    let switch =
        matches!(value.to_ascii_lowercase().as_str(), "" | "true" | "false" | "0" | "1" | "none" | "yes" | "no");
    if switch || value.starts_with('/') {
        return false;
    }
    let name = name.to_ascii_lowercase();
    let named = NAMES.iter().any(|word| name.contains(word))
        || name.ends_with("_key")
        || name.ends_with("-key")
        || name == "key";
    named
        || PREFIXES.iter().any(|prefix| value.starts_with(prefix) && value.len() > prefix.len() + 8)
        || has_password(value)
}

/// `scheme://user:password@host`
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, password)| !password.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_missing_only_for_whoever_can_look() {
        let folder = tempfile::tempdir().expect("folder");
        for (name, text) in [("there", "secret"), ("empty", "")] {
            fs::write(folder.path().join(name), text).expect("writes");
        }
        let stored = |name| is_stored_in(&[Path::new("/nowhere"), folder.path()], name);
        assert_eq!(["there", "empty", "absent"].map(stored), [Some(true), Some(false), Some(false)]);
        assert_eq!(is_stored_in(&[folder.path(), Path::new("/nowhere")], "absent"), Some(false), "no folder, no file");
        // What is no folder cannot be looked into, as one that is closed to whoever asks; root may look everywhere.
        assert_eq!(is_stored_in(&[folder.path(), &folder.path().join("there")], "absent"), None);
    }

    #[test]
    fn tells_secrets_from_settings() {
        let secrets = [
            ("GITHUB_TOKEN", "x"),
            ("api-key", "x"),
            ("DB", "postgres://me:pw@db/x"),
            ("X", "sk-abcdefghijkl"),
            ("OPENAI_API_KEY", "abc"),
            ("Authorization", "Bearer abc"),
        ];
        for (name, value) in secrets {
            assert!(looks_secret(name, value), "{name}={value}");
        }
        let plain = [
            ("LOG_LEVEL", "info"),
            ("TOKEN_FILE", "/run/x"),
            ("AUTH", "false"),
            ("URL", "https://a.example/x@y"),
            ("DB", "postgres://db/x"),
        ];
        for (name, value) in plain {
            assert!(!looks_secret(name, value), "{name}={value}");
        }
    }

    #[test]
    fn is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new("canary".into())), "***");
    }
}
