//! Where the gate may connect to: decided for the address itself, after its name was resolved.
//!
//! Whoever opens a connection to somewhere that is named in a URL asks here, and connects to what it is given. So a name
//! that leads elsewhere by the time it is connected to leads nowhere that it might not have led before.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use tokio::net::lookup_host;
use toolgate_protocol::reach::{Word, Zone};

use crate::config::settings::Endpoint;

/// No address of a name may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forbidden {
    /// One of them.
    pub address: IpAddr,
    /// Where that is.
    pub zone: Zone,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.address, self.zone)
    }
}

/// Those that may be connected to, in their order.
///
/// # Errors
/// Where there were some and none is left.
pub fn permitted(found: Vec<SocketAddr>, word: Word) -> Result<Vec<SocketAddr>, Forbidden> {
    let mut forbidden = None;
    let mut permitted = found;
    permitted.retain(|found| match word.permits(found.ip()) {
        Ok(()) => true,
        Err(zone) => {
            forbidden.get_or_insert(Forbidden { address: found.ip(), zone });
            false
        }
    });
    match forbidden {
        Some(forbidden) if permitted.is_empty() => Err(forbidden),
        _ => Ok(permitted),
    }
}

/// On whose word a URL is connected to that was found at another: the same host is the operator's, who wrote that one.
pub async fn on_word_of(by: &Endpoint, found: &Endpoint) -> Word {
    if by.host.eq_ignore_ascii_case(&found.host) {
        return Word::Operator { link_local: false };
    }
    let resolved = lookup_host((by.host.as_str(), by.port)).await;
    let first = resolved.ok().and_then(|mut addresses| addresses.next());
    Word::Discovered(first.map_or(Zone::Public, |address| Zone::of(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATOR: Word = Word::Operator { link_local: false };

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 80)).collect()
    }

    #[tokio::test]
    async fn what_is_found_may_be_where_it_was_found() {
        let at = |url: &str| crate::config::url::endpoint(url).unwrap();
        let word = async |by: &str, found: &str| on_word_of(&at(by), &at(found)).await;
        assert_eq!(word("http://localhost:1/", "http://LOCALHOST:2/keys").await, OPERATOR);
        let of_loopback = word("http://127.0.0.1:1/", "http://10.0.0.1/keys").await;
        assert_eq!(of_loopback, Word::Discovered(Zone::Loopback));
        assert_eq!(word("http://192.0.2.1/", "http://127.0.0.1/keys").await, Word::Discovered(Zone::Public));
    }

    #[test]
    fn a_name_leads_only_where_it_may() {
        let mixed = addresses(&["169.254.169.254", "192.0.2.1", "fe80::1", "10.0.0.1"]);
        assert_eq!(permitted(mixed, OPERATOR), Ok(addresses(&["192.0.2.1", "10.0.0.1"])));
        let refused = permitted(addresses(&["fe80::1", "169.254.169.254"]), OPERATOR).unwrap_err();
        assert_eq!(refused.to_string(), "fe80::1 is a link-local address");
        assert_eq!(permitted(Vec::new(), OPERATOR), Ok(Vec::new()));
    }
}
