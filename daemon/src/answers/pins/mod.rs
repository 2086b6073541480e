//! Tools as they were first seen, for all servers: a change is announced, and where configured it withholds the tool.
//!
//! What is remembered outlives the process, in a file that a thread of its own writes. Whether a tool is withheld is
//! read by calls and lists without a lock.

mod file;
mod writer;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use toolgate_protocol::json;
use toolgate_protocol::list::Item;
use toolgate_protocol::pins::{Book, Claim, Hash, MOST, Seen, portrait};
use tracing::{error, info, warn};

pub use self::file::{from_hex, to_hex};
use self::writer::Writer;
use super::hash;
use crate::clock;
use crate::lock::lock;
use crate::observe::Shown;

/// Sentences of health about changed tools of one server.
const TOLD: usize = 20;

/// What is remembered of all servers' tools.
#[derive(Debug, Default)]
pub struct Pins {
    books: Arc<Mutex<Books>>,
    writer: Option<Writer>,
}

type Books = BTreeMap<String, Book>;

/// A change that waits for approval.
#[derive(Debug)]
pub struct Change {
    /// The tool.
    pub tool: String,
    /// What was accepted.
    pub before: Claim,
    /// What it claims now.
    pub after: Claim,
}

/// Why a change was not approved.
#[derive(Debug, PartialEq, Eq)]
pub enum NotApproved {
    /// The tool is what was accepted, or nothing is known of it.
    Unchanged,
    /// It is something else by now than what was looked at.
    Stale,
}

impl Pins {
    /// What earlier processes remembered; kept in memory only where there is no folder for it.
    pub fn open(folder: Option<&Path>) -> Self {
        let Some(folder) = folder else { return Self::default() };
        let books = match file::load(folder) {
            Ok(books) => books,
            Err(problem) => {
                error!(folder = %folder.display(), "what tools were like is forgotten; each is accepted as it is next seen: {problem}");
                Books::default()
            }
        };
        let books = Arc::new(Mutex::new(books));
        let writer = Writer::start(folder, Arc::clone(&books))
            .inspect_err(|problem| error!("what tools are like is not remembered across a restart: {problem}"));
        Self { books, writer: writer.ok() }
    }

    /// Writes what is not written yet.
    pub fn settle(&self) {
        if let Some(writer) = &self.writer {
            writer.flush();
        }
    }

    /// What keeps it from being kept.
    pub fn trouble(&self) -> Option<String> {
        self.writer.as_ref().and_then(Writer::trouble)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }
}

/// What is remembered of one server's tools.
#[derive(Debug, Clone)]
pub(super) struct Pinned {
    all: Arc<Pins>,
    server: String,
    changed: Arc<ArcSwap<HashSet<String, RandomState>>>,
}

impl Pinned {
    pub(super) fn new(all: &Arc<Pins>, server: &str) -> Self {
        let pinned = Self { all: Arc::clone(all), server: server.to_owned(), changed: Arc::default() };
        pinned.publish(all.books().get(server));
        pinned
    }

    /// Takes note of a page of tools; `blocks` where those that changed are withheld. Gives back whether one changed.
    pub(super) fn see(&self, text: &[u8], tools: &[Item], blocks: bool) -> bool {
        let claims: Vec<(String, Hash, Vec<u8>)> = tools
            .iter()
            .filter_map(|tool| {
                let name = json::decode_str(tool.name?.of(text)).into_owned();
                let portrait = portrait(text, tool.span);
                Some((name, hash(&portrait), portrait))
            })
            .collect();
        let now = clock::unix_millis();
        let mut books = self.all.books();
        let book = books.entry(self.server.clone()).or_default();
        let (mut to_write, mut to_publish) = (false, false);
        for (name, hash, portrait) in claims {
            let (server, tool) = (&self.server, Shown(&name));
            match book.see(&name, hash, &portrait, now) {
                Seen::Same | Seen::Unknown => continue,
                Seen::First => {}
                Seen::Changed => {
                    to_publish = true;
                    warn!(server, %tool, withheld = blocks, "a tool is not what it was: `toolgate tools changes` shows how");
                }
                Seen::Back => {
                    to_publish = true;
                    info!(server, %tool, "a tool is again what it was");
                }
            }
            to_write = true;
        }
        if to_publish {
            self.publish(Some(book));
        }
        drop(books);
        if to_write && let Some(writer) = &self.all.writer {
            writer.wake();
        }
        to_publish
    }

    fn publish(&self, book: Option<&Book>) {
        let changed = book.into_iter().flat_map(Book::changes).map(|(name, ..)| name.to_owned()).collect();
        self.changed.store(Arc::new(changed));
    }

    /// Whether a tool is not what was accepted.
    pub(super) fn is_changed(&self, tool: &str) -> bool {
        let changed = self.changed.load();
        !changed.is_empty() && changed.contains(tool)
    }

    /// Changes that wait for approval.
    pub(super) fn changes(&self) -> Vec<Change> {
        let books = self.all.books();
        let changes = books.get(&self.server).into_iter().flat_map(Book::changes);
        changes
            .map(|(tool, before, after)| Change { tool: tool.to_owned(), before: before.clone(), after: after.clone() })
            .collect()
    }

    /// Accepts what a tool claims now; with `dry_run` only says whether that could be.
    pub(super) fn approve(&self, tool: &str, hash: Option<&Hash>, dry_run: bool) -> Result<(), NotApproved> {
        {
            let mut books = self.all.books();
            let book = books.get_mut(&self.server).ok_or(NotApproved::Unchanged)?;
            let mut tried = dry_run.then(|| book.clone());
            match tried.as_mut().unwrap_or(book).approve(tool, hash) {
                Ok(true) => {}
                Ok(false) => return Err(NotApproved::Unchanged),
                Err(_) => return Err(NotApproved::Stale),
            }
            if dry_run {
                return Ok(());
            }
            self.publish(books.get(&self.server));
        }
        // Whoever approved relies on it.
        self.all.settle();
        Ok(())
    }

    /// Which tools changed, a sentence each.
    pub(super) fn told(&self, blocks: bool) -> Vec<String> {
        let server = &self.server;
        let then = if blocks { ", and is withheld" } else { "" };
        let mut names: Vec<String> = self.changed.load().iter().cloned().collect();
        names.sort();
        let more = names.len().saturating_sub(TOLD);
        names.truncate(TOLD);
        let mut told: Vec<String> = names
            .iter()
            .map(|name| {
                let tool = Shown(name);
                format!("the tool {tool} is not what it was when it was accepted{then}: see `toolgate tools changes`, then `toolgate tools approve {server} {tool}`")
            })
            .collect();
        if more > 0 {
            told.push(format!("and {more} more of its tools"));
        }
        if self.all.books().get(server).is_some_and(|book| book.all().count() >= MOST) {
            told.push(format!("it has had more than {MOST} tools, and changes of further ones are not noticed"));
        }
        told
    }
}

#[cfg(test)]
mod tests;
