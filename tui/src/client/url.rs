//! The address of a gate.
//!
//! Parsed once, before anything is sent. Plain HTTP is accepted on this machine only: a key must not
//! cross a network in the clear.

use std::net::IpAddr;

use http::Uri;
use toolgate_admin_api::Exit;

use crate::failure::Failure;

/// An `https://` address, or an `http://` one of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GateUrl {
    /// As it was written.
    pub(crate) text: String,
    /// `https`.
    pub(crate) tls: bool,
    /// Name or address, IPv6 without brackets.
    pub(crate) host: String,
    /// Written or the scheme's default.
    pub(crate) port: u16,
    /// Host and port as the `Host` header has them.
    pub(crate) authority: String,
    /// Path and query, at least `/`.
    pub(crate) path: String,
}

impl GateUrl {
    /// Reads an address; a failure says what one looks like.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let url = Self::parse_anywhere(text)?;
        if !url.tls && !is_this_machine(&url.host) {
            return Err(Failure::new(Exit::Usage, format!("{text} is not encrypted."))
                .remedy("Use https://; http:// is accepted for loopback addresses only."));
        }
        Ok(url)
    }

    /// Reads the address of a server, to which the gate itself would also speak plain HTTP.
    pub(crate) fn parse_anywhere(text: &str) -> Result<Self, Failure> {
        let uri: Uri = text.parse().map_err(|_| not_a_url(text))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(not_a_url(text)),
        };
        let authority = uri.authority().ok_or_else(|| not_a_url(text))?;
        if authority.as_str().contains('@') {
            return Err(Failure::new(Exit::Usage, "A gate takes no user name in its address.")
                .remedy("Give the key with TOOLGATE_KEY or --key-file."));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { text: text.to_owned(), tls, host, port, authority: authority.to_string(), path })
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn not_a_url(text: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{text} is no address of a gate."))
        .remedy("Write one such as https://gate.example.org/mcp.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_gates_are_called() {
        let url = GateUrl::parse("https://gate.example.org/mcp/files?a=b").expect("parses");
        assert_eq!((url.tls, url.port, url.path.as_str()), (true, 443, "/mcp/files?a=b"));
        let url = GateUrl::parse("http://[::1]:8080").expect("parses");
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 8080, "/"));
        assert_eq!(url.authority, "[::1]:8080");
    }

    #[test]
    fn refuses_what_would_leak_a_key() {
        for text in ["http://gate.example.org/mcp", "http://10.0.0.1/", "https://a:b@gate/", "ftp://x/", "gate", ""] {
            assert_eq!(GateUrl::parse(text).expect_err(text).exit, Exit::Usage);
        }
        GateUrl::parse("http://LOCALHOST:1/mcp").expect("loopback may be plain");
        GateUrl::parse("http://127.9.9.9/mcp").expect("loopback may be plain");
    }
}
