//! The gate as an OAuth resource (RFC 8707), and what it says of itself as one (RFC 9728).
//!
//! `/mcp` and each `/mcp/NAME` are resources of their own. A token for the listener's URL or for its `/mcp` is good for
//! all of them, one for `/mcp/NAME` for that path alone.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ALLOW, CACHE_CONTROL, HOST,
};
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::json;

use crate::body::Body;
use crate::call::Call;
use crate::pages;

/// Where descriptions stand (RFC 9728, section 3).
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The URL under which a listener is reached, without a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource<'a> {
    scheme: &'a str,
    authority: &'a str,
}

impl<'a> Resource<'a> {
    /// As the operator wrote it, else as the client has named it, which the stage `secure` has compared with `hosts`.
    pub fn of(call: &'a Call) -> Self {
        if let Some((scheme, authority)) =
            call.entrance.listener.resource.as_deref().and_then(|url| url.split_once("://"))
        {
            return Self { scheme, authority };
        }
        let named = call.authority.as_ref().map(http::uri::Authority::as_str);
        let authority = named.or_else(|| call.header(HOST)).unwrap_or_default();
        Self { scheme: if call.https { "https" } else { "http" }, authority }
    }

    /// Whether a token with this audience is meant for the view of this name.
    #[must_use]
    pub fn is_meant(&self, audience: &str, view: &str) -> bool {
        let Some((scheme, rest)) = audience.split_once("://") else { return false };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if !scheme.eq_ignore_ascii_case(self.scheme) || !authority.eq_ignore_ascii_case(self.authority) {
            return false;
        }
        match path.strip_suffix('/').unwrap_or(path) {
            "" | "/mcp" => true,
            path => !view.is_empty() && path.strip_prefix("/mcp/") == Some(view),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.authority)
    }

    /// The URL of the description of a view.
    #[must_use]
    pub fn description(&self, view: &str) -> String {
        self.url(&format!("{WELL_KNOWN}/mcp{}{view}", if view.is_empty() { "" } else { "/" }))
    }
}

/// Whether descriptions of resources stand at this path.
#[must_use]
pub fn is_described_at(path: &str) -> bool {
    described(path).is_some()
}

/// The path of the resource that a description's path is about.
fn described(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(WELL_KNOWN)?;
    (rest.is_empty() || rest == "/mcp" || rest.starts_with("/mcp/")).then_some(rest)
}

/// The description of the resource that the call's path is about, for everybody, pages in browsers among them.
pub fn answer(call: &Call) -> Response<Body> {
    let path = described(&call.path).unwrap_or_default().trim_end_matches('/');
    let mut response = match call.method {
        Method::GET | Method::HEAD if is_served(call, path) => found(call, path),
        Method::GET | Method::HEAD => pages::json(StatusCode::NOT_FOUND, r#"{"error":"not_found"}"#.to_owned()),
        Method::OPTIONS => preflight(),
        _ => not_allowed(),
    };
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

fn is_served(call: &Call, path: &str) -> bool {
    path.strip_prefix("/mcp").is_none_or(|name| call.policy.view(name.trim_start_matches('/')).is_some())
}

fn found(call: &Call, path: &str) -> Response<Body> {
    let issuers = &call.policy.issuers;
    // RFC 9728, section 2: URLs of authorization servers; an issuer that is none shares a secret.
    let is_url = |text: &str| text.starts_with("https://") || text.starts_with("http://");
    let servers: Vec<_> =
        issuers.each().map(|issuer| &*issuer.settings().issuer).filter(|issuer| is_url(issuer)).collect();
    let mut description = json!({
        "resource": Resource::of(call).url(path),
        "authorization_servers": servers,
        "bearer_methods_supported": ["header"],
    });
    if !issuers.scopes().is_empty() {
        description["scopes_supported"] = issuers.scopes().split(' ').collect();
    }
    let mut response = pages::json(StatusCode::OK, description.to_string());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    response
}

/// Browsers ask first where a page sends the revision of MCP along.
fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::from(String::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("accept, mcp-protocol-version"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    response
}

fn not_allowed() -> Response<Body> {
    let mut response = pages::json(StatusCode::METHOD_NOT_ALLOWED, r#"{"error":"method_not_allowed"}"#.to_owned());
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    response
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Resource<'_> = Resource { scheme: "https", authority: "mcp.example.org" };

    #[test]
    fn a_token_is_meant_for_the_whole_gate_or_for_one_path() {
        let everywhere = [
            "https://mcp.example.org",
            "https://mcp.example.org/",
            "https://MCP.example.org/mcp",
            "https://mcp.example.org/mcp/",
        ];
        for audience in everywhere {
            assert!(HERE.is_meant(audience, "") && HERE.is_meant(audience, "a"), "{audience}");
        }
        for audience in ["https://mcp.example.org/mcp/a", "https://mcp.example.org/mcp/a/"] {
            assert!(HERE.is_meant(audience, "a") && !HERE.is_meant(audience, "b") && !HERE.is_meant(audience, ""));
        }
        let elsewhere = [
            "",
            "mcp.example.org",
            "http://mcp.example.org/mcp",
            "https://mcp.example.org:8443/mcp",
            "https://mcp.example.org.evil.example/mcp",
            "https://evil.example/mcp",
            "https://mcp.example.org@evil.example/mcp",
            "https://mcp.example.org/other",
            "https://mcp.example.org/mcpx",
            "https://mcp.example.org/mcp/a/b",
            "https://mcp.example.org/mcp//a",
            "https://mcp.example.org//",
        ];
        for audience in elsewhere {
            assert!(!HERE.is_meant(audience, "") && !HERE.is_meant(audience, "a"), "{audience}");
        }
    }

    #[test]
    fn descriptions_stand_before_the_path_of_their_resource() {
        assert_eq!(HERE.description(""), "https://mcp.example.org/.well-known/oauth-protected-resource/mcp");
        assert_eq!(HERE.description("a"), "https://mcp.example.org/.well-known/oauth-protected-resource/mcp/a");
        for (path, wanted) in
            [("", Some("")), ("/mcp", Some("/mcp")), ("/mcp/a", Some("/mcp/a")), ("/x", None), ("x", None)]
        {
            assert_eq!(described(&format!("{WELL_KNOWN}{path}")), wanted);
        }
    }

    proptest! {
        /// What a view's own URL is, is meant for it; and for another view only what is meant for all.
        #[test]
        fn a_path_is_its_own_and_nobody_elses(one in "[a-z][a-z0-9-]{0,23}", other in "[a-z][a-z0-9-]{0,23}") {
            let audience = HERE.url(&format!("/mcp/{one}"));
            prop_assert!(HERE.is_meant(&audience, &one));
            prop_assert_eq!(HERE.is_meant(&audience, &other), one == other);
        }
    }
}
