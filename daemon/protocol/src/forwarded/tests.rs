use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn trusted(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[0] == 10)
}

fn said(header: Header, lines: &[&str]) -> Said {
    client(header, lines.iter().map(|line| line.as_bytes()), trusted)
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn found(text: &str, hops: &[&str], https: Option<bool>) -> Said {
    Said::Client(Client { address: address(text), hops: hops.iter().map(|hop| address(hop)).collect(), https })
}

#[test]
fn the_rightmost_address_that_is_no_proxy_is_the_client() {
    use Header::{Forwarded, XForwardedFor, XRealIp};
    let table: &[(Header, &[&str], Said)] = &[
        (XForwardedFor, &["203.0.113.9"], found("203.0.113.9", &[], None)),
        (XForwardedFor, &["6.6.6.6, 203.0.113.9, 10.0.0.2"], found("203.0.113.9", &["10.0.0.2"], None)),
        (
            XForwardedFor,
            &["6.6.6.6", "203.0.113.9", "10.0.0.2,10.0.0.3"],
            found("203.0.113.9", &["10.0.0.2", "10.0.0.3"], None),
        ),
        (XForwardedFor, &["rubbish", "203.0.113.9:4711"], found("203.0.113.9", &[], None)),
        (XForwardedFor, &["rubbish, [2001:db8::1]:80"], found("2001:db8::1", &[], None)),
        (XForwardedFor, &["2001:db8::1"], found("2001:db8::1", &[], None)),
        (XForwardedFor, &["::ffff:203.0.113.9 ,, "], found("203.0.113.9", &[], None)),
        // Where all are proxies, the first of them asked.
        (XForwardedFor, &["10.0.0.1, 10.0.0.2"], found("10.0.0.1", &["10.0.0.2"], None)),
        (XForwardedFor, &["203.0.113.9, unknown"], Said::Unusable),
        (XForwardedFor, &["203.0.113.9, unknown, 10.0.0.2"], Said::Unusable),
        (XForwardedFor, &["203.0.113.9:"], Said::Unusable),
        (XForwardedFor, &["fe80::1%eth0"], Said::Unusable),
        (XForwardedFor, &[], Said::Nothing),
        (XForwardedFor, &["", " , "], Said::Nothing),
        (XRealIp, &["203.0.113.9"], found("203.0.113.9", &[], None)),
        (XRealIp, &["203.0.113.9, 6.6.6.6"], Said::Unusable),
        (Forwarded, &["for=203.0.113.9"], found("203.0.113.9", &[], None)),
        (Forwarded, &["For=\"[2001:db8:cafe::17]:4711\";Proto=https"], found("2001:db8:cafe::17", &[], Some(true))),
        (
            Forwarded,
            &["for=6.6.6.6;proto=https", "by=10.0.0.9;proto=http; for = 203.0.113.9"],
            // No space may stand around `=`.
            Said::Unusable,
        ),
        (
            Forwarded,
            &["for=6.6.6.6;proto=https, proto=http;for=203.0.113.9;by=_x, for=10.0.0.2;host=\"a,b\""],
            found("203.0.113.9", &["10.0.0.2"], Some(false)),
        ),
        (Forwarded, &["for=\"203.0.113.9:_port\""], found("203.0.113.9", &[], None)),
        (Forwarded, &["for=203.0.113.9, for=\"_hidden\""], Said::Unusable),
        (Forwarded, &["for=unknown"], Said::Unusable),
        (Forwarded, &["proto=https"], Said::Unusable),
        (Forwarded, &["for=203.0.113.9;for=6.6.6.6"], Said::Unusable),
        (Forwarded, &["for=\"x, for=203.0.113.9"], Said::Unusable),
        (Forwarded, &["for=\"\\\", for=\"[2001:db8::1]\""], Said::Unusable),
        (Forwarded, &["for=\"2\\03.0.113.9\""], found("203.0.113.9", &[], None)),
    ];
    for (header, lines, expected) in table {
        assert_eq!(said(*header, lines), *expected, "{header:?} {lines:?}");
    }
}

#[test]
fn the_nearest_proxy_says_which_protocol_was_spoken() {
    for (value, expected) in
        [("https", Some(true)), ("HTTPS", Some(true)), ("https, http", Some(false)), ("", None), ("wss", None)]
    {
        assert_eq!(https(value.as_bytes()), expected, "{value}");
    }
}

#[test]
fn headers_are_known_by_their_names() {
    for header in [Header::XForwardedFor, Header::Forwarded, Header::XRealIp] {
        assert_eq!(Header::parse(header.name()), Some(header));
    }
    assert_eq!(Header::parse("x-client-ip"), None);
}

/// Addresses, half of them trusted.
fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 3]>().prop_map(|rest| IpAddr::from([10, rest[0], rest[1], rest[2]])),
        any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
        any::<u128>().prop_map(|bits| IpAddr::V6(bits.into()).to_canonical()),
    ]
}

/// One of the forms in which an address may stand in a header.
fn written(header: Header, address: IpAddr, form: u8) -> String {
    let text = match (address, form % 3) {
        (IpAddr::V6(address), 0) if header != Header::Forwarded => address.to_string(),
        (IpAddr::V6(address), 0 | 1) => format!("[{address}]"),
        (IpAddr::V6(address), _) => format!("[{address}]:4711"),
        (IpAddr::V4(address), 0) => address.to_string(),
        (IpAddr::V4(address), _) => format!("{address}:80"),
    };
    match header {
        Header::Forwarded if form.is_multiple_of(2) => format!("by=_gate;for=\"{text}\""),
        Header::Forwarded => format!("FOR=\"{text}\";proto=https;host=\"a\\\",b\""),
        _ => text,
    }
}

/// Lines that hold the texts in their order, cut where `cuts` says.
fn lines(texts: &[String], cuts: &[bool]) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (text, cut) in texts.iter().zip(cuts.iter().chain(std::iter::repeat(&false))) {
        let last = lines.last_mut().expect("a line");
        if *cut || last.is_empty() {
            lines.push(text.clone());
        } else {
            *last = format!("{last} ,{text}");
        }
    }
    lines
}

fn list_header() -> impl Strategy<Value = Header> {
    prop_oneof![Just(Header::XForwardedFor), Just(Header::Forwarded)]
}

proptest! {
    #[test]
    fn every_way_is_read_alike_however_it_is_written(
        header in list_header(),
        way in prop::collection::vec((any_address(), any::<u8>()), 1..8),
        cuts in prop::collection::vec(any::<bool>(), 8),
    ) {
        let texts: Vec<String> = way.iter().map(|(address, form)| written(header, *address, *form)).collect();
        let lines = lines(&texts, &cuts);
        let said = client(header, lines.iter().map(String::as_bytes), trusted);
        let at = way.iter().rposition(|(address, _)| !trusted(*address)).unwrap_or(0);
        let Said::Client(client) = said else { return Err(TestCaseError::fail(format!("{lines:?}: {said:?}"))) };
        prop_assert_eq!(client.address, way[at].0);
        prop_assert_eq!(client.hops, way[at + 1..].iter().map(|(address, _)| *address).collect::<Vec<_>>());
    }

    /// The proxy adds an element or a line; whatever the client wrote before it, it is nobody else.
    #[test]
    fn a_client_cannot_be_somebody_else(
        header in list_header(),
        own in "[ -~]{0,40}",
        form in any::<u8>(),
        same_line in any::<bool>(),
    ) {
        let real = address("203.0.113.9");
        let added = written(header, real, form);
        let lines = if same_line { vec![format!("{own}, {added}")] } else { vec![own, added] };
        match client(header, lines.iter().map(String::as_bytes), trusted) {
            Said::Client(client) => prop_assert_eq!(client.address, real),
            Said::Unusable => prop_assert!(same_line && header == Header::Forwarded),
            Said::Nothing => prop_assert!(false, "{:?}", lines),
        }
    }

    #[test]
    fn nothing_makes_it_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..4)) {
        for header in [Header::XForwardedFor, Header::Forwarded, Header::XRealIp] {
            let _ = client(header, lines.iter().map(Vec::as_slice), trusted);
        }
    }
}
