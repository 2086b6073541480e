//! Reads all files of the log and says whether they are what was written.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use toolgate_admin_api::AuditVerdict;
use toolgate_protocol::audit::{HEAD, Head, Verifier, in_order};

use super::file::hash;
use crate::lock::lock;

/// Verifies the log in a folder. Files are not renamed while they are opened.
pub(super) fn verify(folder: &Path, renaming: &Mutex<()>) -> io::Result<AuditVerdict> {
    let (head, files) = {
        let _renaming = lock(renaming);
        open(folder)?
    };
    let mut verifier = Verifier::new(hash, head);
    for (_, file) in &files {
        verifier.read(file)?;
    }
    let names = files.into_iter().map(|(name, _)| name).collect();
    let mut verdict = AuditVerdict::of(&verifier.finish(), names);
    verdict.headless = head.is_none();
    Ok(verdict)
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
