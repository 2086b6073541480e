//! The whole environment of a command.
//!
//! `instance` asks for it once. Values may be secrets, and neither the command line nor a unit's
//! `Environment=` keeps one: the keeper hands them over in a descriptor, systemd as credentials.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::InstanceArgs;

/// Names and values.
pub(super) type Environment = Vec<(OsString, OsString)>;

/// What every command gets, with the value used where the wrapper has none itself.
const INHERITED: [(&str, &str); 3] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/"), ("LANG", "C.UTF-8")];

/// Later pairs win. The error is a sentence.
pub(super) fn read(args: &InstanceArgs) -> Result<Environment, String> {
    let mut environment: Environment = INHERITED
        .iter()
        .map(|&(name, otherwise)| (name.into(), env::var_os(name).unwrap_or_else(|| otherwise.into())))
        .collect();
    if let Some(cache) = env::var_os("XDG_CACHE_HOME") {
        environment.push(("XDG_CACHE_HOME".into(), cache));
    }
    if args.environment_on_stdout {
        let pairs = read_stdout().map_err(|e| format!("cannot read the environment from standard output: {e}"))?;
        environment.extend(pairs.split(|&byte| byte == 0).filter_map(pair));
    }
    if let Some(name) = &args.environment_credential {
        let pairs = credential(OsStr::new(name)).map_err(|e| format!("--environment-credential {name}: {e}"))?;
        environment.extend(pairs.split(|&byte| byte == 0).filter_map(pair));
    }
    for secret in &args.secrets {
        environment.push(read_credential(secret)?);
    }
    Ok(environment)
}

/// Standard output, because a program started without `unsafe` is handed three descriptors, of
/// which only this one has no other use: the command's own output is the connection.
fn read_stdout() -> io::Result<Vec<u8>> {
    let mut pairs = Vec::new();
    File::from(io::stdout().as_fd().try_clone_to_owned()?).read_to_end(&mut pairs)?;
    Ok(pairs)
}

fn pair(bytes: &[u8]) -> Option<(OsString, OsString)> {
    let at = bytes.iter().position(|&byte| byte == b'=').filter(|&at| at > 0)?;
    Some((OsString::from_vec(bytes[..at].to_vec()), OsString::from_vec(bytes[at + 1..].to_vec())))
}

fn read_credential(secret: &str) -> Result<(OsString, OsString), String> {
    let (variable, name) = pair(secret.as_bytes()).ok_or_else(|| format!("--secret {secret}: write VAR=CREDENTIAL"))?;
    let value = without_line_end(credential(&name).map_err(|e| format!("--secret {secret}: {e}"))?);
    // The unit gives an empty one where the file is absent; the checker counts both as missing.
    if value.is_empty() {
        return Err(format!("--secret {secret}: the credential is empty, or its file is absent"));
    }
    if value.contains(&0) {
        return Err(format!("--secret {secret}: the credential contains NUL, which no environment can hold"));
    }
    Ok((variable, OsString::from_vec(value)))
}

/// An editor's line end is no part of a secret; the checker leaves out the same.
fn without_line_end(mut value: Vec<u8>) -> Vec<u8> {
    if value.pop_if(|last| *last == b'\n').is_some() {
        value.pop_if(|last| *last == b'\r');
    }
    value
}

/// The content of a credential of the unit.
fn credential(name: &OsStr) -> Result<Vec<u8>, String> {
    if name.is_empty() || name == ".." || name.as_bytes().contains(&b'/') {
        return Err("a credential's name is a file name".into());
    }
    let folder =
        env::var_os("CREDENTIALS_DIRECTORY").ok_or("no credentials were passed; add LoadCredential= to the unit")?;
    let path = PathBuf::from(folder).join(name);
    fs::read(&path).map_err(|e| format!("cannot read the credential {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_anything_but_a_name_may_not_be_empty() {
        assert_eq!(pair(b"A=b=c\nd"), Some(("A".into(), "b=c\nd".into())));
        assert_eq!(pair(b"A="), Some(("A".into(), "".into())));
        assert_eq!(pair(b"=b"), None);
        assert_eq!(pair(b""), None);
    }

    #[test]
    fn one_line_end_is_left_out() {
        for (written, value) in
            [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a\r", "a\r"), ("\r\n", ""), ("", "")]
        {
            assert_eq!(without_line_end(written.into()), value.as_bytes(), "{written:?}");
        }
    }

    #[test]
    fn a_credential_cannot_lead_out_of_its_folder() {
        for bad in ["A=../x", "A=/etc/passwd", "A=..", "A=", "A"] {
            assert!(read_credential(bad).is_err(), "{bad}");
        }
    }
}
