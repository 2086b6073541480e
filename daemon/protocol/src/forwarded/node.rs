//! One address as proxies write it: with or without port, IPv6 with or without brackets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Unusable;

/// Longest text that can be an address with brackets and port.
const LONGEST: usize = 64;

/// The address of a node; names that hide it (`unknown`, `_gazonk`) are unusable, and so are zones.
pub(super) fn address(text: &[u8]) -> Result<IpAddr, Unusable> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= LONGEST).ok_or(Unusable)?;
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(Unusable)?;
            if !port.is_empty() {
                port.strip_prefix(':').filter(|port| is_port(port)).ok_or(Unusable)?;
            }
            IpAddr::V6(address.parse::<Ipv6Addr>().map_err(|_| Unusable)?)
        }
        None => bare(text)?,
    };
    Ok(address.to_canonical())
}

fn bare(text: &str) -> Result<IpAddr, Unusable> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (address, port) = text.split_once(':').ok_or(Unusable)?;
    let address = address.parse::<Ipv4Addr>().map_err(|_| Unusable)?;
    if is_port(port) { Ok(IpAddr::V4(address)) } else { Err(Unusable) }
}

/// A number, or an obfuscated one (RFC 7239, section 6).
fn is_port(port: &str) -> bool {
    let hidden = port.strip_prefix('_').is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    });
    let number = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    hidden || number
}
