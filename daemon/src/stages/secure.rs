//! What no credential can make right: the path, `Host` and `Origin`.
//!
//! Both name checks are against DNS rebinding: a page in a browser can make it send requests to
//! this address, but not under a name of ours (Streamable HTTP, "Security").

use http::header::{Entry, HOST, IntoHeaderName, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::body::Body;
use crate::call::Call;
use crate::config::settings::Listener;
use crate::failure::{Failure, Kind};
use crate::identity::resource;
use crate::listen::connection::Protocol;
use crate::pages::Page;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What stands at a path.
#[derive(Debug)]
pub enum Place {
    /// An MCP endpoint; the call has its view.
    Mcp,
    /// A page of the gate's own.
    Page(Page),
    /// Where agents ask about the gate.
    Inquiry,
}

/// Checks names and resolves the path.
pub fn check(call: &mut Call) -> Result<Place, Failure> {
    let host = host_of(call)?;
    let listener = &call.entrance.listener;
    if !serves_host(listener, host.host()) {
        return Err(Failure::new(
            Kind::HostRefused,
            "This gate is not known under that host name. Its operator can add it to `hosts` of the listener.",
        ));
    }
    // Whatever page asks may know it: it says nothing but where tokens come from.
    if listener.takes_tokens() && resource::is_described_at(&call.path) {
        return Ok(Place::Page(Page::Resource));
    }
    if let Some(origin) = call.headers.get(ORIGIN)
        && !allows_origin(listener, origin)
    {
        return Err(Failure::new(
            Kind::OriginRefused,
            "Requests from that origin are refused. The gate's operator can add it to `origins` of the listener.",
        ));
    }
    resolve(call)
}

fn host_of(call: &Call) -> Result<Authority, Failure> {
    let refused = || Failure::new(Kind::HostRefused, "Send exactly one valid Host header.");
    if let Some(authority) = &call.authority {
        return Ok(authority.clone());
    }
    let mut hosts = call.headers.get_all(HOST).iter();
    let host = hosts.next().ok_or_else(refused)?;
    if hosts.next().is_some() {
        return Err(refused());
    }
    Authority::try_from(host.as_bytes()).map_err(|_| refused())
}

fn serves_host(listener: &Listener, host: &str) -> bool {
    if !listener.hosts.is_empty() {
        return listener.hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
    }
    if !listener.addresses.iter().all(|address| address.ip().is_loopback()) {
        return true;
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A browser's origin passes when it is one of ours or written out by the operator.
fn allows_origin(listener: &Listener, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    if listener.origins.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    // Without names of its own a listener cannot tell its pages from those that a rebound name shows.
    let named = !listener.hosts.is_empty() || listener.addresses.iter().all(|address| address.ip().is_loopback());
    named && serves_host(listener, authority.host())
}

/// A path that nothing stands at, or nothing for this client.
pub fn nothing_here() -> Failure {
    Failure::new(Kind::PathUnknown, "Nothing is served at this path. MCP is at /mcp and /mcp/NAME.")
}

fn resolve(call: &mut Call) -> Result<Place, Failure> {
    let unknown = nothing_here;
    let serve = call.entrance.listener.serve;
    if let Some(page) = Page::at(&call.path, serve, &call.policy.settings) {
        return Ok(Place::Page(page));
    }
    // Where clients are served as well, the path is theirs.
    if serve.status && !serve.mcp && call.path == "/mcp" {
        return Ok(Place::Inquiry);
    }
    let rest = call.path.strip_prefix("/mcp").filter(|_| serve.mcp).ok_or_else(unknown)?;
    let name = match rest.strip_prefix('/') {
        Some(name) => name.trim_end_matches('/'),
        None if rest.is_empty() => "",
        None => return Err(unknown()),
    };
    if name.starts_with("tg_") && call.entrance.listener.key_in_path {
        call.key_in_path = Some(name.to_owned());
        call.view = call.policy.view("").cloned();
        "/mcp/tg_***".clone_into(&mut call.path);
    } else {
        let view = call.policy.view(name).cloned();
        call.view = Some(view.ok_or_else(|| disabled(call, name).unwrap_or_else(unknown))?);
    }
    if !matches!(call.method, Method::POST | Method::GET | Method::DELETE) {
        return Err(Failure::new(Kind::MethodNotAllowed, "MCP uses POST, GET and DELETE."));
    }
    Ok(Place::Mcp)
}

fn disabled(call: &Call, name: &str) -> Option<Failure> {
    let server = call.policy.settings.servers.get(name)?;
    (!server.enabled).then(|| {
        Failure::new(Kind::ServerUnavailable, format!("The server {name} is switched off by the gate's operator."))
    })
}

/// An answer that has the listener's headers already, with empty places for what nearly every answer has of its own:
/// [`put`] fills them, and [`stamp`] does not have to move its headers.
pub fn begun(call: &Call, status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    *response.headers_mut() = call.entrance.headers.clone();
    response
}

/// Puts a header on an answer, unless it has it; an empty place is filled.
pub fn put(headers: &mut HeaderMap, name: impl IntoHeaderName, value: HeaderValue) {
    match headers.entry(name) {
        Entry::Occupied(mut place) if place.get().is_empty() => drop(place.insert(value)),
        Entry::Occupied(_) => {}
        Entry::Vacant(place) => drop(place.insert(value)),
    }
}

/// Puts the listener's headers and the call's id on an answer. Where both have a header, the listener's stays.
pub fn stamp(call: &Call, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    if !headers.contains_key(REQUEST_ID) {
        // The listener's are copied as they lie: put in one by one, each would be hashed for every answer.
        let own = std::mem::replace(headers, call.entrance.headers.clone());
        for (name, value) in own {
            // A nameless value belongs to the name before it, which no answer of ours repeats.
            if let Some(name) = name {
                put(headers, name, value);
            }
        }
    }
    if let Ok(mut id) = HeaderValue::from_str(call.id.as_str()) {
        // No other answer has it: in the table of a connection's headers (RFC 7541) it would take the room of
        // those that all answers have.
        id.set_sensitive(call.connection.protocol == Protocol::Http2);
        headers.insert(REQUEST_ID, id);
    }
    for name in call.entrance.places {
        if headers.get(name).is_some_and(HeaderValue::is_empty) {
            headers.remove(name);
        }
    }
}
