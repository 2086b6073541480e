use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

/// What a header says.
type Read = Result<Option<Addresses>, Fault>;

fn ends(source: &str, destination: &str) -> Addresses {
    let parse = |text: &str| text.parse().expect("an address");
    Addresses { source: parse(source), destination: parse(destination) }
}

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [binary::SIGNATURE, &[command, family], &length, rest].concat()
}

#[test]
fn lines_of_version_1_are_read() {
    let table: &[(&str, Read)] = &[
        ("PROXY TCP4 192.0.2.1 192.0.2.2 51000 443\r\n", Ok(Some(ends("192.0.2.1:51000", "192.0.2.2:443")))),
        (
            "PROXY TCP6 2001:db8::1 2001:db8::2 51000 443\r\n",
            Ok(Some(ends("[2001:db8::1]:51000", "[2001:db8::2]:443"))),
        ),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n", Ok(Some(ends("192.0.2.1:1", "192.0.2.2:2")))),
        ("PROXY UNKNOWN\r\n", Ok(None)),
        ("PROXY UNKNOWN ff:f:f:f ff 1 2 and more\r\n", Ok(None)),
        ("PROXY UNKNOWNX\r\n", Err(Fault::Line)),
        ("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", Err(Fault::Family)),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", Err(Fault::Line)),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", Err(Fault::Line)),
        ("PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", Err(Fault::Line)),
        ("PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n", Err(Fault::Line)),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", Err(Fault::Line)),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", Err(Fault::Line)),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", Err(Fault::Line)),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", Err(Fault::Line)),
        ("PROXY \n", Err(Fault::Line)),
        ("GET / HTTP/1.1\r\n", Err(Fault::NotAHeader)),
        ("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Err(Fault::NotAHeader)),
    ];
    for (line, expected) in table {
        let read = parse(line.as_bytes()).map(|header| header.expect("whole").addresses);
        assert_eq!(read, *expected, "{line:?}");
    }
}

#[test]
fn a_line_may_have_107_bytes() {
    let line = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16)).into_bytes();
    assert_eq!(parse(&line(107)), Ok(Some(Header { length: 107, addresses: None })));
    assert_eq!(parse(&line(108)), Err(Fault::LineTooLong));
    assert_eq!(parse(&line(108)[..106]), Ok(None));
    assert_eq!(parse(&line(108)[..107]), Err(Fault::LineTooLong));
}

#[test]
fn headers_of_version_2_are_read() {
    let v4 = [&[192, 0, 2, 1, 192, 0, 2, 2][..], &51000_u16.to_be_bytes(), &443_u16.to_be_bytes()].concat();
    let known = Some(ends("192.0.2.1:51000", "192.0.2.2:443"));
    let extended = [&v4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
    let v6 =
        [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1], &[0; 10], &[0xff, 0xff, 192, 0, 2, 2], &[0, 1, 0, 2]].concat();
    let table: &[(Vec<u8>, Read)] = &[
        (binary(0x21, 0x11, &v4), Ok(known)),
        (binary(0x21, 0x11, &extended), Ok(known)),
        (binary(0x21, 0x21, &v6), Ok(Some(ends("[2001:db8::1]:1", "192.0.2.2:2")))),
        // A health check of the balancer's own, with and without addresses.
        (binary(0x20, 0x00, &[]), Ok(None)),
        (binary(0x20, 0x11, &v4), Ok(None)),
        (binary(0x20, 0x31, &[0; 216]), Ok(None)),
        (binary(0x21, 0x00, &[]), Ok(None)),
        (binary(0x21, 0x00, &[1, 2, 3]), Ok(None)),
        (binary(0x21, 0x31, &[0; 216]), Err(Fault::Family)),
        (binary(0x21, 0x12, &v4), Err(Fault::Family)),
        (binary(0x21, 0x11, &v4[..11]), Err(Fault::TooShort)),
        (binary(0x21, 0x21, &v4), Err(Fault::TooShort)),
        (binary(0x22, 0x11, &v4), Err(Fault::Command)),
        (binary(0x11, 0x11, &v4), Err(Fault::Command)),
        (binary(0x21, 0x11, &[0; 2049]), Err(Fault::TooLong)),
        (b"\r\n\r\nGET / HTTP/1.1\r\n".to_vec(), Err(Fault::NotAHeader)),
    ];
    for (bytes, expected) in table {
        let read = parse(bytes).map(|header| header.expect("whole").addresses);
        assert_eq!(read, *expected, "{}", bytes.escape_ascii());
    }
    assert_eq!(parse(&binary(0x21, 0x11, &[0; 2048])).map(|header| header.expect("whole").length), Ok(LONGEST));
}

fn any_end() -> impl Strategy<Value = SocketAddr> {
    (any::<u128>(), any::<bool>(), any::<u16>()).prop_map(|(bits, v4, port)| {
        let address = if v4 {
            IpAddr::from(bits.to_be_bytes()[..4].first_chunk::<4>().copied().unwrap_or_default())
        } else {
            IpAddr::from(bits.to_be_bytes())
        };
        SocketAddr::new(address.to_canonical(), port)
    })
}

/// The header that a balancer would send.
fn sent(source: SocketAddr, destination: SocketAddr, version: u8) -> Vec<u8> {
    let v4 = source.is_ipv4() && destination.is_ipv4();
    let six = |address: SocketAddr| match address.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    if version == 1 {
        let (from, to) = (source.port(), destination.port());
        let ends = if v4 {
            format!("TCP4 {} {}", source.ip(), destination.ip())
        } else {
            format!("TCP6 {} {}", six(source), six(destination))
        };
        return format!("PROXY {ends} {from} {to}\r\n").into_bytes();
    }
    let octets = |address: SocketAddr| match address.ip() {
        IpAddr::V4(address) if v4 => address.octets().to_vec(),
        _ => six(address).octets().to_vec(),
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    binary(0x21, if v4 { 0x11 } else { 0x21 }, &[octets(source), octets(destination), ports].concat())
}

proptest! {
    #[test]
    fn what_is_sent_is_read_and_nothing_behind_it(
        source in any_end(), destination in any_end(), version in 1_u8..=2, behind in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let header = sent(source, destination, version);
        let input = [&header[..], &behind].concat();
        let read = parse(&input).expect("valid").expect("whole");
        prop_assert_eq!(read, Header { length: header.len(), addresses: Some(Addresses { source, destination }) });
        for end in 0..header.len() {
            prop_assert_eq!(parse(&input[..end]), Ok(None), "cut at {}", end);
        }
    }

    /// More bytes never change a verdict, and whatever is taken is within the bounds.
    #[test]
    fn a_verdict_stands(start in 0_u8..3, mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let before = match start { 0 => &b""[..], 1 => text::START, _ => binary::SIGNATURE };
        bytes.splice(0..0, before.iter().copied());
        let mut verdict = Ok(None);
        for end in 0..=bytes.len() {
            let now = parse(&bytes[..end]);
            if verdict == Ok(None) { verdict = now; } else { prop_assert_eq!(now, verdict); }
        }
        if let Ok(Some(header)) = verdict { prop_assert!(header.length <= LONGEST.min(bytes.len())); }
    }
}
