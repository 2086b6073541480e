//! Which addresses the gate may connect to on somebody's word.
//! Called after a name was resolved and before the connection is made, for the very address that is connected to.
//! Must hold: what leads to an address in another form (IPv4 within IPv6) is judged as that address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// The whole world's.
    Public,
    /// A network of one's own: RFC 1918, RFC 4193, RFC 6598.
    Private,
    /// This machine.
    Loopback,
    /// The link: RFC 3927, and `fe80::/10` of RFC 4291.
    LinkLocal,
    /// Where a cloud tells a machine its credentials.
    Metadata,
    /// No address of one machine: unspecified, broadcast, multicast, or reserved.
    Nowhere,
}

/// Services that give credentials to whoever asks from the machine: of AWS and nearly all others, of its containers
/// (two), of AWS over IPv6 (two), of Google over IPv6, of Alibaba, and of Oracle's older machines.
const METADATA: [IpAddr; 8] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

impl Zone {
    /// Where an address is.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if METADATA.contains(&address) {
            return Self::Metadata;
        }
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => embedded(address).map_or_else(|| of_v6(address), |inner| Self::of(inner.into())),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Private => "an address of a private network",
            Self::Loopback => "an address of this machine",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "where a cloud keeps a machine's credentials",
            Self::Nowhere => "no address of a server",
        })
    }
}

fn of_v4(address: Ipv4Addr) -> Zone {
    match address.octets() {
        // RFC 1122, section 3.2.1.3: "this host"; Linux connects it to itself.
        [0 | 224..=255, ..] => Zone::Nowhere,
        [127, ..] => Zone::Loopback,
        [169, 254, ..] => Zone::LinkLocal,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Zone::Private,
        _ => Zone::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Zone {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] | [0xff00..=0xffff, ..] => Zone::Nowhere,
        [0, 0, 0, 0, 0, 0, 0, 1] => Zone::Loopback,
        [0xfe80..=0xfebf, ..] => Zone::LinkLocal,
        // fec0::/10 was for sites (RFC 3879) and is routed by some still.
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Zone::Private,
        _ => Zone::Public,
    }
}

/// The IPv4 address to which an IPv6 address leads: mapped and compatible (RFC 4291, section 2.5.5), translated
/// (RFC 6052, RFC 8215), and 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d] = [12, 13, 14, 15].map(|at| address.octets()[at]);
    let last = Ipv4Addr::new(a, b, c, d);
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, ..] => Some(last),
        [0x2002, ..] => {
            let [a, b, c, d] = [2, 3, 4, 5].map(|at| address.octets()[at]);
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

/// On whose word a connection is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The operator's, who wrote the URL; and whether link-local addresses are meant.
    Operator {
        /// Link-local addresses may be reached, metadata services still may not.
        link_local: bool,
    },
    /// A server's, or a document's, that was itself reached in this zone.
    Discovered(Zone),
}

impl Word {
    /// Whether it suffices for a connection to this address; where not, where that is.
    ///
    /// # Errors
    /// The zone that may not be reached.
    pub fn permits(self, address: IpAddr) -> Result<(), Zone> {
        let zone = Zone::of(address);
        let permitted = match (self, zone) {
            (_, Zone::Metadata | Zone::Nowhere) | (Self::Discovered(_), Zone::LinkLocal) => false,
            (Self::Operator { link_local }, Zone::LinkLocal) => link_local,
            (_, Zone::Public) | (Self::Operator { .. }, Zone::Private | Zone::Loopback) => true,
            (Self::Discovered(from), zone) => from == zone,
        };
        if permitted { Ok(()) } else { Err(zone) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZONES: &[(Zone, &[&str])] = &[
        (Zone::Public, &["8.8.8.8", "100.63.0.1", "172.32.0.1", "2001:4860::1", "2002:808:808::1", "::ffff:8.8.8.8"]),
        (Zone::Private, &["10.1.2.3", "172.16.0.1", "172.31.255.1", "192.168.1.1", "100.64.0.1", "fd12::1", "fec0::1"]),
        (Zone::Private, &["::ffff:10.0.0.1", "64:ff9b::c0a8:101", "2002:c0a8:101::1"]),
        (Zone::Loopback, &["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"]),
        (Zone::LinkLocal, &["169.254.0.1", "169.254.255.255", "fe80::1", "febf::1", "::ffff:169.254.1.1"]),
        (Zone::Metadata, &["169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "100.100.100.200"]),
        (Zone::Metadata, &["192.0.0.192", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"]),
        (Zone::Metadata, &["::169.254.169.254", "::ffff:0:169.254.169.254", "64:ff9b:1::a9fe:a9fe"]),
        (
            Zone::Nowhere,
            &["0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "ff02::1"],
        ),
        (Zone::Nowhere, &["::ffff:0.0.0.0", "::ffff:255.255.255.255"]),
    ];

    fn parse(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn each_address_is_in_its_zone() {
        for (zone, addresses) in ZONES {
            for address in *addresses {
                assert_eq!(Zone::of(parse(address)), *zone, "{address}");
            }
        }
    }

    #[test]
    fn the_operator_reaches_his_networks_and_nobody_a_cloud_s_credentials() {
        let operator = Word::Operator { link_local: false };
        let exception = Word::Operator { link_local: true };
        let words = |from| [operator, exception, Word::Discovered(from)];
        for (address, permitted) in [
            ("8.8.8.8", [true, true, true]),
            ("10.0.0.1", [true, true, false]),
            ("127.0.0.1", [true, true, false]),
            ("169.254.1.1", [false, true, false]),
            ("169.254.169.254", [false, false, false]),
            ("0.0.0.0", [false, false, false]),
        ] {
            assert_eq!(words(Zone::Public).map(|word| word.permits(parse(address)).is_ok()), permitted, "{address}");
        }
        assert!(Word::Discovered(Zone::Private).permits(parse("10.0.0.1")).is_ok());
        assert_eq!(Word::Discovered(Zone::Private).permits(parse("::1")), Err(Zone::Loopback));
        assert!(Word::Discovered(Zone::Loopback).permits(parse("::1")).is_ok());
        assert_eq!(Word::Discovered(Zone::LinkLocal).permits(parse("fe80::1")), Err(Zone::LinkLocal));
    }

    proptest! {
        #[test]
        fn no_form_of_an_address_reaches_what_the_address_does_not(number: u32) {
            let address = Ipv4Addr::from(number);
            let zone = Zone::of(address.into());
            let [a, b, c, d] = address.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let forms = [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ];
            for form in forms {
                prop_assert_eq!(Zone::of(form.into()), zone);
            }
        }
    }
}
