//! Looks through the files for lines that fit, from the newest back.

use std::io;
use std::path::Path;

use toolgate_admin_api::AuditLine;
use toolgate_protocol::audit::{Joint, NAME, numbered};
use toolgate_protocol::json::encode_str;

use super::lines::Backwards;

/// Lines of one answer, at most.
pub(super) const MOST: usize = 1_000;

/// Which lines are wanted: all conditions that are set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The client's id.
    pub client: Option<String>,
    /// The server.
    pub server: Option<String>,
    /// The tool, prompt or resource.
    pub tool: Option<String>,
    /// The call's id.
    pub call: Option<String>,
    /// The outcome.
    pub outcome: Option<String>,
    /// The kind of line.
    pub kind: Option<String>,
    /// Not older than this, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Behind the line with this number.
    pub after: Option<u64>,
    /// So many at most, the newest.
    pub limit: usize,
}

impl Query {
    /// Texts that a line must contain to be worth reading.
    fn needles(&self) -> Vec<Vec<u8>> {
        let texts = [&self.client, &self.server, &self.tool, &self.call, &self.outcome];
        texts.into_iter().flatten().map(|text| encode_str(text).into_bytes()).collect()
    }

    fn fits(&self, line: &AuditLine) -> bool {
        let is = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        self.kind.as_ref().is_none_or(|kind| *kind == line.kind)
            && self.since_ms.is_none_or(|since| line.at_ms >= since)
            && is(&self.client, &line.client)
            && is(&self.server, &line.server)
            && is(&self.tool, &line.name)
            && is(&self.call, &line.call)
            && is(&self.outcome, &line.outcome)
    }
}

/// The newest lines of a folder's log that fit, the oldest of them first.
pub(super) fn search(folder: &Path, query: &Query) -> io::Result<Vec<AuditLine>> {
    let needles = query.needles();
    let needles: Vec<_> = needles.iter().map(memchr::memmem::Finder::new).collect();
    let mut found = Vec::new();
    // A file that is renamed meanwhile is read again under its next name.
    let mut before = u64::MAX;
    for age in 0.. {
        let name = if age == 0 { NAME.to_owned() } else { numbered(age) };
        let lines = match Backwards::open(&folder.join(name)) {
            // In the middle of a change of names there may be none.
            Err(problem) if problem.kind() == io::ErrorKind::NotFound && age == 0 => continue,
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => break,
            opened => opened?,
        };
        for line in lines {
            let line = line?;
            let Some(Joint { number, .. }) = Joint::read(&line).filter(|joint| joint.number < before) else { continue };
            before = number;
            if found.len() >= query.limit.min(MOST) || query.after.is_some_and(|after| number <= after) {
                found.reverse();
                return Ok(found);
            }
            if needles.iter().all(|needle| needle.find(&line).is_some())
                && let Some(read) = read(&line).filter(|line| query.fits(line))
            {
                found.push(read);
            }
        }
    }
    found.reverse();
    Ok(found)
}

/// Reads a line; lines of before the chain are changes.
fn read(line: &[u8]) -> Option<AuditLine> {
    let mut read: AuditLine = serde_json::from_slice(line).ok()?;
    if read.kind.is_empty() {
        "change".clone_into(&mut read.kind);
    }
    read.more.remove("prev");
    Some(read)
}
