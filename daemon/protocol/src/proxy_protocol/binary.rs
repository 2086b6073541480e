//! Version 2: a signature, two bytes of meaning, a length, addresses, and extensions that are skipped.

use std::net::{IpAddr, SocketAddr};

use super::{Addresses, Fault, Header, canonical};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;
/// Bytes of addresses and extensions together.
const VARIABLE: usize = 2048;
pub(super) const LONGEST: usize = FIXED + VARIABLE;

pub(super) fn parse(input: &[u8]) -> Result<Option<Header>, Fault> {
    let local = match input.get(12) {
        None => return Ok(None),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(Fault::Command),
    };
    let Some(&[family, high, low]) = input.get(13..FIXED) else { return Ok(None) };
    let variable = usize::from(u16::from_be_bytes([high, low]));
    if variable > VARIABLE {
        return Err(Fault::TooLong);
    }
    // A balancer that speaks for itself may write any family, and its addresses are to be ignored.
    let octets = if local { 0 } else { octets(family)? };
    if variable < 2 * octets + if octets > 0 { 4 } else { 0 } {
        return Err(Fault::TooShort);
    }
    let Some(variable) = input.get(FIXED..FIXED + variable) else { return Ok(None) };
    Ok(Some(Header { length: FIXED + variable.len(), addresses: addresses(variable, octets) }))
}

/// Bytes of one address; none where the balancer does not know.
fn octets(family: u8) -> Result<usize, Fault> {
    match family {
        0x00 => Ok(0),
        0x11 => Ok(4),
        0x21 => Ok(16),
        _ => Err(Fault::Family),
    }
}

fn addresses(bytes: &[u8], octets: usize) -> Option<Addresses> {
    let (source, rest) = bytes.split_at_checked(octets)?;
    let (destination, rest) = rest.split_at_checked(octets)?;
    let port = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    Some(Addresses {
        source: canonical(SocketAddr::new(address(source)?, port(0)?)),
        destination: canonical(SocketAddr::new(address(destination)?, port(2)?)),
    })
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}
