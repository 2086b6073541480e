//! The PROXY protocol, versions 1 and 2: what a balancer says of a connection before its first byte.
//! Called by the daemon with all that has arrived so far, until the header is whole or refused.
//! Must hold: no byte behind the header is taken for a part of it, however the bytes were cut into reads.

mod binary;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::net::SocketAddr;

/// Bytes of the longest header that is taken, of either version.
pub const LONGEST: usize = binary::LONGEST;

/// A header that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its bytes; what follows belongs to the connection.
    pub length: usize,
    /// Who connected to the balancer, and to which of its addresses; `None` where the balancer speaks for itself or
    /// does not know: then the connection's own addresses hold.
    pub addresses: Option<Addresses>,
}

/// The ends of the connection to the balancer. IPv4 is never in IPv6's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

/// Why a connection does not begin with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The bytes are neither version's.
    NotAHeader,
    /// A line of version 1 that breaks its grammar.
    Line,
    /// A line of version 1 without end within 107 bytes.
    LineTooLong,
    /// A version or command that nobody knows.
    Command,
    /// Addresses of Unix sockets, or of datagrams.
    Family,
    /// Fewer bytes than the addresses take.
    TooShort,
    /// More than 2,048 bytes behind the fixed part.
    TooLong,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAHeader => "the connection does not begin with a PROXY header: the proxy must be told to send it",
            Self::Line => "a PROXY line of version 1 is malformed",
            Self::LineTooLong => "a PROXY line of version 1 has more than 107 bytes",
            Self::Command => "a PROXY header has a version or command that is not known",
            Self::Family => "a PROXY header speaks of something else than TCP",
            Self::TooShort => "a PROXY header is shorter than its addresses",
            Self::TooLong => "a PROXY header has more than 2,048 bytes of addresses and extensions",
        })
    }
}

impl std::error::Error for Fault {}

/// Reads the header that `input` begins with; `None` while more bytes are needed, all of which so far belong to it.
pub fn parse(input: &[u8]) -> Result<Option<Header>, Fault> {
    if begins(input, text::START) {
        return text::parse(input);
    }
    if begins(input, binary::SIGNATURE) {
        return binary::parse(input);
    }
    Err(Fault::NotAHeader)
}

/// Whether the input is the start of `start`, or goes on behind it.
fn begins(input: &[u8], start: &[u8]) -> bool {
    let shared = input.len().min(start.len());
    input[..shared] == start[..shared]
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
