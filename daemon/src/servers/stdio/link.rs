//! A running instance as the gate talks to it: requests out, messages back to whoever waits.
//!
//! The instance's connection lives on the core that opened it; a [`Link`] is the handle that
//! every core may hold. Ids and progress tokens on the connection are minted here, so clients
//! that number their requests alike never meet (`1` is not `"1"`, and neither is ours).

mod halves;

use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::calls::{Arrivals, Caller, Waiting, caller, share};
use super::connection::{Incoming, Writer};
use super::delivery::Back;
use crate::clock;
use crate::instance::notice::Exit;
use crate::servers::news::News;
use crate::state::Keep;

pub use super::calls::Arrival;
pub(super) use halves::epitaph;

/// Messages on their way to the instance.
const COMMANDS: usize = 256;
/// Bytes on their way to the instance; a longer message goes alone.
const COMMAND_BYTES: usize = 64 << 20;
/// How long a message that is no request may wait for room.
const SEND_TIME: Duration = Duration::from_secs(30);

/// Why a message did not get on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// The instance has ended.
    Ended,
    /// The instance reads nothing, and what waits for it left no room in time.
    Full,
}

/// Whom an instance serves.
#[derive(Debug, Clone)]
pub enum Serves {
    /// One session, which gets here what belongs to no call. A slow reader holds up its instance.
    Session(mpsc::Sender<Bytes>),
    /// All that one client does. What names no call goes to the lone one in flight; a slow reader
    /// loses its own call instead of holding up the others. List changes are news for all of it.
    Client,
    /// Several clients. What names no call has no reader: it may still concern an earlier call,
    /// and would tell one client of another. Only list changes are news for all of them.
    Everybody,
}

impl Serves {
    pub(super) fn is_session(&self) -> bool {
        matches!(self, Self::Session(_))
    }
}

/// A handle to a running instance.
#[derive(Debug, Clone)]
pub struct Link {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
pub(super) struct Shared {
    /// Process id of the instance's wrapper, for people.
    pub(super) pid: u32,
    /// The control group of its processes.
    group: Option<PathBuf>,
    next_id: AtomicU64,
    in_flight: AtomicUsize,
    last_used: AtomicU64,
    ended: AtomicBool,
    /// What its wrapper said last.
    exit: OnceLock<Exit>,
    told_to_end: AtomicBool,
    /// Its connection has ended, and its place is free.
    left: AtomicBool,
    /// Nothing new is begun with it.
    leaving: AtomicBool,
    /// Requests that it has answered.
    pub(super) answered: AtomicUsize,
    /// What it announces, where several share it.
    pub(super) news: News,
    /// Bytes that may still be put on their way.
    room: Arc<Semaphore>,
    /// It is paused for a slow reader.
    waits: AtomicBool,
    /// Where it outlives the process.
    pub(super) keep: Option<Arc<Keep>>,
}

/// A connection on which both halves are at work.
#[derive(Debug)]
pub struct Begun {
    /// Process id of the instance's wrapper, for people.
    pub pid: u32,
    /// The control group of its processes.
    pub group: Option<PathBuf>,
    /// What the instance says.
    pub reader: Incoming,
    /// What it is told.
    pub writer: Writer,
    /// Where it outlives the process.
    pub keep: Option<Arc<Keep>>,
}

#[derive(Debug)]
pub(super) enum Command {
    Request {
        id: u64,
        message: Bytes,
        reply: Caller,
        room: OwnedSemaphorePermit,
    },
    Send(Bytes, OwnedSemaphorePermit),
    /// Before anything else, where the instance was started for nobody.
    Serve(Serves),
    Forget(u64),
    End,
}

impl Link {
    /// Takes over an opened connection; nobody is served yet. The instance has its `place` until
    /// its connection has ended.
    pub fn start(begun: Begun, place: OwnedSemaphorePermit) -> Self {
        let Begun { pid, group, reader, writer, keep } = begun;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared {
            pid,
            group,
            // What an earlier process asked may still be answered.
            next_id: AtomicU64::new(keep.as_ref().map_or(1, |keep| keep.first_id())),
            in_flight: AtomicUsize::new(0),
            last_used: AtomicU64::new(clock::millis()),
            ended: AtomicBool::new(false),
            exit: OnceLock::new(),
            told_to_end: AtomicBool::new(false),
            left: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            news: News::default(),
            room: Arc::new(Semaphore::new(COMMAND_BYTES)),
            waits: AtomicBool::new(false),
            keep: keep.clone(),
        });
        let waiting = Rc::new(RefCell::new(Waiting::default()));
        let serves = Rc::new(OnceCell::new());
        tokio::task::spawn_local(halves::write(inbox, writer, Rc::clone(&waiting), Rc::clone(&serves), keep));
        let back = Back { shared: Arc::clone(&shared), commands: commands.downgrade() };
        tokio::task::spawn_local(halves::read(reader, waiting, serves, back, place));
        Self { shared, commands }
    }

    /// Says whom the instance serves, once, before the first message to it; `false` where it has ended.
    pub fn serve(&self, serves: Serves) -> bool {
        self.touch();
        self.shared.waits.store(serves.is_session(), Ordering::Relaxed);
        self.commands.try_send(Command::Serve(serves)).is_ok() && !self.is_ended()
    }

    /// Process id of the instance's wrapper.
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// The control group of its processes, where it has one of its own.
    pub fn group(&self) -> Option<&Path> {
        self.shared.group.as_deref()
    }

    /// Where the instance outlives the process.
    pub fn keep(&self) -> Option<&Arc<Keep>> {
        self.shared.keep.as_ref()
    }

    /// Whether both are handles to the same instance.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// What it announces, where several share it; over when it ends.
    pub fn news(&self) -> &News {
        &self.shared.news
    }

    /// An id that no other request on this connection has.
    pub fn mint(&self) -> u64 {
        self.shared.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a request whose id is `id`, from [`Link::mint`]; waits at most `wait` for room.
    pub async fn request(&self, id: u64, message: Bytes, wait: Duration) -> Result<Reply, Unsent> {
        let begun = Instant::now();
        let (reply, arrivals) = caller(self.shared.waits.load(Ordering::Relaxed));
        self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        self.touch();
        let pending = Reply { link: self.clone(), id, arrivals, begun, finished: false };
        if let Some(keep) = &self.shared.keep {
            keep.uses(id).await;
        }
        self.put(message.len(), wait, |room| Command::Request { id, message, reply, room }).await?;
        Ok(pending)
    }

    /// Sends a notification or a response; waits a while for room.
    pub async fn send(&self, message: Bytes) -> Result<(), Unsent> {
        self.touch();
        self.put(message.len(), SEND_TIME, |room| Command::Send(message, room)).await
    }

    /// Puts a message of `bytes` on its way. A dropped future has put nothing there.
    async fn put(
        &self,
        bytes: usize,
        wait: Duration,
        command: impl FnOnce(OwnedSemaphorePermit) -> Command,
    ) -> Result<(), Unsent> {
        let put = async {
            let place = self.commands.reserve().await.ok()?;
            let room = tokio::select! {
                room = Arc::clone(&self.shared.room).acquire_many_owned(share(bytes, COMMAND_BYTES)) => room.ok()?,
                () = self.commands.closed() => return None,
            };
            place.send(command(room));
            Some(())
        };
        timeout(wait, put).await.map_err(|_| Unsent::Full)?.ok_or(Unsent::Ended)
    }

    /// Sends a notification if there is room; for what must not wait.
    pub fn try_send(&self, message: Bytes) {
        try_send(&self.commands, &self.shared, message);
    }

    /// Closes the connection, upon which the instance ends.
    pub fn end(&self) {
        if !self.shared.ended.swap(true, Ordering::Relaxed) {
            self.forgive();
        }
        // A full channel means that the writer still runs; it ends when the last handle is gone.
        drop(self.commands.try_send(Command::End));
    }

    /// Has nothing new begin with it; what is in flight goes on.
    pub fn leave(&self) {
        if !self.shared.leaving.swap(true, Ordering::Relaxed)
            && let Some(keep) = &self.shared.keep
        {
            keep.leaves();
        }
    }

    /// Whether something new may begin with it.
    pub fn is_open(&self) -> bool {
        !self.is_ended() && !self.is_leaving()
    }

    /// Whether it ends as soon as nothing is in flight.
    pub fn is_leaving(&self) -> bool {
        self.shared.leaving.load(Ordering::Relaxed)
    }

    /// Requests that it has answered, greetings included.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed) as u64
    }

    /// Counts its end as the gate's decision, even where it came first.
    pub fn forgive(&self) {
        self.shared.told_to_end.store(true, Ordering::Relaxed);
    }

    /// Whether the instance has ended or is about to.
    pub fn is_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Relaxed) || self.commands.is_closed()
    }

    /// Whether its connection has ended, so that it takes no place any more.
    pub(super) fn has_left(&self) -> bool {
        self.shared.left.load(Ordering::Relaxed)
    }

    /// How it ended, once its wrapper has said so.
    pub fn exit(&self) -> Option<&Exit> {
        self.shared.exit.get()
    }

    /// Whether it has answered more than a greeting: what ends it then is not its start.
    pub fn has_worked(&self) -> bool {
        self.shared.answered.load(Ordering::Relaxed) > 1
    }

    /// Whether its end was the gate's decision.
    pub fn was_told_to_end(&self) -> bool {
        self.shared.told_to_end.load(Ordering::Relaxed)
    }

    /// Calls in flight.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Milliseconds since the last message to it; zero while a call is in flight.
    pub fn idle_millis(&self) -> u64 {
        if self.in_flight() > 0 {
            return 0;
        }
        clock::millis().saturating_sub(self.shared.last_used.load(Ordering::Relaxed))
    }

    fn touch(&self) {
        self.shared.last_used.store(clock::millis(), Ordering::Relaxed);
    }
}

/// A request in flight. Dropping it forgets the request; it does not cancel it.
#[derive(Debug)]
pub struct Reply {
    link: Link,
    id: u64,
    arrivals: Arrivals,
    /// Before it waited for room.
    begun: Instant,
    finished: bool,
}

impl Reply {
    /// The instance that works on it.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The next message for this call.
    pub async fn next(&mut self) -> Arrival {
        let arrival = match self.arrivals.recv().await {
            Some((arrival, _room)) => arrival,
            None => Arrival::Lost("its answers were not read fast enough, or the server ended".into()),
        };
        self.finished = !matches!(arrival, Arrival::Related(_));
        arrival
    }

    /// What is left of a time that runs since the request was made.
    pub fn left(&self, wait: Duration) -> Duration {
        wait.saturating_sub(self.begun.elapsed())
    }

    /// Whether the answer has arrived.
    pub fn is_finished(&self) -> bool {
        self.finished
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.link.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.link.touch();
        if !self.finished {
            drop(self.link.commands.try_send(Command::Forget(self.id)));
        }
    }
}

pub(super) fn try_send(commands: &mpsc::Sender<Command>, shared: &Shared, message: Bytes) {
    let room = Arc::clone(&shared.room).try_acquire_many_owned(share(message.len(), COMMAND_BYTES));
    if room.is_ok_and(|room| commands.try_send(Command::Send(message, room)).is_ok()) {
        return;
    }
    debug!(pid = shared.pid, "an instance takes no messages; one was dropped");
}
