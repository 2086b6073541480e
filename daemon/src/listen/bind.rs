//! Listening sockets: passed by systemd under their listener's name, or bound here.
//!
//! Opening the listeners uses it. A passed socket is the configuration's address or is reported.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_acceptconn;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
pub(crate) const BACKLOG: i32 = 4096;

/// Descriptors that systemd passed, with the names it gave them.
#[derive(Debug, Default)]
pub struct Passed(Vec<(String, OwnedFd)>);

impl Passed {
    /// Takes over what was passed to this process; to be called once, at its start.
    pub fn from_systemd() -> io::Result<Self> {
        let passed = sd_listen_fds::get().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let named = passed.into_iter().map(|(name, fd)| (name.unwrap_or_default(), fd.into_std()));
        Ok(Self(named.collect()))
    }

    /// Whether a connection waits at a listening socket; its client may be gone.
    pub fn is_awaited(&self) -> bool {
        let listening = self.0.iter().filter(|(_, fd)| socket_acceptconn(fd).unwrap_or(false));
        let mut sockets: Vec<_> = listening.map(|(_, fd)| PollFd::new(fd, PollFlags::IN)).collect();
        poll(&mut sockets, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// The listening TCP sockets of this name.
    pub fn listeners(&mut self, name: &str) -> Vec<TcpListener> {
        let mut found = Vec::new();
        for (held, fd) in std::mem::take(&mut self.0) {
            if held != name {
                self.0.push((held, fd));
                continue;
            }
            let socket = Socket::from(fd);
            let address = socket.local_addr().ok().and_then(|address| address.as_socket());
            if address.is_some() && socket.is_listener().unwrap_or(false) {
                found.push(socket.into());
            } else {
                tracing::warn!(
                    listener = name,
                    "systemd passed a descriptor of this name that is not a listening TCP socket"
                );
                self.0.push((held, socket.into()));
            }
        }
        found
    }

    /// Those whose name `wanted` knows: connections from the descriptor store.
    pub fn take(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<(String, OwnedFd)> {
        self.0.extract_if(.., |(name, _)| wanted(name)).collect()
    }
}

/// Binds and listens; `[::]` takes no IPv4 connections, so that both can be written side by side.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_connection_is_waiting_from_the_handshake_on_also_when_its_client_is_gone() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (kept, mut instance) = std::os::unix::net::UnixStream::pair().unwrap();
        let passed = Passed(vec![("local".into(), listener.into()), ("instance.a.1".into(), kept.into())]);
        io::Write::write_all(&mut instance, b"what an instance says is no client").unwrap();
        assert!(!passed.is_awaited());
        drop(TcpStream::connect(address).unwrap());
        assert!(passed.is_awaited());
    }
}
