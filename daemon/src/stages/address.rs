//! Where a call comes from: its peer, or whom a trusted proxy speaks for.
//!
//! What anybody else writes into such headers is not looked at. Limits, the allow-list, the log and servers go by the
//! address that is found here; a connection's own bounds go by its peer.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::HeaderValue;
use toolgate_protocol::forwarded::{self, Client, Header, Said};

use crate::call::Call;
use crate::failure::{Failure, Kind};

/// Finds the address, and holds it against the allow-list where the peer was let in for being a proxy.
pub fn find(call: &mut Call) -> Result<(), Failure> {
    let peer = call.connection.peer.ip();
    if !call.entrance.listener.trusts(peer) {
        return Ok(());
    }
    let said = said(call);
    let hidden = said == Said::Unusable;
    if let Said::Client(client) = said {
        call.chain = Some(chain(&client, peer).into());
        call.address = client.address;
        call.proxied = Some(client.address.to_string().into());
        if let Some(https) = client.https.or_else(|| https(call)) {
            call.https = https;
        }
    }
    // Whoever cannot be told is not on a list, even where the proxy itself is.
    let listener = &call.entrance.listener;
    if listener.allow.is_none() || (!hidden && listener.allows(call.address)) {
        return Ok(());
    }
    Err(Failure::new(
        Kind::AddressRefused,
        "This listener is not open to your address. The gate's operator can add it to `allow` of the listener.",
    ))
}

fn said(call: &Call) -> Said {
    let listener = &call.entrance.listener;
    let lines = call.headers.get_all(listener.address_header.name()).iter().map(HeaderValue::as_bytes);
    forwarded::client(listener.address_header, lines, |address| listener.trusts(address))
}

/// What the nearest proxy says, where the header with the address has no word for it.
fn https(call: &Call) -> Option<bool> {
    if call.entrance.listener.address_header == Header::Forwarded {
        return None;
    }
    forwarded::https(call.headers.get_all("x-forwarded-proto").iter().next_back()?.as_bytes())
}

/// The way as servers are told it. It begins with the client: what stood before it, nobody vouches for.
fn chain(client: &Client, peer: IpAddr) -> String {
    let mut chain = client.address.to_string();
    for hop in client.hops.iter().chain([&peer]) {
        // Writing to a String cannot fail.
        let _ = write!(chain, ", {hop}");
    }
    chain
}
