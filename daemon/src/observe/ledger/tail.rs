//! The live tail: lines of calls as they end, for those who watch.
//!
//! A call asks one relaxed load whether anybody watches. Each core has a list of those who do, so that it waits for no
//! other. A reader that is too slow loses lines and is told how many; one that is gone is forgotten.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use toolgate_admin_api as api;

use super::outcome::Outcome;
use super::row::Ended;
use crate::lock::lock;

/// Lines that a reader may have unread.
const UNREAD: usize = 1024;
/// Readers at once.
const READERS: usize = 64;

/// Which calls to show: all conditions that are set must hold, whatever the case of
/// their letters.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The client's id or name.
    pub client: Option<String>,
    /// The session's handle.
    pub session: Option<String>,
    /// The server.
    pub server: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// The tool, prompt or resource.
    pub name: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// In milliseconds: those that took as long at least.
    pub slower_ms: Option<u64>,
    /// Words in small letters that id, client, session, listener, server, method, name, outcome, failure or cause must
    /// contain, each of them.
    pub words: Vec<String>,
    /// Words that none of these may contain.
    pub without: Vec<String>,
}

impl Filter {
    fn fits(&self, ended: &Ended) -> bool {
        let row = &ended.row;
        let client = row.client.as_deref();
        let is = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| same(wanted, is));
        let client_fits = self.client.as_deref().is_none_or(|wanted| {
            client.is_some_and(|client| {
                let bare = client.id.split_once(':').map_or(&*client.id, |(_, bare)| bare);
                same(wanted, &client.id) || same(wanted, bare) || same(wanted, &client.owner)
            })
        });
        // Said only for those who look for words: it is all that a row says, in small letters.
        let said = if self.words.is_empty() && self.without.is_empty() { String::new() } else { said(ended) };
        client_fits
            && is(&self.server, row.what.server.as_deref().unwrap_or_default())
            && is(&self.method, &row.what.method)
            && is(&self.name, &row.what.name)
            && self.outcome.is_none_or(|wanted| wanted == ended.outcome)
            && self.slower_ms.is_none_or(|least| ended.spent.total >= least.saturating_mul(1000))
            && self
                .session
                .as_deref()
                .is_none_or(|wanted| row.session.is_some_and(|session| same(wanted, &session.to_string())))
            && self.words.iter().all(|word| said.contains(word.as_str()))
            && !self.without.iter().any(|word| said.contains(word.as_str()))
    }
}

fn same(wanted: &str, is: &str) -> bool {
    wanted.eq_ignore_ascii_case(is)
}

/// What a call says of itself, in small letters, a line each.
fn said(ended: &Ended) -> String {
    let row = &ended.row;
    let (client, owner) = row.client.as_deref().map_or(("", ""), |client| (&*client.id, &*client.owner));
    let session = row.session.map(|session| session.to_string()).unwrap_or_default();
    let server = row.what.server.as_deref().unwrap_or_default();
    let call =
        [row.id.as_str(), client, owner, &session, &ended.listener.name, server, &row.what.method, &row.what.name];
    let end = [ended.outcome.word(), ended.failure, &ended.cause];
    call.into_iter().chain(end).collect::<Vec<_>>().join("\n").to_lowercase()
}

/// Those who watch the calls of one core.
#[derive(Debug, Default)]
pub(super) struct Tails {
    count: AtomicUsize,
    readers: Mutex<Vec<Reader>>,
}

#[derive(Debug, Clone)]
struct Reader {
    filter: Arc<Filter>,
    lines: mpsc::Sender<api::RequestLine>,
    lost: Arc<AtomicU64>,
}

impl Tails {
    /// Whether anybody watches.
    pub(super) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Shows a call to whoever wants to see it.
    pub(super) fn say(&self, ended: &Ended) {
        let mut readers = lock(&self.readers);
        readers.retain(|reader| {
            if reader.lines.is_closed() {
                return false;
            }
            if reader.filter.fits(ended) {
                match reader.lines.try_reserve() {
                    Ok(place) => place.send(ended.shown()),
                    Err(_) => {
                        reader.lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            true
        });
        self.count.store(readers.len(), Ordering::Relaxed);
    }

    /// Has one more watch; false where too many do.
    fn add(&self, reader: &Reader) -> bool {
        let mut readers = lock(&self.readers);
        readers.retain(|reader| !reader.lines.is_closed());
        let has_room = readers.len() < READERS;
        if has_room {
            readers.push(reader.clone());
        }
        self.count.store(readers.len(), Ordering::Relaxed);
        has_room
    }
}

/// Has a reader watch all cores; `None` where too many do.
pub(super) fn subscribe<'a>(filter: Filter, mut cores: impl Iterator<Item = &'a Tails>) -> Option<Tail> {
    let (sender, lines) = mpsc::channel(UNREAD);
    let lost = Arc::<AtomicU64>::default();
    let reader = Reader { filter: Arc::new(filter), lines: sender, lost: Arc::clone(&lost) };
    cores.all(|tails| tails.add(&reader)).then_some(Tail { lines, lost, _open: reader.lines })
}

/// A reader's end of the tail; dropping it ends the subscription.
#[derive(Debug)]
pub struct Tail {
    lines: mpsc::Receiver<api::RequestLine>,
    lost: Arc<AtomicU64>,
    /// It does not end because no core has anything to say.
    _open: mpsc::Sender<api::RequestLine>,
}

impl Tail {
    /// The next line: a call, or how many this reader was too slow for.
    pub async fn next(&mut self) -> Option<api::TailLine> {
        match self.lost.swap(0, Ordering::Relaxed) {
            0 => self.lines.recv().await.map(api::TailLine::Request),
            count => Some(api::TailLine::Lagged { count }),
        }
    }
}
