//! URLs of servers and origins of browsers.
//!
//! Only what the gate can speak to: http and https, no user, no fragment.

use super::settings::Endpoint;

const ENDPOINT_HELP: &str =
    "write http:// or https://, a host, and the path of the MCP endpoint, such as \"http://10.0.0.7:3001/mcp\"";
const ORIGIN_HELP: &str =
    "write scheme, host and, where it is not the standard one, port, such as \"https://app.example.org\"";

/// Takes a server's URL apart; the error is the help to give.
pub(crate) fn endpoint(text: &str) -> Result<Endpoint, &'static str> {
    if text.contains('@') {
        return Err("leave user and password out of the URL; give the credential as `bearer` or under `headers`");
    }
    if text.contains('#') {
        return Err("leave out the part from # on: it is never sent");
    }
    let uri: http::Uri = text.parse().map_err(|_| ENDPOINT_HELP)?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(ENDPOINT_HELP),
    };
    let authority = uri.authority().ok_or(ENDPOINT_HELP)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let port_text = &authority.as_str()[authority.host().len()..];
    let port = match (port_text, authority.port_u16()) {
        ("", _) => {
            if tls {
                443
            } else {
                80
            }
        }
        (_, Some(port)) if port > 0 => port,
        _ => return Err(ENDPOINT_HELP),
    };
    if host.is_empty() {
        return Err(ENDPOINT_HELP);
    }
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    Ok(Endpoint { url: text.to_owned(), tls, host, port, path })
}

/// An origin in the form in which browsers send it; the error is the help to give.
pub(super) fn origin(text: &str) -> Result<String, &'static str> {
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    let uri: http::Uri = trimmed.parse().map_err(|_| ORIGIN_HELP)?;
    let has_path = trimmed.splitn(4, '/').count() > 3 || trimmed.contains(['?', '#', '@']);
    if uri.scheme().is_none() || uri.host().is_none_or(str::is_empty) || has_path {
        return Err(ORIGIN_HELP);
    }
    Ok(trimmed.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_an_endpoint_apart() {
        let table = [
            ("http://10.0.0.7:3001/mcp", (false, "10.0.0.7", 3001, "/mcp")),
            ("https://Example.org", (true, "example.org", 443, "/")),
            ("http://[::1]/a?b=c", (false, "::1", 80, "/a?b=c")),
            ("https://[2001:db8::1]:8443/mcp", (true, "2001:db8::1", 8443, "/mcp")),
        ];
        for (text, (tls, host, port, path)) in table {
            let endpoint = endpoint(text).unwrap();
            assert_eq!((endpoint.tls, &*endpoint.host, endpoint.port, &*endpoint.path), (tls, host, port, path));
        }
        for text in [
            "",
            "/mcp",
            "example.org",
            "ftp://x/",
            "http://",
            "http://a:0/",
            "http://a:99999/",
            "http://u:p@a/",
            "http://a/#b",
            "http://a:/",
        ] {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_origin_has_no_path() {
        assert_eq!(origin("https://App.example.org"), Ok("https://app.example.org".into()));
        assert_eq!(origin("http://localhost:5173/"), Ok("http://localhost:5173".into()));
        for text in ["app.example.org", "https://a/b", "https://", "*", "https://u@a"] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
