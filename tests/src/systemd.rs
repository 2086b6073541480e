//! systemd as far as one service needs it: notifications, the descriptor store, sockets that are passed.
//!
//! Scenarios start the gate with it, end it or kill it, and start it again: what was stored comes back to the next
//! process under its name. A real stop is [`Systemd::forget`].

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// Descriptors that are passed in one message.
pub const AT_ONCE: usize = 64;

/// A service manager with one service.
pub struct Systemd {
    socket: PathBuf,
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept {
    store: Mutex<Vec<(String, OwnedFd)>>,
    ready: AtomicUsize,
    stored: AtomicUsize,
    removed: AtomicUsize,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Vec<(String, OwnedFd)>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One notification, with what came along; `BARRIER=1` is answered by closing that.
    fn told(&self, text: &str, mut descriptors: Vec<OwnedFd>) {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let name = value("FDNAME").unwrap_or("stored");
        if value("FDSTORE").is_some() {
            self.stored.fetch_add(descriptors.len(), Ordering::Relaxed);
            self.lock().extend(descriptors.drain(..).map(|descriptor| (name.to_owned(), descriptor)));
        }
        if value("FDSTOREREMOVE").is_some() {
            self.removed.fetch_add(1, Ordering::Relaxed);
            self.lock().retain(|(other, _)| other != name);
        }
        if value("READY").is_some() {
            self.ready.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What has hung up leaves the store by itself.
    fn prune(&self) {
        self.lock().retain(|(_, descriptor)| {
            let mut hung_up = [PollFd::new(descriptor, PollFlags::empty())];
            poll(&mut hung_up, Some(&Timespec::default())).is_ok_and(|ready| ready == 0)
        });
    }
}

impl Systemd {
    /// A manager whose socket is in this folder.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        let socket = folder.join("notify.sock");
        let receiver = UnixDatagram::bind(&socket).expect("the notification socket");
        let kept = Arc::<Kept>::default();
        let shared = Arc::clone(&kept);
        // Ends with the test's process.
        std::thread::spawn(move || {
            while let Some((text, descriptors)) = receive(&receiver) {
                shared.told(&text, descriptors);
            }
        });
        Self { socket, kept }
    }

    /// Starts a program with its listeners and all that is stored.
    ///
    /// # Panics
    /// When it does not start.
    pub fn spawn(&self, command: &mut Command, listeners: &[(&str, &TcpListener)]) -> Child {
        self.kept.prune();
        let store = self.kept.lock();
        let mut names: Vec<&str> = listeners.iter().map(|(name, _)| *name).collect();
        names.extend(store.iter().map(|(name, _)| name.as_str()));
        let mut descriptors: Vec<BorrowedFd<'_>> = listeners.iter().map(|(_, listener)| listener.as_fd()).collect();
        descriptors.extend(store.iter().map(|(_, descriptor)| descriptor.as_fd()));
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        let child = command
            .env("NOTIFY_SOCKET", &self.socket)
            .env("LISTEN_FDS", descriptors.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .expect("the service");
        for some in descriptors.chunks(AT_ONCE) {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(some)), "room for the descriptors");
            sendmsg(&ours, &[IoSlice::new(b"x")], &mut ancillary, SendFlags::empty()).expect("descriptors are passed");
        }
        child
    }

    /// How often the service said that it is ready.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.kept.ready.load(Ordering::Relaxed)
    }

    /// Names of what is stored now.
    #[must_use]
    pub fn stored(&self) -> Vec<String> {
        self.kept.prune();
        self.kept.lock().iter().map(|(name, _)| name.clone()).collect()
    }

    /// How many descriptors were ever stored, and how often one was taken out.
    #[must_use]
    pub fn traffic(&self) -> (usize, usize) {
        (self.kept.stored.load(Ordering::Relaxed), self.kept.removed.load(Ordering::Relaxed))
    }

    /// The service has stopped for good: nothing is kept.
    pub fn forget(&self) {
        self.kept.lock().clear();
    }

    /// Stores something of its own, as a service of another version might have.
    pub fn store(&self, name: &str, descriptor: OwnedFd) {
        self.kept.lock().push((name.to_owned(), descriptor));
    }
}

fn receive(socket: &UnixDatagram) -> Option<(String, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 4096];
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC).ok()?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Some((String::from_utf8_lossy(&text[..received.bytes]).into_owned(), descriptors))
}
