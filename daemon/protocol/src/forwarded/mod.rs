//! Who a proxy says that it speaks for: `X-Forwarded-For`, `X-Real-IP`, and `Forwarded` (RFC 7239).
//! Called by the daemon for requests whose peer is a trusted proxy; for anybody else these headers mean nothing.
//! Must hold: nothing that a client wrote, left of what a trusted proxy added, is taken for the client's address.

mod element;
mod node;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

/// The one header that the operator's proxies are known to write. Others may be the client's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// A list of addresses; each proxy adds the one that it was connected from.
    #[default]
    XForwardedFor,
    /// The same with parameters, RFC 7239.
    Forwarded,
    /// One address.
    XRealIp,
}

impl Header {
    /// Its name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
            Self::XRealIp => "x-real-ip",
        }
    }

    /// The header of that name, in lower case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::XForwardedFor, Self::Forwarded, Self::XRealIp].into_iter().find(|header| header.name() == name)
    }
}

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It is not there: the proxy asks for itself.
    Nothing,
    /// It is malformed, or hides the client: `unknown`, or an obfuscated identifier.
    Unusable,
    /// Who asks.
    Client(Client),
}

/// Whom a proxy speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The rightmost address that is no trusted proxy; the leftmost where all are. Never IPv4 in IPv6's form.
    pub address: IpAddr,
    /// Trusted proxies between the client and the one that connected to us, in the order of the way.
    pub hops: Vec<IpAddr>,
    /// Whether the client spoke HTTPS, where `Forwarded` says so in the element of its address.
    pub https: Option<bool>,
}

/// One element of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hop {
    address: IpAddr,
    https: Option<bool>,
}

/// An element, or a line, that says nothing usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unusable;

/// Finds the client in the header's lines, in the order of the request. Lines are read from the last one, and a line
/// behind which the client has been found is not looked at: it may hold whatever a client wrote.
pub fn client<'l, L>(header: Header, lines: L, trusted: impl Fn(IpAddr) -> bool) -> Said
where
    L: IntoIterator<Item = &'l [u8]>,
    L::IntoIter: DoubleEndedIterator,
{
    let mut way: Vec<Hop> = Vec::new();
    for line in lines.into_iter().rev() {
        let Ok(hops) = hops(header, line) else { return Said::Unusable };
        for hop in hops.into_iter().rev() {
            let Ok(hop) = hop else { return Said::Unusable };
            way.push(hop);
            if !trusted(hop.address) {
                return found(way);
            }
        }
    }
    if way.is_empty() { Said::Nothing } else { found(way) }
}

/// The last hop that was reached is the client; before it, in the other direction, came proxies.
fn found(mut way: Vec<Hop>) -> Said {
    let Some(client) = way.pop() else { return Said::Nothing };
    let hops = way.into_iter().rev().map(|hop| hop.address).collect();
    Said::Client(Client { address: client.address, hops, https: client.https })
}

/// The elements of one line; an error where the line cannot be cut into elements for certain.
fn hops(header: Header, line: &[u8]) -> Result<Vec<Result<Hop, Unusable>>, Unusable> {
    match header {
        Header::Forwarded => element::elements(line),
        Header::XForwardedFor => {
            let elements = line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            // RFC 9110, section 5.6.1.2: empty elements are ignored.
            Ok(elements.filter(|element| !element.is_empty()).map(bare).collect())
        }
        Header::XRealIp => Ok(vec![bare(line.trim_ascii())]),
    }
}

fn bare(text: &[u8]) -> Result<Hop, Unusable> {
    node::address(text).map(|address| Hop { address, https: None })
}

/// Whether the client spoke HTTPS, by the last of `X-Forwarded-Proto`'s values: what the nearest proxy says.
pub fn https(value: &[u8]) -> Option<bool> {
    scheme(value.rsplit(|byte| *byte == b',').next()?.trim_ascii())
}

fn scheme(text: &[u8]) -> Option<bool> {
    match text {
        text if text.eq_ignore_ascii_case(b"https") => Some(true),
        text if text.eq_ignore_ascii_case(b"http") => Some(false),
        _ => None,
    }
}
