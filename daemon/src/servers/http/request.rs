//! A request on its way to a server: what the caller gives, and how it is written.
//!
//! The forward stage fills [`Outgoing`]; the exchange encodes it. What is the same for all requests
//! of an endpoint is written once, when the server is built.

use std::time::Duration;

use toolgate_protocol::framing::{self, is_value};

use super::error::{SendError, SendErrorKind};
use super::head;
use super::proof::Proofs;
use crate::config::{Secret, settings};

/// A method that MCP uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Opens a stream.
    Get,
    /// Carries a message.
    Post,
    /// Ends a session.
    Delete,
}

impl Method {
    const ALL: [Self; 3] = [Self::Get, Self::Post, Self::Delete];

    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// A request, borrowed until it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The method.
    pub method: Method,
    /// Which of the server's endpoints, by its place in the configuration.
    pub endpoint: usize,
    /// Names in any case and values. Headers of the connection, `Host`, `Content-Length`, `Accept-Encoding` and
    /// those that the server's configuration sets are left out by the client.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Path and query instead of the endpoint's, with its headers and credentials all the same.
    pub target: Option<&'a str>,
    /// The body in pieces that are sent one after the other.
    pub body: &'a [&'a [u8]],
    /// Time to the first byte of the answer, instead of the server's.
    pub first_byte: Option<Duration>,
}

/// What every request of an endpoint begins with.
pub(super) struct Template {
    /// By method: request line, `Host`, configured headers.
    starts: [Vec<u8>; 3],
    /// How long the endpoint's own path is in each of them.
    target: usize,
    /// Names of the configured headers, which the caller's must not double.
    configured: Vec<String>,
}

impl Template {
    /// The error is a sentence that says what to do.
    ///
    /// `headers` are those that stay as they are; what may change goes along with each request.
    pub(super) fn new(endpoint: &settings::Endpoint, headers: &[(String, Secret)]) -> Result<Self, String> {
        let target = endpoint.path.as_bytes();
        if !is_target(target) {
            return Err(format!("the path of {} contains characters that a URL must escape", endpoint.url));
        }
        let mut common = format!("Host: {}\r\n", endpoint.authority()).into_bytes();
        for (name, value) in headers {
            if !is_token(name) || !is_value(value.expose().as_bytes()) || is_ours(name) {
                return Err(format!("the header `{name}` cannot be set: remove it from `headers`"));
            }
            put_line(&mut common, name, value.expose().as_bytes());
        }
        let starts = Method::ALL.map(|method| {
            let mut start = Vec::with_capacity(common.len() + target.len() + 20);
            start.extend_from_slice(method.as_str().as_bytes());
            start.push(b' ');
            start.extend_from_slice(target);
            start.extend_from_slice(b" HTTP/1.1\r\n");
            start.extend_from_slice(&common);
            start
        });
        Ok(Self { starts, target: target.len(), configured: headers.iter().map(|(name, _)| name.clone()).collect() })
    }

    /// Appends the head of `request`, whose body has `length` bytes, to `out`.
    pub(super) fn encode(
        &self,
        request: &Outgoing<'_>,
        proofs: &Proofs,
        length: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let start = &self.starts[request.method as usize];
        match request.target.map(str::as_bytes) {
            None => out.extend_from_slice(start),
            Some(target) if is_target(target) => {
                let (method, rest) = start.split_at(request.method.as_str().len() + 1);
                out.extend_from_slice(method);
                out.extend_from_slice(target);
                out.extend_from_slice(&rest[self.target..]);
            }
            Some(_) => {
                return Err(SendError::unsent(SendErrorKind::Request, "a path with characters that HTTP forbids"));
            }
        }
        proofs.put(out);
        let listed = listed_in_connection(request.headers);
        for (name, value) in request.headers {
            let is_set = self.is_configured(name) || proofs.has(name);
            if is_ours(name) || is_set || listed.iter().any(|other| other.eq_ignore_ascii_case(name)) {
                continue;
            }
            if !is_token(name) || !is_value(value) {
                let cause = format!("the header `{}` contains characters that HTTP forbids", name.escape_debug());
                return Err(SendError::unsent(SendErrorKind::Request, cause));
            }
            put_line(out, name, value);
        }
        if length > 0 || request.method == Method::Post {
            out.extend_from_slice(b"Content-Length: ");
            put_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn is_configured(&self, name: &str) -> bool {
        self.configured.iter().any(|configured| configured.eq_ignore_ascii_case(name))
    }
}

pub(super) fn put_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn put_decimal(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while at == digits.len() || number > 0 {
        at -= 1;
        digits[at] = b"0123456789"[number % 10];
        number /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Headers that the client decides by itself.
pub(super) fn is_ours(name: &str) -> bool {
    let decided = match name.len() {
        4 => "host",
        6 => "expect",
        14 => "content-length",
        15 => "accept-encoding",
        _ => return head::is_hop_by_hop(name),
    };
    name.eq_ignore_ascii_case(decided)
}

/// Names that a `Connection` header declares to be of the connection. Empty, and then free, for almost every request.
fn listed_in_connection<'a>(headers: &[(&'a str, &'a [u8])]) -> Vec<&'a str> {
    headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .filter_map(|(_, value)| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(',').map(str::trim_ascii))
        .collect()
}

/// Path and query as a request line has them: no fragment.
fn is_target(target: &[u8]) -> bool {
    target.starts_with(b"/") && target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#')
}

/// A header name of RFC 9110 section 5.1.
pub(super) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(framing::is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let endpoint = settings::Endpoint {
            url: "http://[::1]:8080/mcp?a=b".to_owned(),
            tls: false,
            host: "::1".to_owned(),
            port: 8080,
            path: "/mcp?a=b".to_owned(),
        };
        let headers = [("Authorization".to_owned(), Secret::new("Bearer s".to_owned()))];
        Template::new(&endpoint, &headers).unwrap()
    }

    fn encode(method: Method, headers: &[(&str, &[u8])], length: usize) -> Result<String, SendError> {
        let request = Outgoing { method, endpoint: 0, headers, target: None, body: &[], first_byte: None };
        let mut out = Vec::new();
        template().encode(&request, &Proofs::default(), length, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_request_has_our_host_and_credential_and_none_of_the_connections_headers() {
        let headers: &[(&str, &[u8])] = &[
            ("accept", b"application/json"),
            ("host", b"gate.example"),
            ("authorization", b"Bearer client"),
            ("connection", b"keep-alive, x-own"),
            ("x-own", b"1"),
            ("accept-encoding", b"br"),
            ("te", b"trailers"),
            ("transfer-encoding", b"chunked"),
            ("content-length", b"9"),
            ("upgrade", b"h2c"),
            ("expect", b"100-continue"),
        ];
        assert_eq!(
            encode(Method::Post, headers, 120).unwrap(),
            "POST /mcp?a=b HTTP/1.1\r\nHost: [::1]:8080\r\nAuthorization: Bearer s\r\n\
             accept: application/json\r\nContent-Length: 120\r\n\r\n"
        );
        assert!(encode(Method::Post, &[], 0).unwrap().ends_with("Content-Length: 0\r\n\r\n"));
        assert!(!encode(Method::Get, &[], 0).unwrap().contains("Content-Length"));
    }

    #[test]
    fn another_path_keeps_host_and_credential_and_smuggles_nothing() {
        let encode = |target| {
            let request =
                Outgoing { method: Method::Post, endpoint: 0, headers: &[], target, body: &[], first_byte: None };
            let mut out = Vec::new();
            template().encode(&request, &Proofs::default(), 2, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(
            encode(Some("/messages?id=1")).unwrap(),
            "POST /messages?id=1 HTTP/1.1\r\nHost: [::1]:8080\r\nAuthorization: Bearer s\r\nContent-Length: 2\r\n\r\n"
        );
        for target in ["", "x", "/a b", "/a#b", "/a\r\nx: y", "http://a/"] {
            assert_eq!(encode(Some(target)).unwrap_err().kind, SendErrorKind::Request, "{target}");
        }
    }

    #[test]
    fn nothing_can_be_smuggled_through_a_header() {
        for (name, value) in
            [("a", &b"x\r\nb: c"[..]), ("a", b"x\ny"), ("a", b"\0"), ("a b", b"x"), ("", b"x"), ("a\r\nb", b"x")]
        {
            assert_eq!(encode(Method::Post, &[(name, value)], 0).unwrap_err().kind, SendErrorKind::Request);
        }
    }
}
