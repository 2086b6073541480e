//! `toolgate audit verify`: by the daemon, or on files without it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use toolgate_admin_api::{AuditVerdict, Exit};
use toolgate_protocol::audit::{HEAD, Hash, Head, NAME, Verifier, in_order};

use super::super::{Context, change};
use crate::client::admin::AdminClient;
use crate::failure::Failure;

/// Verifies, and says what was found.
pub(super) async fn run(context: &Context, files: &[PathBuf], state_dir: &Path) -> Result<Exit, Failure> {
    let verdict = match files {
        [] => match AdminClient::control(&context.runtime_dir).await {
            Ok(mut client) => client.get_slowly("/v1/audit/verify").await?.read()?,
            Err(failure) if failure.exit == Exit::Unreachable => folder(state_dir)?,
            Err(failure) => return Err(failure),
        },
        [one] if one.is_dir() => folder(one)?,
        files => {
            let last = files.last().filter(|last| last.file_name().is_some_and(|name| name == NAME));
            let head = last.and_then(|last| head(&last.with_file_name(HEAD)));
            read(head, files)?
        }
    };
    let exit = if verdict.whole { Exit::Done } else { Exit::Failed };
    change::tell(context, &verdict, &told(&verdict));
    Ok(exit)
}

/// All of the log in a folder.
fn folder(folder: &Path) -> Result<AuditVerdict, Failure> {
    let unreadable =
        |error: io::Error| Failure::local(format!("The audit log in {} cannot be read", folder.display()), error);
    let names: Vec<String> = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let files: Vec<_> = in_order(names.iter().map(String::as_str)).into_iter().map(|name| folder.join(name)).collect();
    let head = head(&folder.join(HEAD));
    if files.is_empty() && head.is_none() {
        return Err(Failure::new(Exit::Failed, format!("There is no audit log in {}.", folder.display()))
            .remedy("Name its files, or the state folder with --state-dir."));
    }
    read(head, &files)
}

fn head(path: &Path) -> Option<Head> {
    Head::read(&std::fs::read(path).ok()?)
}

fn read(head: Option<Head>, files: &[PathBuf]) -> Result<AuditVerdict, Failure> {
    let mut verifier = Verifier::new(hash, head);
    for path in files {
        let read = File::open(path).and_then(|file| verifier.read(file));
        read.map_err(|error| Failure::local(format!("{} cannot be read", path.display()), error))?;
    }
    let names = files.iter().map(|path| path.display().to_string()).collect();
    let mut verdict = AuditVerdict::of(&verifier.finish(), names);
    verdict.headless = head.is_none();
    Ok(verdict)
}

fn hash(line: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, line).as_ref());
    hash
}

/// What was found, in sentences.
fn told(verdict: &AuditVerdict) -> String {
    let AuditVerdict { lines, first, last, hash, .. } = verdict;
    let mut told = Vec::new();
    if verdict.whole {
        let files = verdict.files.len();
        let end = format!("the last has the hash {hash}");
        told.push(format!("The audit log is whole: {lines} lines in {files} files, numbers {first} to {last}; {end}."));
    } else {
        told.push("The audit log is not what was written.".to_owned());
        told.extend(verdict.findings.iter().map(toolgate_admin_api::AuditFinding::sentence));
    }
    if verdict.more > 0 {
        told.push(format!("There is more of that, at {} places.", verdict.more));
    }
    if let Some(bytes) = verdict.unsynced {
        told.push(format!(
            "Behind line {last} a crash has left {bytes} bytes of what no sync had promised; the daemon cuts them off when it starts."
        ));
    }
    if verdict.headless {
        told.push("Its head is not there: lines that were cut off at the end are not missed.".to_owned());
    }
    told.join(" ")
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::audit::Link;

    use super::*;

    /// Writes a log of three lines with its head.
    fn log(folder: &Path) -> Vec<String> {
        let mut link = Link::default();
        let lines: Vec<String> = (0..3)
            .map(|_| {
                let mut sealed = Vec::new();
                link.seal(&mut sealed, |out| out.extend_from_slice(br#""kind":"call""#));
                link = link.next(hash(&sealed));
                String::from_utf8(sealed).expect("text")
            })
            .collect();
        std::fs::write(folder.join(HEAD), Head { link, ..Head::default() }.to_line()).expect("written");
        lines
    }

    #[test]
    fn files_are_verified_without_a_daemon() {
        let place = tempfile::tempdir().expect("a folder");
        let lines = log(place.path());
        let write = |name: &str, lines: &[String]| {
            std::fs::write(place.path().join(name), lines.iter().fold(String::new(), |text, line| text + line + "\n"))
        };
        write("audit.jsonl.1", &lines[..2]).expect("written");
        write(NAME, &lines[2..]).expect("written");
        let verdict = folder(place.path()).expect("it can be read");
        assert!(verdict.whole && !verdict.headless && told(&verdict).contains("3 lines in 2 files"), "{verdict:?}");
        write("audit.jsonl.1", &[lines[0].clone(), lines[1].replace("call", "cool")]).expect("written");
        let verdict = folder(place.path()).expect("it can be read");
        assert_eq!((verdict.whole, verdict.findings[0].number), (false, 2));
        assert!(told(&verdict).contains("Line 2 in "), "{}", told(&verdict));
        let alone = read(None, &[place.path().join(NAME)]).expect("it can be read");
        assert!(alone.whole && alone.headless && alone.first == 3, "{alone:?}");
        assert!(folder(&place.path().join("missing")).is_err());
    }
}
