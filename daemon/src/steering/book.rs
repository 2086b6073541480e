//! The file of what was changed by hand: JSON of version 1, replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toolgate_admin_api::Suspension;
use tracing::warn;

const VERSION: u32 = 1;

/// All that holds by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Book {
    version: u32,
    /// Suspended clients by their ids.
    pub clients: BTreeMap<String, Suspension>,
}

impl Default for Book {
    fn default() -> Self {
        Self { version: VERSION, clients: BTreeMap::new() }
    }
}

impl Book {
    /// Takes out what ended by `now`, in milliseconds since 1970; whether there was anything.
    pub fn forget_what_is_over(&mut self, now: u64) -> bool {
        let before = self.clients.len();
        let holds = |until: Option<u64>| until.is_none_or(|until| now < until);
        self.clients.retain(|_, suspension| holds(suspension.until_ms));
        before != self.clients.len()
    }
}

/// What was written last; what cannot be read is set aside.
pub(super) fn load(folder: &Path) -> Book {
    let path = folder.join("steering.json");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Book::default(),
        Err(problem) => {
            warn!(file = %path.display(), "what was changed by hand cannot be read: {problem}; nothing of it holds");
            return Book::default();
        }
    };
    let why = match serde_json::from_slice::<Book>(&text) {
        Ok(book) if book.version == VERSION => return book,
        Ok(book) => format!("it is of version {}, and this daemon knows {VERSION}", book.version),
        Err(problem) => problem.to_string(),
    };
    let aside = path.with_extension("json.aside");
    // Where it cannot be renamed it is replaced by the next change.
    let _ = std::fs::rename(&path, &aside);
    warn!(aside = %aside.display(), "what was changed by hand cannot be read: {why}; nothing of it holds");
    Book::default()
}

/// Replaces the file: whole or not at all, also where the machine loses its power.
pub(super) fn save(folder: &Path, book: &Book) -> io::Result<()> {
    let text = serde_json::to_vec(book).map_err(io::Error::other)?;
    let path = folder.join("steering.json");
    let new = path.with_extension("json.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    std::fs::rename(&new, &path)?;
    File::open(folder)?.sync_all()
}
