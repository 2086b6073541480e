//! Decisions that were made lately, remembered by each thread for itself.
//!
//! Clients choose the names that are asked for, so the table has a fixed number of places: a new decision takes the
//! place of an old one. Names are compared as a whole; a hash only finds the place.

use std::cell::RefCell;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::decide::Decided;
use super::scope::Kind;

const PLACES: usize = 512;
/// Bytes of a name that is remembered.
const LONGEST: usize = 256;

struct Memo {
    hasher: RandomState,
    places: Box<[Option<Entry>]>,
}

struct Entry {
    rights: u64,
    kind: Kind,
    server: Box<str>,
    name: Box<str>,
    decided: Decided,
}

thread_local! {
    static MEMO: RefCell<Memo> = RefCell::new(Memo {
        hasher: RandomState::default(),
        places: (0..PLACES).map(|_| None).collect(),
    });
}

/// What was decided of a name, or is by `decide`.
pub(super) fn remembered(
    (rights, kind, server, name): (u64, Kind, &str, &str),
    decide: impl FnOnce() -> Decided,
) -> Decided {
    if name.len() > LONGEST {
        return decide();
    }
    MEMO.with_borrow_mut(|memo| {
        let hash = memo.hasher.hash_one((rights, kind, server, name));
        let place = &mut memo.places[usize::from(hash.to_le_bytes()[0]) | usize::from(hash.to_le_bytes()[1] & 1) << 8];
        match place {
            Some(entry) if entry.is((rights, kind, server, name)) => entry.decided,
            place => {
                let decided = decide();
                *place = Some(Entry { rights, kind, server: server.into(), name: name.into(), decided });
                decided
            }
        }
    })
}

impl Entry {
    fn is(&self, (rights, kind, server, name): (u64, Kind, &str, &str)) -> bool {
        self.rights == rights && self.kind == kind && *self.name == *name && *self.server == *server
    }
}
