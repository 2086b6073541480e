//! The PROXY header before a connection's first byte: who stands behind the proxy that connected.
//!
//! [`connection`](super::connection) asks where the listener expects one, before TLS. Not one byte behind the header
//! is read, so that whoever comes next finds the stream as if nothing had stood before.

use std::io;
use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use toolgate_protocol::proxy_protocol::{self, Header, LONGEST};

use super::admission::Permit;
use super::open::Counters;
use crate::config::settings::Listener;
use crate::core::Core;

/// Reads the header, and takes the place of the client that it names. Gives back the connection's two ends, which are
/// those of the socket where the proxy speaks for itself.
pub(super) async fn client(
    core: &Core,
    stream: &mut TcpStream,
    ends: (SocketAddr, SocketAddr),
    (rules, counters): (&Listener, &Counters),
    permit: &mut Permit,
) -> io::Result<(SocketAddr, SocketAddr)> {
    let header = tokio::select! {
        header = header(stream) => header,
        () = sleep(rules.bounds.head_timeout) => Err(io::ErrorKind::TimedOut.into()),
        () = core.drain.overdue(Instant::now()) => return Err(io::ErrorKind::TimedOut.into()),
    };
    let header = header.inspect_err(|error| {
        Counters::count(&counters.headers_failed);
        tracing::debug!(peer = %ends.0, listener = rules.name, "connection refused: {error}");
    })?;
    let Some(addresses) = header.addresses else { return Ok(ends) };
    permit.name(addresses.source.ip(), rules).map_err(|refused| {
        counters.turned_away(refused);
        io::Error::new(io::ErrorKind::PermissionDenied, format!("{} may not connect", addresses.source.ip()))
    })?;
    Ok((addresses.source, addresses.destination))
}

/// Looks before it reads: what an incomplete header consists of is all of it the header's.
async fn header(stream: &mut TcpStream) -> io::Result<Header> {
    let mut held = Vec::new();
    let mut seen = [0; LONGEST];
    loop {
        let arrived = stream.peek(&mut seen).await?;
        if arrived == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = held.len();
        held.extend_from_slice(&seen[..arrived]);
        let header = proxy_protocol::parse(&held).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
        let taken = header.map_or(arrived, |header| header.length - before);
        stream.read_exact(&mut seen[..taken]).await?;
        if let Some(header) = header {
            return Ok(header);
        }
    }
}
