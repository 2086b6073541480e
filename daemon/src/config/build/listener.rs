//! `[listener.NAME]`: addresses, what is served there and to whom.

use std::net::SocketAddr;
use std::path::Path;

use ipnet::IpNet;
use toolgate_protocol::coding::Coding;
use toolgate_protocol::forwarded::Header;

use super::super::problem::Problem;
use super::super::section::Section;
use super::super::settings::{AuthMethod, Bounds, CertificateFiles, Listener, RefusalStatus, Serve, Tls, TlsVersion};
use super::super::source::Place;
use super::super::tree::{Entry, Node, Table, Value};
use super::super::{kind, url};
use super::limits::limits;
use super::secrets::certificate_path;
use super::{Context, proxies, tls as files};

/// Set on every answer unless the listener says otherwise. `X-XSS-Protection` is 0: the filter
/// that it once switched on is gone from browsers, and was itself a hole.
pub(crate) const HEADERS: &[(&str, &str)] = &[
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-xss-protection", "0"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'self'"),
];

/// One year; only where TLS is spoken, since browsers ignore it elsewhere (RFC 6797, 7.2).
pub(crate) const HSTS: (&str, &str) = ("strict-transport-security", "max-age=31536000");

pub(super) fn listener(entry: &Entry, table: &Table, state_dir: &Path, context: &mut Context<'_>) -> Listener {
    let section = Section::new(Some(table), "listener.*");
    let addresses: Vec<SocketAddr> = section.list("address", |text| text.parse().ok());
    if section.lacks("address") || section.written("address").is_some_and(|node| node.elements().is_empty()) {
        context.error(
            "missing-key",
            entry.key_place,
            format!("the listener `{}` has no address", entry.key),
            "add address = [\"127.0.0.1:8080\"], or where clients connect",
        );
    }
    let tls = tls(entry, section, &addresses, state_dir, context);
    let serve = serve(section);
    let local = addresses.iter().all(|address| address.ip().is_loopback());
    check_plain(entry, section, local, context);
    check_exposure(section, serve, local, context);
    proxies::check(entry, section, context);
    Listener {
        name: entry.key.clone(),
        serve,
        allow: section.written("allow").map(|_| networks(section, "allow")),
        trusted_proxies: networks(section, "trusted_proxies"),
        address_header: section.text("address_header").and_then(|name| Header::parse(&name)).unwrap_or_default(),
        proxy_protocol: section.bool("proxy_protocol"),
        hosts: hosts(section),
        origins: section.list("origins", |text| url::origin(text).ok()),
        resource: section.text("resource").and_then(|text| url::origin(&text).ok()),
        auth: auth(entry, section, serve, local, context),
        redirect_to_https: section.written("redirect_to_https").map(|_| section.count("redirect_to_https")),
        key_in_path: section.bool("key_in_path"),
        lenient: section.bool("lenient"),
        compression: compression(section, context),
        refusal_status: refusal_status(section),
        rate_headers: section.bool("rate_headers"),
        bounds: bounds(section),
        security_headers: headers(section, tls.is_some(), context),
        limits: limits(table.get("limits"), &format!("listener.{}", entry.key), context),
        addresses,
        tls,
    }
}

fn serve(section: Section<'_>) -> Serve {
    let words = section.texts("serve");
    let has = |word: &str| words.iter().any(|known| known == word);
    Serve {
        mcp: has("mcp"),
        health: has("health"),
        ready: has("ready"),
        metrics: has("metrics"),
        status: has("status"),
    }
}

fn networks(section: Section<'_>, key: &str) -> Vec<IpNet> {
    section.list(key, |text| kind::network(text).ok())
}

fn refusal_status(section: Section<'_>) -> RefusalStatus {
    match section.text("refusal_status").as_deref() {
        Some("200") => RefusalStatus::Ok,
        Some("429") => RefusalStatus::TooManyRequests,
        Some("503") => RefusalStatus::Unavailable,
        _ => RefusalStatus::Auto,
    }
}

/// A coding that stands twice would never have its second turn: more likely another one was meant.
fn compression(section: Section<'_>, context: &mut Context<'_>) -> Vec<Coding> {
    let mut seen: Vec<&str> = Vec::new();
    for node in section.written("compression").map_or(&[][..], Node::elements) {
        let Some(name) = node.text() else { continue };
        if seen.contains(&name) {
            context.error(
                "twice",
                node.place,
                format!("{name:?} stands twice"),
                "write each coding once, the best first",
            );
        }
        seen.push(name);
    }
    section.list("compression", |text| Coding::parse(text.as_bytes()))
}

fn check_plain(entry: &Entry, section: Section<'_>, local: bool, context: &mut Context<'_>) {
    let plain = section.written("plain");
    let own = section.written("tls.self_signed").filter(|_| section.bool("tls.self_signed"));
    let secured = section.written("tls.certificates").or(own);
    match secured {
        None if !local && !section.bool("plain") && section.written("redirect_to_https").is_none() => {
            context.error(
                "plain-http",
                section.written("address").map_or(entry.key_place, |node| node.place),
                format!("the listener `{}` would speak HTTP without TLS to other machines", entry.key),
                "add tls.certificates, or listen on 127.0.0.1, or confirm with `plain = true`",
            );
        }
        Some(_) if section.bool("plain") => context.error(
            "conflict",
            plain.map_or(entry.key_place, |node| node.place),
            "a listener speaks either plain HTTP or TLS",
            "remove `plain`, or `tls`; use two listeners for both",
        ),
        _ => {}
    }
    if let (Some(redirect), Some(_)) = (section.written("redirect_to_https"), secured) {
        context.error(
            "conflict",
            redirect.place,
            "a listener with TLS cannot redirect to itself",
            "write `redirect_to_https` on a listener of its own, such as on port 80",
        );
    }
}

/// Metrics and status tell about clients and servers, so they are for this machine or for named networks.
fn check_exposure(section: Section<'_>, serve: Serve, local: bool, context: &mut Context<'_>) {
    if local || section.written("allow").is_some() || !(serve.metrics || serve.status) {
        return;
    }
    let Some(node) = section.written("serve") else {
        return;
    };
    context.warning(
        "exposed",
        node.place,
        "metrics and status are readable by every machine that reaches this listener",
        "serve them on 127.0.0.1, or name the networks that may with `allow`",
    );
}

fn auth(entry: &Entry, section: Section<'_>, serve: Serve, local: bool, context: &mut Context<'_>) -> Vec<AuthMethod> {
    let Some(node) = section.written("auth") else {
        if serve.mcp && section.lacks("auth") && section.written("redirect_to_https").is_none() {
            context.error(
                "missing-key",
                entry.key_place,
                format!("the listener `{}` serves mcp and does not say how clients identify themselves", entry.key),
                "add auth = [\"key\"]; or auth = \"none\", if everyone who reaches it may call every tool",
            );
        }
        return Vec::new();
    };
    let has = |word: &str| node.elements().iter().find(|node| node.text() == Some(word));
    let methods = [("key", AuthMethod::Key), ("jwt", AuthMethod::Jwt)];
    let methods = methods.into_iter().filter_map(|(word, method)| has(word).map(|_| method)).collect();
    check_none(section, node, has("none"), local, context);
    methods
}

fn check_none(section: Section<'_>, auth: &Node, none: Option<&Node>, local: bool, context: &mut Context<'_>) {
    let Some(none) = none else {
        if auth.elements().is_empty() {
            context.error(
                "missing-key",
                auth.place,
                "the list is empty",
                "write auth = [\"key\"], or auth = \"none\" in words",
            );
        }
        return;
    };
    if auth.elements().len() > 1 {
        context.error(
            "conflict",
            none.place,
            "\"none\" stands alone",
            "remove it, or the others: with it nobody would have to identify himself",
        );
    } else if !local && !section.bool("auth_none_off_loopback") {
        context.error(
            "auth-none",
            none.place,
            "everyone who reaches this listener could call every tool",
            "write auth = [\"key\"], listen on 127.0.0.1, or confirm with `auth_none_off_loopback = true`",
        );
    }
}

fn tls(
    entry: &Entry,
    section: Section<'_>,
    addresses: &[SocketAddr],
    state_dir: &Path,
    context: &mut Context<'_>,
) -> Option<Tls> {
    let written = section.written("tls.certificates").filter(|node| !node.elements().is_empty());
    let own = section.written("tls.self_signed").filter(|_| section.bool("tls.self_signed"));
    let mut self_signed = None;
    let certificates = match (written, own) {
        (Some(list), None) => list.elements().iter().filter_map(|node| certificate(node, context)).collect(),
        (None, Some(own)) => {
            if state_dir.as_os_str().is_empty() && context.environment.scrutiny.is_final() {
                context.error(
                    "no-state",
                    own.place,
                    "the daemon has no folder in which it could keep a certificate of its own making",
                    "add daemon.state_dir = \"PATH\", or StateDirectory= to the daemon's unit",
                );
            }
            self_signed = Some(own_names(section, addresses, own, context));
            let folder = state_dir.join("tls");
            let file = |kind| folder.join(format!("{}.{kind}", entry.key));
            vec![CertificateFiles { chain: file("crt"), key: file("key") }]
        }
        (Some(_), Some(own)) => {
            let message = "a listener that has certificates needs none of its own making";
            context.error("conflict", own.place, message, "remove `self_signed`, or `certificates`");
            return None;
        }
        (None, None) => {
            if let Some(tls) = section.written("tls") {
                context.error(
                    "missing-key",
                    tls.place,
                    "TLS needs a certificate",
                    "add tls.certificates = [{ chain = \"file:PATH\", key = \"file:PATH\" }], or for a first try tls.self_signed = true",
                );
            }
            return None;
        }
    };
    Some(Tls {
        certificates,
        self_signed,
        min_version: if section.text("tls.min_version").as_deref() == Some("1.3") {
            TlsVersion::V1_3
        } else {
            TlsVersion::V1_2
        },
        tickets: section.bool("tls.tickets"),
        session_timeout: section.duration("tls.session_timeout"),
        handshake_timeout: section.duration("tls.handshake_timeout"),
    })
}

/// Whom the certificate of the daemon's own making is for: this machine, and what the listener says of itself.
fn own_names(section: Section<'_>, addresses: &[SocketAddr], own: &Node, context: &mut Context<'_>) -> Vec<String> {
    if addresses.iter().any(|address| !address.ip().is_loopback()) {
        context.warning(
            "self-signed",
            own.place,
            "clients on other machines cannot verify a certificate that the daemon made itself",
            "get one from an authority that they trust, and name its files in tls.certificates",
        );
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let bound = addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    for name in hosts(section).into_iter().chain(bound) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn hosts(section: Section<'_>) -> Vec<String> {
    section.list("hosts", |text| Some(text.trim_matches(['[', ']']).to_ascii_lowercase()))
}

fn certificate(node: &Node, context: &mut Context<'_>) -> Option<CertificateFiles> {
    let section = Section::new(Some(node.table()?), "listener.*.tls.certificates[]");
    for key in ["chain", "key"] {
        if section.written(key).is_none() {
            context.error(
                "missing-key",
                node.place,
                format!("a certificate needs `{key}`"),
                "write { chain = \"file:PATH\", key = \"file:PATH\" }",
            );
        }
    }
    pair(section, "chain", "key", context)
}

/// The two files of a certificate, checked.
pub(super) fn pair(
    section: Section<'_>,
    chain: &str,
    key: &str,
    context: &mut Context<'_>,
) -> Option<CertificateFiles> {
    let (chain_node, key_node) = (section.valid(chain)?, section.valid(key)?);
    let (chain, key) = (certificate_path(chain_node, context)?, certificate_path(key_node, context)?);
    files::check_pair((chain_node, &chain), (key_node, &key), context);
    Some(CertificateFiles { chain, key })
}

fn bounds(section: Section<'_>) -> Bounds {
    Bounds {
        head_bytes: section.size("bounds.head_bytes"),
        headers: section.count("bounds.headers"),
        uri_bytes: section.size("bounds.uri_bytes"),
        body_bytes: section.size("bounds.body_bytes"),
        head_timeout: section.duration("bounds.head_timeout"),
        body_timeout: section.duration("bounds.body_timeout"),
        keep_alive: section.duration("bounds.keep_alive"),
        connections: section.count("bounds.connections"),
        connections_per_address: section.count("bounds.connections_per_address"),
        streams: section.count("bounds.streams"),
    }
}

fn headers(section: Section<'_>, tls: bool, context: &mut Context<'_>) -> Vec<(String, String)> {
    let standard = HEADERS.iter().chain(tls.then_some(&HSTS));
    let mut headers: Vec<(String, String)> = standard.map(|(name, value)| ((*name).into(), (*value).into())).collect();
    for entry in section.entries("headers") {
        let Some(name) = header_name(entry, context) else {
            continue;
        };
        headers.retain(|(known, _)| *known != name);
        if let Value::Text(value) = &entry.node.value {
            headers.push((name, value.clone()));
        }
    }
    headers
}

/// The name in lower case, unless it is none or the gate's own.
pub(super) fn header_name(entry: &Entry, context: &mut Context<'_>) -> Option<String> {
    let name = entry.key.to_ascii_lowercase();
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        context.error(
            "invalid-name",
            entry.key_place,
            format!("{:?} is not a header's name", entry.key),
            "write letters, digits and dashes",
        );
        return None;
    }
    let own = ["connection", "content-length", "transfer-encoding", "host", "upgrade", "te", "trailer", "keep-alive"];
    if own.contains(&name.as_str()) || name.starts_with("mcp-") {
        context.error(
            "invalid-name",
            entry.key_place,
            format!("`{}` is set by the gate itself", entry.key),
            "remove the line",
        );
        return None;
    }
    Some(name)
}

/// Two listeners cannot bind one address; the wildcard takes every address of its port.
pub(super) fn check_addresses(tree: &Table, context: &mut Context<'_>) {
    let mut seen: Vec<(SocketAddr, Place)> = Vec::new();
    for (_, table) in super::named(tree, "listener") {
        for node in table.get("address").map_or(&[][..], Node::elements) {
            let Some(address) = node.text().and_then(|text| text.parse::<SocketAddr>().ok()) else {
                continue;
            };
            if let Some((_, first)) = seen.iter().find(|(known, _)| overlap(*known, address)) {
                let problem = Problem::error(
                    "address-taken",
                    node.place,
                    format!("{address} is taken already"),
                    "give each address to one listener",
                );
                context.report.push(problem.also(*first, "here"));
            }
            seen.push((address, node.place));
        }
    }
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() != 0
        && one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}
