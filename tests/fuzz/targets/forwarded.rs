//! What proxies say of their clients, and which codings clients take.
//! Must hold: what stands left of what a trusted proxy added changes nothing; a client is never a trusted address while
//! another is on the way; a coding that was not allowed is not chosen.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use toolgate_protocol::coding::{Accepted, Coding, encoded};
use toolgate_protocol::forwarded::{Header, Said, client, https};

/// The private networks of a site whose proxies are trusted.
fn trusted(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(four) if four.is_private() || four.is_loopback()) || address.is_loopback()
}

fuzz_target!(|data: &[u8]| {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    for header in [Header::XForwardedFor, Header::Forwarded, Header::XRealIp] {
        let said = client(header, lines.iter().copied(), trusted);
        if let Said::Client(found) = &said {
            assert_eq!(found.address.to_canonical(), found.address);
            assert!(found.hops.iter().all(|hop| trusted(*hop)), "a hop that nobody trusts is the client");
        }
        // What a client sends itself comes before what its proxy adds.
        let added: &[u8] = if header == Header::Forwarded { b"for=203.0.113.7" } else { b"203.0.113.7" };
        let behind = client(header, lines.iter().copied().chain([added]), trusted);
        let alone = client(header, [added], trusted);
        assert_eq!(behind, alone, "a client moves what its proxy says");
    }
    let _ = https(data);
    codings(data, &lines);
});

fn codings(data: &[u8], lines: &[&[u8]]) {
    let offered = [Coding::Zstd, Coding::Brotli, Coding::Gzip, Coding::Deflate];
    let accepted = Accepted::new(lines.iter().copied());
    let best = accepted.best(&offered);
    assert!(best.is_none_or(|coding| accepted.allows(coding)), "{best:?} was not allowed");
    assert_eq!(accepted.best(&[]), None);
    let _ = encoded(Some(data));
    assert!(Coding::parse(data).is_none_or(|coding| Coding::parse(coding.name().as_bytes()) == Some(coding)));
}
