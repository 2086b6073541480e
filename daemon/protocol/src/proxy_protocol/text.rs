//! Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 51000 443` and CR LF.

use std::net::{IpAddr, SocketAddr};

use super::{Addresses, Fault, Header, canonical};

pub(super) const START: &[u8] = b"PROXY ";

/// The longest line, CR and LF included, as the protocol has it.
const LONGEST: usize = 107;

pub(super) fn parse(input: &[u8]) -> Result<Option<Header>, Fault> {
    let window = &input[..input.len().min(LONGEST)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() == LONGEST { Err(Fault::LineTooLong) } else { Ok(None) };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(Fault::Line)?;
    let line = std::str::from_utf8(&line[START.len().min(line.len())..]).map_err(|_| Fault::Line)?;
    Ok(Some(Header { length: end + 1, addresses: addresses(line)? }))
}

fn addresses(line: &str) -> Result<Option<Addresses>, Fault> {
    // What follows `UNKNOWN` is to be ignored.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let mut next = || words.next().ok_or(Fault::Line);
    let family = next()?;
    let (source, destination) = (address(family, next()?)?, address(family, next()?)?);
    let (from, to) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err(Fault::Line);
    }
    Ok(Some(Addresses {
        source: canonical(SocketAddr::new(source, from)),
        destination: canonical(SocketAddr::new(destination, to)),
    }))
}

fn address(family: &str, text: &str) -> Result<IpAddr, Fault> {
    match family {
        "TCP4" => text.parse().map(IpAddr::V4).map_err(|_| Fault::Line),
        "TCP6" => text.parse().map(IpAddr::V6).map_err(|_| Fault::Line),
        _ => Err(Fault::Family),
    }
}

/// Digits without a leading zero.
fn port(text: &str) -> Result<u16, Fault> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| digits).ok_or(Fault::Line)
}
