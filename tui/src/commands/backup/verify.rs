//! `toolgate backup verify`: what is in a backup, once all of it was read.

use std::collections::BTreeMap;

use serde_json::json;
use toolgate_admin_api::{Exit, Shown};

use super::{Backed, Context};
use crate::args::BackupVerify;
use crate::backup::archive::Manifest;
use crate::backup::parts::PARTS;
use crate::commands::{change, history};
use crate::failure::Failure;
use crate::output;

/// Verifies a backup.
pub(super) fn run(context: &Context, verify: &BackupVerify) -> Result<Exit, Failure> {
    let Backed { manifest, is_sealed, .. } = super::open(&verify.file, &verify.secret)?;
    if context.json {
        output::json(&json!({ "usable": true, "sealed": is_sealed, "manifest": manifest }));
        return Ok(Exit::Done);
    }
    print(&manifest, is_sealed);
    Ok(Exit::Done)
}

/// Of when and what it is.
pub(super) fn print(manifest: &Manifest, is_sealed: bool) {
    let revision = manifest.revision.map_or_else(|| "no daemon ran".to_owned(), |number| format!("revision {number}"));
    let sealed = if is_sealed { "sealed" } else { "not sealed" };
    let (host, version) = (Shown(&manifest.host), Shown(&manifest.version));
    output::line(&format!(
        "Of {}, {host}, {revision}, by {version}; {sealed}, whole.",
        history::time(manifest.made_at_ms)
    ));
    let mut sums: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for file in &manifest.files {
        let sum = sums.entry(&file.part).or_default();
        *sum = (sum.0 + 1, sum.1 + file.bytes);
    }
    let row = |name: &str| {
        let (files, bytes) = sums.get(name)?;
        Some(vec![name.to_owned(), files.to_string(), bytes.to_string()])
    };
    let rows = PARTS.iter().filter_map(|part| row(part.name)).collect();
    change::table(rows, &["PART", "FILES", "BYTES"], "There is nothing in it.");
    if !manifest.left_out.is_empty() {
        output::line(&format!("Left out when it was made: {}.", Shown(&manifest.left_out.join(", "))));
    }
}
