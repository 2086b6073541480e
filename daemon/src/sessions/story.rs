//! What went on in a session: a ring of events, and what its calls add up to.
//!
//! The ledger writes as calls end and as servers speak; the admin sockets read. A call is written once, when it ends, and
//! told twice: for as long as it runs, the ledger knows it. A ring grows on demand up to [`EVENTS`]; all of them together
//! stay below [`ROOM`], for which the sweep shrinks those of the sessions that idled for longest.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::call::CallId;
use crate::clock;
use crate::lock::lock;
use crate::observe::ledger::What;

/// Events of one session, as they are told.
const EVENTS: usize = 1_000;
/// Bytes that the events of all sessions may take.
const ROOM: usize = 64 << 20;
/// Events older than this are not told, in microseconds.
const MEMORY: u64 = 24 * 3_600_000_000;
/// Events that a session keeps whose ring is shrunk.
const SHRUNK: usize = 8;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The session was opened, or taken over from an earlier process.
    Opened,
    /// Its client asked for something.
    Request,
    /// It was answered.
    Answer,
    /// It failed, or was refused.
    Error,
    /// One side told the other something.
    Notification,
    /// A server asked the client for something.
    Asked,
    /// A server told how far it is.
    Progress,
    /// The client began to listen, or stopped.
    Stream,
}

impl Kind {
    /// As the admin sockets say it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Request => "request",
            Self::Answer => "answer",
            Self::Error => "error",
            Self::Notification => "notification",
            Self::Asked => "asked",
            Self::Progress => "progress",
            Self::Stream => "stream",
        }
    }
}

/// One thing that happened. Those of the same call belong together.
#[derive(Debug, Clone)]
pub struct Event {
    /// In microseconds since 1970.
    pub at_us: u64,
    /// What.
    pub kind: Kind,
    /// It is the end of a call, whose request is told from it as well.
    pub ends: bool,
    /// The call that it is of.
    pub call: Option<CallId>,
    /// What it was about.
    pub what: Arc<What>,
    /// What else there is to say.
    pub detail: Cow<'static, str>,
    /// Microseconds that it took.
    pub took_us: u64,
}

impl Event {
    /// Something that happens now.
    pub fn now(kind: Kind, what: Arc<What>) -> Self {
        Self { at_us: clock::unix_micros(), kind, ends: false, call: None, what, detail: Cow::Borrowed(""), took_us: 0 }
    }

    /// What a client asked for at this time.
    pub fn asked(at_us: u64, call: CallId, what: Arc<What>) -> Self {
        let (kind, detail) = (Kind::Request, Cow::Borrowed(""));
        Self { at_us, kind, ends: false, call: Some(call), what, detail, took_us: 0 }
    }

    /// The request that this is the end of.
    fn request(&self) -> Option<Self> {
        let call = self.call.filter(|_| self.ends)?;
        Some(Self::asked(self.at_us.saturating_sub(self.took_us), call, Arc::clone(&self.what)))
    }

    /// As how many it is told.
    fn count(&self) -> usize {
        1 + usize::from(self.ends)
    }

    /// Bytes beyond its place in the ring.
    fn texts(&self) -> usize {
        let detail = if let Cow::Owned(detail) = &self.detail { detail.len() } else { 0 };
        self.what.texts() + detail
    }
}

/// Room that all rings share.
#[derive(Debug)]
pub struct Room {
    used: AtomicUsize,
    max: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { used: AtomicUsize::new(0), max: ROOM }
    }
}

impl Room {
    /// Bytes that all events take.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn is_full(&self) -> bool {
        self.used() > self.max
    }

    /// Whether rings should shrink, so that none is in the way of a busy session.
    pub fn is_tight(&self) -> bool {
        self.used() > self.max / 8 * 7
    }
}

/// What a session's calls add up to.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Requests that ended.
    pub calls: u64,
    /// Of these, those that failed or were refused.
    pub errors: u64,
    /// Bytes of requests.
    pub bytes_in: u64,
    /// Bytes of answers.
    pub bytes_out: u64,
    /// What the last request was about.
    pub last: Arc<What>,
}

/// The story of one session.
#[derive(Debug)]
pub struct Story {
    ring: Mutex<Ring>,
    room: Arc<Room>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Event>,
    /// As how many they are told.
    told: usize,
    texts: usize,
    /// What the room counts for it.
    counted: usize,
    forgotten: u64,
    totals: Totals,
}

impl Ring {
    fn forget(&mut self) {
        if let Some(oldest) = self.events.pop_front() {
            self.texts -= oldest.texts();
            self.told -= oldest.count();
            self.forgotten += oldest.count() as u64;
        }
    }

    /// Has the room count what the ring takes now.
    fn settle(&mut self, room: &Room) {
        let now = self.events.capacity() * size_of::<Event>() + self.texts;
        if now == self.counted {
            return;
        }
        if now > self.counted {
            room.used.fetch_add(now - self.counted, Ordering::Relaxed);
        } else {
            room.used.fetch_sub(self.counted - now, Ordering::Relaxed);
        }
        self.counted = now;
    }
}

impl Story {
    /// A story that begins now.
    pub fn new(room: &Arc<Room>) -> Self {
        Self { ring: Mutex::default(), room: Arc::clone(room) }
    }

    /// Tells one more thing.
    pub fn tell(&self, event: Event) {
        self.tell_and(event, |_| ());
    }

    /// Tells one more thing, and changes what the calls add up to.
    pub fn tell_and(&self, event: Event, change: impl FnOnce(&mut Totals)) {
        let ring = &mut *lock(&self.ring);
        change(&mut ring.totals);
        let oldest_told = event.at_us.saturating_sub(MEMORY);
        let bound = EVENTS - event.count();
        while ring.events.front().is_some_and(|oldest| oldest.at_us < oldest_told) || ring.told > bound {
            ring.forget();
        }
        if self.room.is_full() {
            // Nobody else's events may go for it here: the sweep sees to that. A place in the ring is none for the texts.
            let bound = ring.texts;
            ring.forget();
            while ring.texts + event.texts() > bound && !ring.events.is_empty() {
                ring.forget();
            }
        }
        ring.texts += event.texts();
        ring.told += event.count();
        ring.events.push_back(event);
        ring.settle(&self.room);
    }

    /// One number of what the calls add up to.
    pub fn count(&self, of: impl FnOnce(&Totals) -> u64) -> u64 {
        of(&lock(&self.ring).totals)
    }

    /// What the calls add up to.
    pub fn totals(&self) -> Totals {
        lock(&self.ring).totals.clone()
    }

    /// The events, the oldest first, and how many are gone.
    pub fn events(&self) -> (Vec<Event>, u64) {
        let (mut events, forgotten) = {
            let ring = lock(&self.ring);
            let mut events = Vec::with_capacity(ring.told);
            for event in &ring.events {
                events.extend(event.request());
                events.push(event.clone());
            }
            (events, ring.forgotten)
        };
        events.sort_by_key(|event| event.at_us);
        (events, forgotten)
    }

    /// Forgets all but the newest events.
    pub fn shrink(&self) {
        let ring = &mut *lock(&self.ring);
        while ring.events.len() > SHRUNK {
            ring.forget();
        }
        ring.events.shrink_to_fit();
        ring.settle(&self.room);
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let counted = lock(&self.ring).counted;
        self.room.used.fetch_sub(counted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_us: u64, name: &str) -> Event {
        let what = What { name: name.into(), ..What::default() };
        Event { at_us, ..Event::now(Kind::Notification, Arc::new(what)) }
    }

    #[test]
    fn the_newest_thousand_are_kept_and_the_rest_is_counted() {
        let story = Story::new(&Arc::default());
        (0..1_500).for_each(|at| story.tell(event(at, "tool")));
        let (events, forgotten) = story.events();
        assert_eq!((events.len(), forgotten), (EVENTS, 500));
        assert_eq!((events[0].at_us, events[999].at_us), (500, 1_499));
    }

    #[test]
    fn a_call_is_told_as_its_request_and_its_end_each_at_its_time() {
        let story = Story::new(&Arc::default());
        let end = |at_us, took_us| Event { ends: true, call: Some(CallId::mint()), took_us, ..event(at_us, "tool") };
        let end = |at_us, took_us| Event { kind: Kind::Answer, ..end(at_us, took_us) };
        story.tell(Event { kind: Kind::Progress, ..event(150, "") });
        story.tell(end(160, 20));
        story.tell(end(200, 100));
        let told = |story: &Story| story.events().0.iter().map(|event| (event.at_us, event.kind)).collect::<Vec<_>>();
        let (request, answer) = (Kind::Request, Kind::Answer);
        assert_eq!(told(&story), [(100, request), (140, request), (150, Kind::Progress), (160, answer), (200, answer)]);
        (0..EVENTS as u64).for_each(|at| story.tell(end(1_000 + at, 1)));
        let (events, forgotten) = story.events();
        assert_eq!((events.len(), forgotten), (EVENTS, 5 + EVENTS as u64), "a bound of what is told");
    }

    #[test]
    fn events_of_yesterday_go_when_something_happens() {
        let story = Story::new(&Arc::default());
        story.tell(event(1_000, "old"));
        story.tell(event(1_001 + MEMORY, "new"));
        assert_eq!(story.events().0.len(), 1);
    }

    #[test]
    fn a_full_room_takes_no_more_texts_into_a_ring_that_has_places() {
        let room = Arc::new(Room { used: AtomicUsize::new(0), max: 1024 * 1024 });
        let story = Story::new(&room);
        (0..900).for_each(|at| story.tell(event(at, "")));
        let long = "a long name".repeat(1_000);
        (900..2_000).for_each(|at| story.tell(event(at, &long)));
        assert!(room.used() < 2 * 1024 * 1024, "{} bytes", room.used());
    }

    #[test]
    fn the_room_knows_what_all_rings_take_and_gets_it_back() {
        let room = Arc::new(Room { used: AtomicUsize::new(0), max: 64 * 1024 });
        let stories: Vec<_> = (0..10).map(|_| Story::new(&room)).collect();
        for at in 0..500 {
            for story in &stories {
                story.tell(event(at, "a name of some length"));
            }
        }
        // The last doubling of each ring may lie beyond the bound.
        assert!(room.used() < 2 * 64 * 1024, "{} bytes", room.used());
        assert!(room.is_tight());
        assert!(stories.iter().all(|story| story.events().0.last().is_some_and(|event| event.at_us == 499)));
        stories[0].shrink();
        assert_eq!(stories[0].events().0.len(), SHRUNK);
        stories.iter().for_each(Story::shrink);
        assert!(!room.is_tight());
        drop(stories);
        assert_eq!(room.used(), 0);
    }
}
