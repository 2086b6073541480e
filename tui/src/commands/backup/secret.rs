//! What seals and opens backups, from files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use toolgate_admin_api::Exit;
use toolgate_protocol::key_text;
use zeroize::Zeroizing;

use crate::args::BackupSecret;
use crate::backup::envelope::Secret;
use crate::edit::refused;
use crate::failure::Failure;

/// Characters of a passphrase: what is tried at leisure must not be short.
const SHORTEST: usize = 12;

/// The secret that the command line names; none where it names none, or a credential that says nothing.
pub(super) fn read(named: &BackupSecret) -> Result<Option<Secret>, Failure> {
    if let Some(path) = &named.passphrase_file {
        return passphrase(path, line(path)?).map(Some);
    }
    if let Some(path) = &named.key_file {
        let key = key_text::read(&line(path)?).map(|key| Secret::Key(Zeroizing::new(key)));
        return key.map(Some).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{} holds no key.", path.display()))
                .remedy("Write 32 bytes in base64 or hexadecimal into it: openssl rand -base64 32")
        });
    }
    let Some(name) = &named.credential else { return Ok(None) };
    let path = credential(name)?;
    let text = line(&path)?;
    match key_text::read(&text) {
        Some(key) => Ok(Some(Secret::Key(Zeroizing::new(key)))),
        None if text.is_empty() => Ok(None),
        None => passphrase(&path, text).map(Some),
    }
}

fn credential(name: &str) -> Result<PathBuf, Failure> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|_| !name.contains('/') && !name.starts_with('.'));
    folder.map(|folder| PathBuf::from(folder).join(name)).ok_or_else(|| {
        Failure::new(Exit::Usage, "There is no credential here.").remedy("They are for units: use --key-file.")
    })
}

fn passphrase(path: &Path, text: Zeroizing<String>) -> Result<Secret, Failure> {
    if text.chars().count() < SHORTEST {
        return Err(Failure::new(Exit::Usage, format!("The passphrase in {} is too short.", path.display())).remedy(
            format!("Use {SHORTEST} characters at least, better six words, or a key: openssl rand -base64 32"),
        ));
    }
    Ok(Secret::Passphrase(text))
}

/// The text of a file without its line end.
fn line(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| refused(path, "read", &error))?);
    if fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0) {
        eprintln!("toolgate: every user of this machine can read {}: chmod o= {0}", path.display());
    }
    Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &Path, key: bool) -> BackupSecret {
        let path = Some(path.to_owned());
        let (key_file, passphrase_file) = if key { (path, None) } else { (None, path) };
        BackupSecret { passphrase_file, key_file, credential: None }
    }

    #[test]
    fn keys_and_passphrases_are_told_apart_and_bad_ones_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("secret");
        let write = |text: &str| fs::write(&path, text).expect("writes");
        write(&format!("{}\n", "ab".repeat(32)));
        assert!(matches!(read(&named(&path, true)), Ok(Some(Secret::Key(_)))));
        assert!(matches!(read(&named(&path, false)), Ok(Some(Secret::Passphrase(_)))));
        write("six words that nobody has said\n");
        assert!(matches!(read(&named(&path, false)), Ok(Some(Secret::Passphrase(words))) if !words.ends_with('\n')));
        assert!(read(&named(&path, true)).is_err(), "it is no key");
        write("short\n");
        let failure = read(&named(&path, false)).err().expect("too short");
        assert!(!failure.message.contains("short\n") && failure.message.contains("too short"));
        let none = BackupSecret { passphrase_file: None, key_file: None, credential: None };
        assert!(matches!(read(&none), Ok(None)));
    }
}
