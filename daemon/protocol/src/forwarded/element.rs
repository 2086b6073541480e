//! The grammar of `Forwarded` (RFC 7239, section 4): elements of `name=value`, values bare or quoted.
//!
//! A line must follow it whole. A client's open quote before what its proxy added would otherwise decide where the
//! proxy's own element ends.

use super::{Hop, Unusable, node, scheme};

/// The elements of a line, each with its address; empty ones are left out.
pub(super) fn elements(line: &[u8]) -> Result<Vec<Result<Hop, Unusable>>, Unusable> {
    let mut rest = line;
    let mut elements = Vec::new();
    let mut element = Element::default();
    loop {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None => break,
            Some(b',') => elements.extend(std::mem::take(&mut element).end()),
            Some(b';') => {}
            Some(_) => {
                rest = element.pair(rest)?.trim_ascii_start();
                // A pair is followed by nothing else than what ends it.
                match rest.first() {
                    None | Some(b',' | b';') => continue,
                    Some(_) => return Err(Unusable),
                }
            }
        }
        rest = &rest[1..];
    }
    elements.extend(element.end());
    Ok(elements)
}

#[derive(Default)]
struct Element {
    any: bool,
    address: Option<Result<std::net::IpAddr, Unusable>>,
    https: Option<bool>,
}

impl Element {
    /// Takes a pair from the start of the text; gives back what follows it.
    fn pair<'t>(&mut self, text: &'t [u8]) -> Result<&'t [u8], Unusable> {
        self.any = true;
        let end = text.iter().position(|byte| !is_token(*byte)).ok_or(Unusable)?;
        let (name, rest) = text.split_at(end);
        let rest = rest.strip_prefix(b"=").filter(|_| !name.is_empty()).ok_or(Unusable)?;
        let (value, rest) = value(rest)?;
        if name.eq_ignore_ascii_case(b"for") {
            // RFC 7239, section 4: each parameter occurs once.
            if self.address.replace(node::address(&value)).is_some() {
                return Err(Unusable);
            }
        } else if name.eq_ignore_ascii_case(b"proto") {
            self.https = scheme(&value);
        }
        Ok(rest)
    }

    /// `None` where nothing stood between two commas.
    fn end(self) -> Option<Result<Hop, Unusable>> {
        let address = self.address.unwrap_or(Err(Unusable));
        self.any.then(|| address.map(|address| Hop { address, https: self.https }))
    }
}

/// A value without its quotes, and what follows it.
fn value(text: &[u8]) -> Result<(Vec<u8>, &[u8]), Unusable> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        // Colons and brackets must be quoted, and are not by every proxy.
        let end = text.iter().position(|byte| !is_token(*byte) && !b":[]".contains(byte)).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return if value.is_empty() { Err(Unusable) } else { Ok((value.to_vec(), rest)) };
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Ok((value, &quoted[at + 1..])),
            b'\\' => value.push(*bytes.next().ok_or(Unusable)?.1),
            _ => value.push(*byte),
        }
    }
    Err(Unusable)
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
