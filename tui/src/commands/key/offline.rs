//! A key that stands in the files of the configuration: made here, with the lines that make the daemon know it.
//!
//! The secret exists in this process and on the operator's screen only; the configuration gets its SHA-256.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, rand};
use serde_json::json;
use toolgate_admin_api::Exit;
use toolgate_protocol::key;

use super::super::{Context, takeover};
use crate::args::KeyCreate;
use crate::edit::{Access, Change, Place};
use crate::failure::Failure;
use crate::output;

/// Makes a key and prints it once; with `--write` the daemon knows it before anybody else does.
pub(super) async fn create(context: &Context, create: &KeyCreate) -> Result<Exit, Failure> {
    if !create.networks.is_empty() || create.expires.is_some() {
        let message = "The files of the configuration know no networks and no end of a key.";
        return Err(Failure::new(Exit::Usage, message)
            .remedy("Leave --network and --expires out, or have a running daemon make the key."));
    }
    let no_random = |error| Failure::local("The system gives no random numbers", error);
    let id = key::random_id(rand::fill).map_err(no_random)?;
    let secret = key::random_secret(rand::fill).map_err(no_random)?;
    let key = format!("{}{id}_{secret}", key::PREFIX);
    let hash = hash(&secret);
    let lines = lines(&id, &hash, &today(SystemTime::now()), create);
    if create.edit.dry_run {
        let path = Place::find(&context.runtime_dir, create.edit.config.as_deref()).await?.drop_in("keys");
        if context.json {
            output::json(&json!({ "file": path, "toml": lines }));
        } else {
            output::line(&format!("{} would get lines such as these:\n\n{lines}", path.display()));
        }
        return Ok(Exit::Done);
    }
    let written = if create.write { Some(write(context, create, &id, &lines).await?) } else { None };
    if context.json {
        let file = written.as_ref().map(|(path, _)| path);
        let reload = written.as_ref().and_then(|(_, taken)| taken.reload.as_ref());
        output::json(&json!({ "id": id, "key": key, "hash": hash, "toml": lines, "file": file, "reload": reload }));
        return Ok(Exit::Done);
    }
    output::line(&format!("The key, which is shown only now; give it to {}:\n\n{key}\n", create.owner));
    match &written {
        Some((path, taken)) => {
            output::line(&format!("{} has its lines.", path.display()));
            taken.print();
        }
        None => output::line(&format!(
            "Put these lines into a file such as /etc/toolgate/conf.d/keys.toml, then run\n\
             `toolgate config reload`; `--write` does both:\n\n{lines}"
        )),
    }
    Ok(Exit::Done)
}

/// Appends the lines and has them taken over.
async fn write(
    context: &Context,
    create: &KeyCreate,
    id: &str,
    lines: &str,
) -> Result<(PathBuf, takeover::Taken), Failure> {
    let place = Place::find(&context.runtime_dir, create.edit.config.as_deref()).await?;
    let path = place.drop_in("keys");
    let _lock = place.lock().await?;
    let before = place.read()?;
    let there = before.iter().find(|file| file.name == "conf.d/keys.toml").map(|file| file.text.as_str());
    let text = match there.map(str::trim_end) {
        None | Some("") => format!("{lines}\n"),
        Some(there) => format!("{there}\n\n{lines}\n"),
    };
    let mut change = Change::default();
    change.write(&path, &text, Access::Daemon)?;
    let reason = format!("key create --owner {} ({id})", create.owner);
    Ok((path, takeover::run(context, &place, &before, change, &reason).await?))
}

/// The hash of the secret part's text, as the configuration has it.
fn hash(secret: &str) -> String {
    let digest = digest::digest(&digest::SHA256, secret.as_bytes());
    key::hash_text(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

fn lines(id: &str, hash: &str, today: &str, create: &KeyCreate) -> String {
    let owner = quoted(&create.owner);
    let mut lines = format!("[key.{id}]\nhash = \"{hash}\"\nowner = {owner}\ncreated = \"{today}\"");
    if let Some(tier) = &create.tier {
        let _ = write!(lines, "\ntier = {}", quoted(tier));
    }
    if let Some(organisation) = &create.org {
        let _ = write!(lines, "\norganisation = {}", quoted(organisation));
    }
    for (key, texts) in [("roles", &create.roles), ("scopes", &create.scopes)] {
        if !texts.is_empty() {
            let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
            let _ = write!(lines, "\n{key} = [{}]", texts.join(", "));
        }
    }
    lines
}

/// The day in UTC, as `2026-11-27`.
fn today(now: SystemTime) -> String {
    let mut days = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

/// A basic string of TOML; the arguments' table keeps control characters out.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_secret_text() {
        // The first test vector of FIPS 180-2.
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash("abc"), abc);
    }

    #[test]
    fn a_day_is_that_of_the_calendar() {
        let at = |seconds| today(UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01");
        assert_eq!(at(1_709_164_800), "2024-02-29");
        assert_eq!(at(1_735_689_599), "2024-12-31");
        assert_eq!(at(1_795_737_600), "2026-11-27");
    }

    #[test]
    fn quotes_do_not_end_the_string() {
        assert_eq!(quoted(r#"a "b" \c"#), r#""a \"b\" \\c""#);
    }
}
