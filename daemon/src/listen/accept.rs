//! Takes connections in, decides whether they may stay, and hands them to the least loaded core.
//!
//! One thread for all listeners, started by [`Listeners`](super::Listeners). It does nothing per
//! connection but one system call, a few counts and one message; handshakes are the cores' work.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};

use super::admission::{Admission, Permit};
use super::connection;
use super::open::{Counters, OpenListener};
use crate::core::Loaded;
use crate::cores::Cores;

/// How long to wait for descriptors or memory: short enough that recovery is not noticed.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Connections taken from one socket before the others have their turn.
const TURN: usize = 32;

/// A connection that may stay.
#[derive(Debug)]
pub struct Accepted {
    /// Non-blocking, and without delay where its listening socket was set so.
    pub stream: TcpStream,
    /// Who connected.
    pub peer: SocketAddr,
    /// Where.
    pub listener: Arc<OpenListener>,
    /// Its place among all connections.
    pub permit: Permit,
    /// Its weight on its core.
    pub loaded: Loaded,
}

/// What an error of `accept` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Nothing is waiting.
    Empty,
    /// This connection was gone before it was taken: go on with the next.
    Gone,
    /// No descriptors or memory: wait, what waits in the backlog is not lost.
    Exhausted,
    /// The socket is unusable.
    Broken,
}

fn classify(error: Errno) -> Failure {
    match error {
        Errno::AGAIN => Failure::Empty,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Failure::Exhausted,
        Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP | Errno::FAULT => Failure::Broken,
        // accept(2): on Linux, errors that are pending on the new connection are returned too.
        _ => Failure::Gone,
    }
}

enum Command {
    Open(TcpListener, Arc<OpenListener>),
    /// Take what waits at these sockets, then close them.
    Close(Vec<SocketAddr>, mpsc::Sender<()>),
}

/// The acceptor's thread, seen from others. Dropped, it accepts no more.
#[derive(Debug)]
pub struct Acceptor {
    commands: Option<mpsc::Sender<Command>>,
    bell: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    /// Starts the thread, which accepts nothing yet.
    pub fn start(admission: Admission, cores: Cores) -> io::Result<Self> {
        let (commands, received) = mpsc::channel();
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let accepting = Accepting { sockets: Vec::new(), admission, cores, bell: bell.clone(), exhausted: false };
        let thread = Builder::new().name("acceptor".into()).spawn(move || accepting.run(&received))?;
        Ok(Self { commands: Some(commands), bell, thread: Some(thread) })
    }

    /// Begins to accept from a listening socket.
    pub fn open(&self, socket: TcpListener, listener: Arc<OpenListener>) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        // Connections inherit it, which saves a system call for each.
        socket2::SockRef::from(&socket).set_tcp_nodelay(true)?;
        self.send(Command::Open(socket, listener));
        Ok(())
    }

    /// Takes what waits at the sockets of these addresses, closes them, and returns when done.
    pub fn close(&self, addresses: Vec<SocketAddr>) {
        let (done, wait) = mpsc::channel();
        self.send(Command::Close(addresses, done));
        // An error means that the thread has ended, and its sockets with it.
        let _ = wait.recv();
    }

    fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // An error means that the thread has ended; its own log line says why.
            let _ = commands.send(command);
        }
        self.ring();
    }

    fn ring(&self) {
        // A full counter rings too.
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.commands = None;
        self.ring();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the acceptor's thread ended by panic");
        }
    }
}

struct Socket {
    socket: TcpListener,
    listener: Arc<OpenListener>,
}

/// What the thread works on.
struct Accepting {
    sockets: Vec<Socket>,
    admission: Admission,
    cores: Cores,
    bell: Arc<OwnedFd>,
    /// So that a lack of descriptors is said once, not ten times a second.
    exhausted: bool,
}

impl Accepting {
    fn run(mut self, commands: &mpsc::Receiver<Command>) {
        loop {
            self.wait();
            loop {
                match commands.try_recv() {
                    Ok(command) => self.obey(command),
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
            let mut broken = Vec::new();
            for index in 0..self.sockets.len() {
                if self.turn(index, TURN) == Failure::Broken {
                    broken.push(index);
                }
            }
            for index in broken.into_iter().rev() {
                let Socket { listener, .. } = self.sockets.remove(index);
                tracing::error!(listener = listener.settings().name, "its socket broke: restart the daemon");
            }
        }
    }

    /// Returns when a socket has connections, or the bell was rung.
    fn wait(&self) {
        let mut waited: Vec<PollFd<'_>> = Vec::with_capacity(self.sockets.len() + 1);
        waited.push(PollFd::from_borrowed_fd(self.bell.as_fd(), PollFlags::IN));
        for Socket { socket, .. } in &self.sockets {
            waited.push(PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN));
        }
        // An interrupted wait is one that ended early; the loop comes back.
        let _ = poll(&mut waited, None);
        if !waited[0].revents().is_empty() {
            let _ = rustix::io::read(&*self.bell, &mut [0_u8; 8]);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open(socket, listener) => self.sockets.push(Socket { socket, listener }),
            Command::Close(addresses, done) => {
                for index in (0..self.sockets.len()).rev() {
                    let address = self.sockets[index].socket.local_addr();
                    if address.is_ok_and(|address| addresses.contains(&address)) {
                        // Closing a socket resets what waits in its backlog.
                        self.turn(index, usize::MAX);
                        self.sockets.remove(index);
                    }
                }
                let _ = done.send(());
            }
        }
    }

    /// Takes up to `most` connections from one socket; says why it stopped before.
    fn turn(&mut self, index: usize, most: usize) -> Failure {
        let Socket { socket, listener } = &self.sockets[index];
        for _ in 0..most {
            match acceptfrom_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok((stream, peer)) => {
                    self.exhausted = false;
                    if let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
                        admit(stream.into(), peer, listener, &self.admission, &self.cores);
                    }
                }
                Err(error) => match classify(error) {
                    Failure::Gone => {}
                    Failure::Exhausted => {
                        if !std::mem::replace(&mut self.exhausted, true) {
                            tracing::error!(
                                listener = listener.settings().name,
                                "connections wait because the system lacks descriptors or memory ({error}): raise LimitNOFILE= or lower max_connections"
                            );
                        }
                        std::thread::sleep(EXHAUSTED);
                        return Failure::Exhausted;
                    }
                    failure => return failure,
                },
            }
        }
        Failure::Gone
    }
}

fn admit(stream: TcpStream, peer: SocketAddr, listener: &Arc<OpenListener>, admission: &Admission, cores: &Cores) {
    let permit = match admission.admit(peer.ip(), listener) {
        Ok(permit) => permit,
        Err(refused) => return listener.counters.turned_away(refused),
    };
    let core = cores.least_loaded();
    let loaded = cores.load(core).enter();
    let accepted = Accepted { stream, peer, listener: listener.clone(), permit, loaded };
    match cores.try_spawn(core, move |core| connection::run(core, accepted)) {
        Ok(()) => Counters::count(&listener.counters.accepted),
        Err(error) => {
            Counters::count(&listener.counters.over_limit);
            tracing::warn!(%peer, "a connection was closed at once: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_errors_are_told_apart() {
        let table = [
            (Errno::AGAIN, Failure::Empty),
            (Errno::CONNABORTED, Failure::Gone),
            (Errno::INTR, Failure::Gone),
            (Errno::PROTO, Failure::Gone),
            (Errno::NETDOWN, Failure::Gone),
            (Errno::PERM, Failure::Gone),
            (Errno::MFILE, Failure::Exhausted),
            (Errno::NFILE, Failure::Exhausted),
            (Errno::NOMEM, Failure::Exhausted),
            (Errno::BADF, Failure::Broken),
            (Errno::INVAL, Failure::Broken),
        ];
        for (error, meaning) in table {
            assert_eq!(classify(error), meaning, "{error}");
        }
    }
}
