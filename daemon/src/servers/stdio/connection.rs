//! One connection to one instance of a stdio server: lines both ways.
//!
//! The pool of instances opens it, and its reader and writer stay on the core that did so.
//! Messages pass as the bytes that they are; only the instance's notices are understood here.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::time::{Instant, sleep, timeout_at};

use crate::instance::notice::{self, Hello};
use crate::state::Keep;
use crate::state::entry::Left;

pub use super::reader::{Incoming, Line, Reader};
pub use super::writer::{Closed, Writer};

/// Pause between attempts while the socket's backlog is full.
const BACKLOG_PAUSE: Duration = Duration::from_millis(10);

/// An instance whose connection has ended may count as one that runs until its last process is reaped: for this
/// long it is tried again.
const REAPING: Duration = Duration::from_secs(1);
/// Pause between these attempts.
const REAPING_PAUSE: Duration = Duration::from_millis(25);

/// An open connection of which neither half is used yet.
#[derive(Debug)]
pub struct Connection {
    reader: Reader,
    write: OwnedWriteHalf,
}

impl Connection {
    /// The connection of an instance that the last process left, with what that one `left` of it; after
    /// a crash nothing, and what comes first may be the rest of a line.
    pub fn again(stream: std::os::unix::net::UnixStream, line_bytes: usize, left: Option<&Left>) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (read, write) = UnixStream::from_std(stream)?.into_split();
        Ok(Self { reader: Reader::again(read, line_bytes, left), write })
    }

    /// Another descriptor of it.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        let stream: &UnixStream = self.write.as_ref();
        stream.as_fd().try_clone_to_owned()
    }

    /// Both halves, at work: within a `LocalSet`, since writing goes on in a local task of its own.
    /// `first` is written before anything else.
    pub fn begin(mut self, keep: Option<&Arc<Keep>>, first: Bytes) -> (Reader, Writer) {
        self.reader.kept_by(keep);
        (self.reader, Writer::spawn(self.write, keep.cloned(), first))
    }
}

/// Starts a fresh instance by connecting to its server's socket, and waits for its first line.
///
/// `line_bytes` bounds a line that the instance sends, without its end.
pub async fn open(path: &Path, timeout: Duration, line_bytes: usize) -> Result<(Hello, Connection), OpenError> {
    let begun = Instant::now();
    let tries = async {
        loop {
            match open_once(path, line_bytes).await {
                Err(OpenCause::Full) if begun.elapsed() < REAPING => sleep(REAPING_PAUSE).await,
                opened => return opened,
            }
        }
    };
    let opened = timeout_at(begun + timeout, tries).await.unwrap_or(Err(OpenCause::Timeout(timeout)));
    opened.map_err(|cause| OpenError { path: path.to_owned(), cause })
}

async fn open_once(path: &Path, line_bytes: usize) -> Result<(Hello, Connection), OpenCause> {
    let (read, write) = connect(path).await.map_err(OpenCause::Connect)?.into_split();
    let mut reader = Reader::new(read, line_bytes);
    let first = reader.first_line().await.ok_or(OpenCause::Full)?;
    let hello = notice::parse::<Hello>(&first).ok_or(OpenCause::Foreign)?;
    Ok((hello, Connection { reader, write }))
}

/// A Unix socket whose backlog is full refuses with `EAGAIN` at once and reports nothing later,
/// so the only way to wait for room is to try again.
async fn connect(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => sleep(BACKLOG_PAUSE).await,
            other => return other,
        }
    }
}

/// Why no instance could be started. Nothing was sent, so another attempt is always safe.
#[derive(Debug)]
pub struct OpenError {
    /// The server's socket.
    pub path: PathBuf,
    /// What went wrong.
    pub cause: OpenCause,
}

/// What went wrong while an instance was started.
#[derive(Debug)]
pub enum OpenCause {
    /// The socket could not be reached.
    Connect(io::Error),
    /// The connection was closed before the instance's first line: all instances are taken.
    Full,
    /// Something answers there which is not `toolgated instance`.
    Foreign,
    /// No first line within this time.
    Timeout(Duration),
    /// A server over SSE opened no session; a sentence says why.
    Events(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            OpenCause::Connect(e) => match e.kind() {
                io::ErrorKind::NotFound => {
                    write!(f, "{path} does not exist: start the server's socket unit, or `toolgated keeper`")
                }
                io::ErrorKind::ConnectionRefused => {
                    write!(f, "nobody listens at {path}: restart the server's socket unit, or `toolgated keeper`")
                }
                io::ErrorKind::PermissionDenied => {
                    write!(f, "no access to {path}: the gate's user must be in the group of that socket")
                }
                _ => write!(f, "cannot connect to {path}: {e}"),
            },
            OpenCause::Full => write!(
                f,
                "{path} closed the connection at once: all instances are taken, or the wrapper could not start; its journal says which"
            ),
            OpenCause::Foreign => write!(f, "{path} is not served by `toolgated instance`: render the units again"),
            OpenCause::Events(why) => write!(f, "{path}: {why}"),
            OpenCause::Timeout(after) => write!(
                f,
                "no instance behind {path} within {after:?}: the machine is overloaded, or its socket unit hangs"
            ),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            OpenCause::Connect(e) => Some(e),
            OpenCause::Full | OpenCause::Foreign | OpenCause::Timeout(_) | OpenCause::Events(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;
    use tokio::task::LocalSet;

    use super::*;
    use crate::instance::notice::{Cause, Exit};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Runs `test` with a socket's path and the peer that accepted a connection to it.
    fn with_peer<F: Future>(test: impl FnOnce(PathBuf, UnixListener) -> F) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("files.sock");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let listener = UnixListener::bind(&path).unwrap();
            tokio::time::timeout(PATIENCE, test(path, listener)).await.expect("the test hangs")
        });
    }

    async fn accept(listener: &UnixListener) -> UnixStream {
        let (mut peer, _) = listener.accept().await.unwrap();
        let hello = Hello { server: "files".to_owned(), pid: 7, cgroup: None };
        peer.write_all(&notice::line(&hello)).await.unwrap();
        peer
    }

    #[test]
    fn lines_pass_both_ways_and_the_exit_is_told() {
        with_peer(|path, listener| async move {
            let (opened, mut peer) = tokio::join!(open(&path, PATIENCE, 100), accept(&listener));
            let (hello, connection) = opened.unwrap();
            assert_eq!(hello.pid, 7);
            let (mut reader, writer) = connection.begin(None, Bytes::new());

            writer.send(Bytes::from_static(b"{\"id\":1}")).await.unwrap();
            writer.send(Bytes::from_static(b"{\"id\":2}")).await.unwrap();
            writer.end();
            let mut sent = String::new();
            peer.read_to_string(&mut sent).await.unwrap();
            assert_eq!(sent, "{\"id\":1}\n{\"id\":2}\n");
            assert_eq!(writer.send(Bytes::from_static(b"x")).await, Err(Closed));

            peer.write_all(b"{\"ok\":1}\nnot json\nunfinished").await.unwrap();
            let exit = Exit { cause: Cause::Hangup, status: Some(0), ..Exit::default() };
            peer.write_all(&[b"\n", &notice::line(&exit)[..]].concat()).await.unwrap();
            assert_eq!(reader.next().await, Some(Line::Message(Bytes::from_static(b"{\"ok\":1}"))));
            assert_eq!(reader.next().await, Some(Line::Message(Bytes::from_static(b"not json"))));
            assert_eq!(reader.next().await, Some(Line::Message(Bytes::from_static(b"unfinished"))));
            assert_eq!(reader.next().await, Some(Line::Exited(exit)));
            assert_eq!(reader.next().await, None);
        });
    }

    #[test]
    fn dropping_every_writer_hangs_up() {
        with_peer(|path, listener| async move {
            let (opened, mut peer) = tokio::join!(open(&path, PATIENCE, 100), accept(&listener));
            let (_reader, writer) = opened.unwrap().1.begin(None, Bytes::new());
            drop(writer);
            assert_eq!(peer.read(&mut [0; 8]).await.unwrap(), 0);
        });
    }

    #[test]
    fn a_server_that_does_not_read_holds_back_its_senders_and_can_still_be_ended() {
        with_peer(|path, listener| async move {
            let (opened, mut peer) = tokio::join!(open(&path, PATIENCE, 100), accept(&listener));
            let (_reader, writer) = opened.unwrap().1.begin(None, Bytes::new());
            let line = Bytes::from(vec![b'x'; 1024 * 1024]);
            let flood = async { while writer.send(line.clone()).await.is_ok() {} };
            assert!(tokio::time::timeout(Duration::from_millis(100), flood).await.is_err(), "memory is not bounded");
            writer.end();
            let mut rest = Vec::new();
            peer.read_to_end(&mut rest).await.unwrap();
            assert!(rest.len() < 16 * 1024 * 1024);
        });
    }

    #[test]
    fn a_place_that_is_about_to_be_free_is_waited_for() {
        with_peer(|path, listener| async move {
            let peer = async {
                for _ in 0..2 {
                    drop(listener.accept().await.unwrap());
                }
                let (mut peer, _) = listener.accept().await.unwrap();
                peer.write_all(&notice::line(&Hello { server: "files".to_owned(), pid: 7, cgroup: None }))
                    .await
                    .unwrap();
                peer
            };
            let (opened, _peer) = tokio::join!(open(&path, PATIENCE, 100), peer);
            assert_eq!(opened.unwrap().0.pid, 7);
        });
    }

    #[test]
    fn every_way_to_fail_says_what_to_do() {
        with_peer(|path, listener| async move {
            let full = async {
                loop {
                    drop(listener.accept().await.unwrap());
                }
            };
            let opened = tokio::select! {
                opened = open(&path, PATIENCE, 100) => opened,
                never = full => never,
            };
            assert!(matches!(opened.unwrap_err().cause, OpenCause::Full));

            let foreign = async {
                let (mut peer, _) = listener.accept().await.unwrap();
                peer.write_all(b"{\"jsonrpc\":\"2.0\"}\n").await.unwrap();
                peer
            };
            let (opened, _peer) = tokio::join!(open(&path, PATIENCE, 100), foreign);
            assert!(matches!(opened.unwrap_err().cause, OpenCause::Foreign));

            let silent = open(&path, Duration::from_millis(20), 100).await.unwrap_err();
            assert!(matches!(silent.cause, OpenCause::Timeout(_)));

            drop(listener);
            let refused = open(&path, PATIENCE, 100).await.unwrap_err().to_string();
            assert!(refused.contains("nobody listens"), "{refused}");
            std::fs::remove_file(&path).unwrap();
            let absent = open(&path, PATIENCE, 100).await.unwrap_err().to_string();
            assert!(absent.contains("does not exist"), "{absent}");
        });
    }
}
