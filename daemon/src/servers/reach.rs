//! Where the gate may connect to: decided for the address itself, after its name was resolved.
//!
//! Whoever opens a connection to somewhere that is named in a URL asks here, and connects to what it is given. So a name
//! that leads elsewhere by the time it is connected to leads nowhere that it might not have led before.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use toolgate_protocol::reach::{Word, Zone};

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

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATOR: Word = Word::Operator { link_local: false };

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 80)).collect()
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
