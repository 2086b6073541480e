//! A way to a server that breaks on demand: hangs, babbles, resets, fails, slows down, falls deaf, or is gone.
//!
//! It passes bytes to a healthy server until it is told otherwise. What breaks, breaks for connections that are open
//! as well: they are cut, so that the next call meets the fault.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::fake::http::read_request;

/// What is the matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It reads requests and answers none.
    Hangs,
    /// It answers with something that is not HTTP.
    Babbles,
    /// It answers with something that is HTTP and no message.
    Mumbles,
    /// It resets connections upon a request.
    Resets,
    /// It answers everything with status 500.
    Fails,
    /// It opens a stream of events as the answer to everything, and says nothing there.
    Opens,
    /// Its answers do not end: JSON of a length that it announces, or in chunks. See [`Faulty::poured`].
    Endless {
        /// It announces a length.
        announced: bool,
    },
    /// Its answers take this long.
    Slow(Duration),
    /// The kernel takes its connections, and it does not.
    Deaf,
    /// Connections are refused.
    Gone,
}

/// A running one.
pub struct Faulty {
    /// Where it is.
    pub address: SocketAddr,
    fault: watch::Sender<Fault>,
    heard: Arc<Mutex<Vec<Heard>>>,
    poured: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Faulty {
    /// Starts one in front of a healthy server.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (fault, told) = watch::channel(Fault::None);
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let poured = Arc::<AtomicUsize>::default();
        let behind = (server, Arc::clone(&heard), Arc::clone(&poured));
        let task = tokio::spawn(serve(listener, address, behind, told));
        Self { address, fault, heard, poured, task }
    }

    /// Requests that it heard while it was broken, the first one first.
    ///
    /// # Panics
    /// When whoever wrote them down has panicked.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("nobody panics").clone()
    }

    /// Bytes that somebody took of answers that do not end, what is on its way among them.
    #[must_use]
    pub fn poured(&self) -> usize {
        self.poured.load(Ordering::Relaxed)
    }

    /// From here on this is the matter.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

/// A request that reached one that was broken.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Names in lower case.
    pub headers: Value,
    /// As it came.
    pub body: String,
}

type Behind = (SocketAddr, Arc<Mutex<Vec<Heard>>>, Arc<AtomicUsize>);

impl Drop for Faulty {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, address: SocketAddr, behind: Behind, mut told: watch::Receiver<Fault>) {
    let mut open = Some(listener);
    loop {
        let fault = *told.borrow_and_update();
        if fault == Fault::Gone {
            open = None;
        } else if open.is_none() {
            open = TcpListener::bind(address).await.ok();
        }
        let accepted = async {
            match &open {
                Some(listener) if fault != Fault::Deaf => listener.accept().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = told.changed() => if changed.is_err() { return },
            accepted = accepted => if let Ok((socket, _)) = accepted {
                let (mut told, behind) = (told.clone(), behind.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        _ = told.changed() => {}
                        // Whoever goes away in the middle does so.
                        _ = connection(socket, behind, fault) => {}
                    }
                });
            }
        }
    }
}

async fn connection(mut socket: TcpStream, (server, heard, poured): Behind, fault: Fault) -> io::Result<()> {
    socket.set_nodelay(true)?;
    if fault == Fault::None {
        let mut behind = connect(server).await?;
        return copy_bidirectional(&mut socket, &mut behind).await.map(drop);
    }
    if let Fault::Slow(time) = fault {
        return slowly(socket, connect(server).await?, time).await;
    }
    let mut held = Vec::new();
    while let Some(request) = read_request(&mut socket, &mut held).await? {
        heard.lock().expect("nobody panics").push(Heard { headers: request.headers, body: request.body });
        match fault {
            Fault::Opens => socket.write_all(OPENED).await?,
            Fault::Endless { announced } => return pour(&mut socket, announced, &poured).await,
            Fault::Babbles => return socket.write_all(b"\0\xff no HTTP at all\r\n\r\n").await,
            Fault::Mumbles => socket.write_all(&mumble(request.method == "GET")).await?,
            Fault::Fails => {
                socket.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n").await?;
            }
            Fault::Resets => return Ok(set_socket_linger(&socket, Some(Duration::ZERO))?),
            _ => {}
        }
    }
    Ok(())
}

const OPENED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// An answer that is a gibibyte long, for whoever takes all of it.
async fn pour(socket: &mut TcpStream, announced: bool, poured: &AtomicUsize) -> io::Result<()> {
    const PIECE: usize = 1 << 16;
    const PIECES: usize = 1 << 14;
    let length =
        if announced { format!("Content-Length: {}", PIECE * PIECES) } else { "Transfer-Encoding: chunked".to_owned() };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{length}\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    let piece = if announced { vec![b' '; PIECE] } else { [&b"10000\r\n"[..], &vec![b' '; PIECE], b"\r\n"].concat() };
    for _ in 0..PIECES {
        socket.write_all(&piece).await?;
        poured.fetch_add(PIECE, Ordering::Relaxed);
    }
    Ok(())
}

fn mumble(stream: bool) -> Vec<u8> {
    let text = if stream { "" } else { "this is no message" };
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into()
}

async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(server).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn slowly(socket: TcpStream, behind: TcpStream, time: Duration) -> io::Result<()> {
    let (mut from_client, mut to_client) = socket.into_split();
    let (mut from_server, mut to_server) = behind.into_split();
    let back = async {
        let mut piece = vec![0; 1 << 16];
        loop {
            let read = from_server.read(&mut piece).await?;
            if read == 0 {
                return Ok(());
            }
            tokio::time::sleep(time).await;
            to_client.write_all(&piece[..read]).await?;
        }
    };
    tokio::select! {
        done = back => done,
        copied = tokio::io::copy(&mut from_client, &mut to_server) => copied.map(drop),
    }
}
