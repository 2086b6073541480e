//! Tools as they were first seen, for all servers: a change is announced, and where configured it withholds the tool.
//!
//! What is remembered outlives the process, in a file that a thread of its own writes. Whether a tool is withheld is
//! read by calls and lists without a lock.

mod file;
mod writer;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use toolgate_protocol::json;
use toolgate_protocol::list::Item;
use toolgate_protocol::pins::{Book, Claim, Hash, LONGEST_NAME, MOST, Quiet, Seen, portrait};
use tracing::{error, info, warn};

pub use self::file::{from_hex, to_hex};
use self::writer::Writer;
use super::{first_of, hash};
use crate::clock;
use crate::lock::lock;
use crate::observe::Shown;

/// Tools of all servers that are remembered.
const ALL: usize = 5 * MOST;

/// Sentences of health about changed tools of one server.
const TOLD: usize = 20;

/// A tool that was something else on one page of a list is not what it was by what a later page says, within as many
/// milliseconds: both may be pages of one list.
const ONE_LIST: u64 = 60_000;

/// What is remembered of all servers' tools.
#[derive(Debug, Default)]
pub struct Pins {
    shelf: Arc<Shelf>,
    writer: Option<Writer>,
}

/// By server.
type Books = BTreeMap<String, Book>;

/// The book of each server, behind a lock of its own: lists of one server do not wait for those of another.
#[derive(Debug, Default)]
struct Shelf {
    books: Mutex<BTreeMap<String, Arc<Mutex<Book>>>>,
    /// Tools in all of them.
    tools: AtomicUsize,
}

impl Shelf {
    fn of(books: Books) -> Self {
        let tools = AtomicUsize::new(books.values().map(Book::len).sum());
        let books = books.into_iter().map(|(server, own)| (server, Arc::new(Mutex::new(own)))).collect();
        Self { books: Mutex::new(books), tools }
    }

    fn book(&self, server: &str) -> Arc<Mutex<Book>> {
        Arc::clone(lock(&self.books).entry(server.to_owned()).or_default())
    }

    /// Whether one more tool may be remembered. Servers that list at once may go beyond it by one each.
    fn has_room(&self) -> bool {
        self.tools.load(Ordering::Relaxed) < ALL
    }

    /// A copy of what there is, for whoever writes it.
    fn books(&self) -> Books {
        let all = lock(&self.books).clone();
        let copies = all.into_iter().map(|(server, own)| (server, lock(&own).clone()));
        copies.filter(|(_, own)| !own.is_empty()).collect()
    }
}

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
        let shelf = Arc::new(Shelf::of(books));
        let writer = Writer::start(folder, Arc::clone(&shelf))
            .inspect_err(|problem| error!("what tools are like is not remembered across a restart: {problem}"));
        Self { shelf, writer: writer.ok() }
    }

    /// Has written what is not written yet, and waits for it.
    pub fn settle(&self) {
        if let Some(writer) = &self.writer {
            writer.flush();
        }
    }

    /// What keeps it from being kept.
    pub fn trouble(&self) -> Option<String> {
        self.writer.as_ref().and_then(Writer::trouble)
    }
}

/// A page of a list of tools, as it came.
pub(super) struct Page<'a> {
    pub(super) text: &'a [u8],
    pub(super) tools: &'a [Item],
    /// Whether the list goes on behind it.
    pub(super) is_followed: bool,
    /// When it came, by our clock in milliseconds.
    pub(super) at: u64,
}

/// A tool's name, and the hash of its portrait and the portrait itself.
type Claimed = (String, Hash, Vec<u8>);

impl Page<'_> {
    fn claims(&self) -> Vec<Claimed> {
        let claim = |tool: &Item| {
            let name = json::decode_str(tool.name?.of(self.text)).into_owned();
            let portrait = portrait(self.text, tool.span);
            Some((name, hash(&portrait), portrait))
        };
        self.tools.iter().filter_map(claim).collect()
    }
}

/// Names that stand on a page more than once, and not for the same.
fn torn(claims: &[Claimed]) -> HashSet<String> {
    let (mut first, mut torn) = (HashMap::<&str, &Hash, RandomState>::default(), HashSet::new());
    for (name, hash, _) in claims {
        if *first.entry(name).or_insert(hash) != hash {
            torn.insert(name.clone());
        }
    }
    torn
}

/// What is remembered of one server's tools.
#[derive(Debug, Clone)]
pub(super) struct Pinned {
    all: Arc<Pins>,
    server: String,
    book: Arc<Mutex<Book>>,
    changed: Arc<ArcSwap<HashSet<String, RandomState>>>,
    quiet: Arc<Mutex<Quiet>>,
    /// When tools that changed were last on a page that others follow, by our clock in milliseconds.
    paged: Arc<Mutex<HashMap<String, u64, RandomState>>>,
    /// It has listed tools that are not remembered.
    too_many: Arc<AtomicBool>,
}

impl Pinned {
    pub(super) fn new(all: &Arc<Pins>, server: &str) -> Self {
        let pinned = Self {
            all: Arc::clone(all),
            server: server.to_owned(),
            book: all.shelf.book(server),
            changed: Arc::default(),
            quiet: Arc::default(),
            paged: Arc::default(),
            too_many: Arc::default(),
        };
        pinned.publish(&pinned.book());
        pinned
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    /// Takes note of a page of tools; `blocks` where those that changed are withheld. Gives back whether one changed.
    pub(super) fn see(&self, page: &Page<'_>, blocks: bool) -> bool {
        let claims = page.claims();
        let torn = torn(&claims);
        let now = clock::unix_millis();
        let (mut to_write, mut turned, mut judged) = (false, Vec::new(), HashSet::new());
        {
            let mut book = self.book();
            for (name, hash, portrait) in claims {
                let known = book.get(&name);
                if known.is_none() && !self.all.shelf.has_room() {
                    self.too_many.store(true, Ordering::Relaxed);
                    continue;
                }
                let is_accepted = known.is_some_and(|pin| pin.accepted.hash == hash);
                let is_changed = known.is_some_and(|pin| pin.changed.is_some());
                // What stands there twice is what nobody has accepted, whichever of the two comes last.
                if torn.contains(&name) && (is_accepted || judged.contains(&name)) {
                    continue;
                }
                if is_accepted && is_changed && self.was_on_another_page(&name, page.at) {
                    continue;
                }
                if known.is_some() {
                    judged.insert(name.clone());
                }
                if !is_accepted && known.is_some() && page.is_followed {
                    self.note_page(&name, page.at);
                }
                match book.see(&name, hash, &portrait, now) {
                    Seen::Same => {}
                    Seen::Unknown => self.too_many.store(true, Ordering::Relaxed),
                    Seen::First => {
                        self.all.shelf.tools.fetch_add(1, Ordering::Relaxed);
                        to_write = true;
                    }
                    Seen::Changed => turned.push((name, false)),
                    Seen::Back => turned.push((name, true)),
                }
            }
            if !turned.is_empty() {
                self.publish(&book);
            }
        }
        for (tool, back) in &turned {
            self.say(tool, *back, blocks);
        }
        if (to_write || !turned.is_empty())
            && let Some(writer) = &self.all.writer
        {
            writer.wake();
        }
        !turned.is_empty()
    }

    fn was_on_another_page(&self, tool: &str, now: u64) -> bool {
        lock(&self.paged).get(tool).is_some_and(|at| now.saturating_sub(*at) < ONE_LIST)
    }

    /// As many names at most as there are that changed, for those that are not seen again are forgotten.
    fn note_page(&self, tool: &str, now: u64) {
        let mut paged = lock(&self.paged);
        if !paged.contains_key(tool) {
            paged.retain(|_, at| now.saturating_sub(*at) < ONE_LIST);
        }
        paged.insert(tool.to_owned(), now);
    }

    /// Writes a line about a tool that changed or is `back`, unless there were enough.
    fn say(&self, tool: &str, back: bool, blocks: bool) {
        let Some(unsaid) = lock(&self.quiet).says(tool, clock::millis()) else { return };
        let (server, tool) = (&self.server, Shown(tool));
        if back {
            info!(server, %tool, unsaid, "a tool is again what it was");
        } else {
            warn!(server, %tool, withheld = blocks, unsaid, "a tool is not what it was: `toolgate tools changes` shows how");
        }
    }

    fn publish(&self, book: &Book) {
        let changed = book.changes().map(|(name, ..)| name.to_owned()).collect();
        self.changed.store(Arc::new(changed));
    }

    /// Whether a tool is not what was accepted.
    pub(super) fn is_changed(&self, tool: &str) -> bool {
        let changed = self.changed.load();
        !changed.is_empty() && changed.contains(tool)
    }

    /// Changes that wait for approval.
    pub(super) fn changes(&self) -> Vec<Change> {
        self.book()
            .changes()
            .map(|(tool, before, after)| Change { tool: tool.to_owned(), before: before.clone(), after: after.clone() })
            .collect()
    }

    /// Accepts what a tool claims now; with `dry_run` only says whether that could be.
    pub(super) fn approve(&self, tool: &str, hash: Option<&Hash>, dry_run: bool) -> Result<(), NotApproved> {
        {
            let mut book = self.book();
            let mut tried = dry_run.then(|| book.clone());
            match tried.as_mut().unwrap_or(&mut book).approve(tool, hash) {
                Ok(true) => {}
                Ok(false) => return Err(NotApproved::Unchanged),
                Err(_) => return Err(NotApproved::Stale),
            }
            if dry_run {
                return Ok(());
            }
            self.publish(&book);
        }
        // Whoever approved relies on it.
        self.all.settle();
        Ok(())
    }

    /// Which tools changed, a sentence each.
    pub(super) fn told(&self, blocks: bool) -> Vec<String> {
        let server = &self.server;
        let then = if blocks { ", and is withheld" } else { "" };
        let changed = self.changed.load();
        let (names, more) = first_of(changed.iter().map(String::as_str), TOLD);
        let mut told: Vec<String> = names
            .into_iter()
            .map(|name| {
                let tool = Shown(name);
                format!("the tool {tool} is not what it was when it was accepted{then}: see `toolgate tools changes`, then `toolgate tools approve {server} {tool}`")
            })
            .collect();
        if more > 0 {
            told.push(format!("and {more} more of its tools"));
        }
        if self.too_many.load(Ordering::Relaxed) {
            told.push(format!(
                "it has had more than {MOST} tools, all servers more than {ALL}, or names of more than {LONGEST_NAME} bytes: changes of those are not noticed"
            ));
        }
        told
    }
}

#[cfg(test)]
mod tests;
