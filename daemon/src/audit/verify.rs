//! Reads all files of the log and says whether they are what was written.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Mutex;

use toolgate_admin_api::{AuditFinding, AuditVerdict};
use toolgate_protocol::audit::{Damage, HEAD, Head, Verifier, in_order, push_hex};

use super::file::hash;
use crate::lock::lock;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// Verifies the log in a folder. Files are not renamed while they are opened.
pub(super) fn verify(folder: &Path, renaming: &Mutex<()>) -> io::Result<AuditVerdict> {
    let (head, files) = {
        let _renaming = lock(renaming);
        open(folder)?
    };
    let mut verifier = Verifier::new(hash, head);
    let mut piece = vec![0; PIECE];
    for (_, file) in &files {
        verifier.file();
        let mut file = file;
        loop {
            match file.read(&mut piece)? {
                0 => break,
                read => verifier.feed(&piece[..read]),
            }
        }
    }
    let names: Vec<String> = files.into_iter().map(|(name, _)| name).collect();
    Ok(told(&verifier.finish(), names))
}

type Opened = (Option<Head>, Vec<(String, File)>);

fn open(folder: &Path) -> io::Result<Opened> {
    let head = match std::fs::read(folder.join(HEAD)) {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => None,
        read => Head::read(&read?),
    };
    let names: Vec<String> =
        std::fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let open = |name: &str| Ok((name.to_owned(), File::open(folder.join(name))?));
    let files = in_order(names.iter().map(String::as_str)).into_iter().map(open).collect::<io::Result<_>>()?;
    Ok((head, files))
}

/// A verdict as the admin sockets tell it.
fn told(verdict: &toolgate_protocol::audit::Verdict, files: Vec<String>) -> AuditVerdict {
    let mut hash = String::with_capacity(64);
    push_hex(&mut hash, &verdict.last.hash);
    let findings = verdict.findings.iter().map(|finding| AuditFinding {
        file: files.get(finding.file).cloned().unwrap_or_default(),
        number: finding.number,
        damage: finding.damage.word().to_owned(),
        through: match finding.damage {
            Damage::Missing(through) => Some(through),
            _ => None,
        },
    });
    AuditVerdict {
        whole: verdict.is_whole(),
        lines: verdict.lines,
        unchained: verdict.unchained,
        first: verdict.first,
        last: verdict.last.number,
        hash,
        unsynced: verdict.unsynced,
        findings: findings.collect(),
        more: verdict.more,
        files,
    }
}
