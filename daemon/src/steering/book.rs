//! The file of what was changed by hand: JSON of version 1, replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toolgate_admin_api::Suspension;

use super::endpoints::ByHand;

const VERSION: u32 = 1;
const NAME: &str = "steering.json";

/// All that holds by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Book {
    version: u32,
    /// Suspended clients by their ids.
    pub clients: BTreeMap<String, Suspension>,
    /// Tools that are off, by server.
    pub tools: BTreeMap<String, BTreeMap<String, Suspension>>,
    /// Other bounds of queues, by server.
    pub queues: BTreeMap<String, Bounds>,
    /// What holds of endpoints, by server and by their names.
    pub endpoints: BTreeMap<String, BTreeMap<String, ByHand>>,
    /// Limits set to another value, by name.
    pub overrides: BTreeMap<String, Value>,
    /// Limits that no file has, by name.
    pub limits: BTreeMap<String, TemporaryLimit>,
}

/// Other bounds of a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bounds {
    /// How long a call may wait, in milliseconds; absent: as configured.
    pub timeout_ms: Option<u64>,
    /// Calls that may wait; absent: as configured.
    pub max_size: Option<u64>,
    /// Until when, in milliseconds since 1970.
    pub until_ms: u64,
}

/// Another value of a limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Value {
    /// As the configuration writes it.
    pub value: String,
    /// At once.
    pub burst: Option<u64>,
    /// Until when, in milliseconds since 1970.
    pub until_ms: u64,
    /// Who set it.
    pub who: String,
    /// Why.
    pub reason: Option<String>,
}

/// A limit that no file has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TemporaryLimit {
    /// The client's id.
    pub client: Option<String>,
    /// `server/tool`.
    pub tool: Option<String>,
    /// What a refused client reads first.
    pub say: Option<String>,
    /// What it bounds, until when, and who set it.
    #[serde(flatten)]
    pub value: Value,
}

impl Default for Book {
    fn default() -> Self {
        let (clients, tools, queues, endpoints, overrides, limits) = Default::default();
        Self { version: VERSION, clients, tools, queues, endpoints, overrides, limits }
    }
}

impl Book {
    /// Takes out what ended by `now`, in milliseconds since 1970; whether there was anything.
    pub fn forget_what_is_over(&mut self, now: u64) -> bool {
        let before = self.len();
        let holds = |until: Option<u64>| until.is_none_or(|until| now < until);
        self.clients.retain(|_, suspension| holds(suspension.until_ms));
        for tools in self.tools.values_mut() {
            tools.retain(|_, off| holds(off.until_ms));
        }
        self.tools.retain(|_, tools| !tools.is_empty());
        self.queues.retain(|_, bounds| now < bounds.until_ms);
        self.overrides.retain(|_, set| now < set.until_ms);
        self.limits.retain(|_, limit| now < limit.value.until_ms);
        before != self.len()
    }

    fn len(&self) -> usize {
        let tools: usize = self.tools.values().map(BTreeMap::len).sum();
        self.clients.len() + tools + self.queues.len() + self.overrides.len() + self.limits.len()
    }
}

/// What was written last.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn load(folder: &Path) -> Result<Book, String> {
    let text = match std::fs::read(folder.join(NAME)) {
        Ok(text) => text,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
        Err(problem) => return Err(problem.to_string()),
    };
    match serde_json::from_slice::<Book>(&text) {
        Ok(book) if book.version == VERSION => Ok(book),
        Ok(book) => Err(format!("it is of version {}, and this daemon knows {VERSION}", book.version)),
        Err(problem) => Err(problem.to_string()),
    }
}

/// Where a file is put that cannot be read.
pub(super) fn aside(folder: &Path) -> PathBuf {
    folder.join(NAME).with_extension("json.aside")
}

/// Puts it there, so that nothing replaces it.
pub(super) fn set_aside(folder: &Path) -> io::Result<()> {
    match std::fs::rename(folder.join(NAME), aside(folder)) {
        Err(problem) if problem.kind() != io::ErrorKind::NotFound => Err(problem),
        _ => Ok(()),
    }
}

/// Replaces the file: whole or not at all, also where the machine loses its power.
pub(super) fn save(folder: &Path, book: &Book) -> io::Result<()> {
    let text = serde_json::to_vec(book).map_err(io::Error::other)?;
    let path = folder.join(NAME);
    let new = path.with_extension("json.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    std::fs::rename(&new, &path)?;
    File::open(folder)?.sync_all()
}
